/** What a ledger store shows of itself to the files beside it. */
import type { Header } from "../base/format/block.ts";
import type { Hash } from "../base/hash.ts";
import type { Base } from "./base-record.ts";
import type { BlockStore } from "./block-store.ts";
import type { Database, Operation } from "./database.ts";

/** The last appended block. */
export type StoreTip = { readonly height: number; readonly hash: Hash; readonly header: Header };

/** What pruning and snapshots need of a store: records to read, and writes between two appends. */
export type StoreRecords = {
  readonly database: Database;
  readonly blocks: BlockStore;
  /** Writes records of which the store holds nothing in memory. @throws as `append` */
  write(operations: Operation[]): Promise<void>;
  /** Makes a height the base, in one synced batch with what else is given. @throws as `append` */
  rebase(base: Base, operations: readonly Operation[]): Promise<void>;
};

/** How far the check at open is. */
export type OpenProgress = { readonly stage: "state"; readonly keys: number };

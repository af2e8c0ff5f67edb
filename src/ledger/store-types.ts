/** What a ledger store shows of itself to the files beside it. */
import type { Header } from "../base/format/block.ts";
import type { GenesisBlock } from "../base/format/genesis.ts";
import type { Hash } from "../base/hash.ts";
import type { Log } from "../base/log.ts";
import type { Base } from "./base-record.ts";
import type { BlockStore } from "./block-store.ts";
import type { Database, Operation } from "./database.ts";
import type { StateStore } from "./state-store.ts";

/** What a store is opened with: a directory, or a database that the store then owns. */
export type StoreOptions = {
  readonly directory?: string | undefined;
  readonly database?: Database | undefined;
  readonly genesis: GenesisBlock;
  readonly log: Log;
  readonly onProgress?: ((progress: OpenProgress) => void) | undefined;
};

/** What a store is made of once it is open. */
export type StoreParts = {
  readonly database: Database;
  readonly blocks: BlockStore;
  readonly states: StateStore;
  readonly chainId: Hash;
  readonly tip: StoreTip;
  readonly base: Base | undefined;
  readonly log: Log;
};

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

/**
 * Pruning: gives up what lies at or below a snapshot height, the *base*, so that a node that does
 * not need old blocks needs no disk for them. What stays is enough to prove the present: the
 * certified header of the base with the whole state after it, headers for the order of proposers,
 * and those of changes of the validators (base-record.ts).
 *
 * Invariants:
 *
 * (1) The base is on disk, with all that stays for it, before the first record below it goes. From
 *     then on nothing below is answered but LEDGER_PRUNED, however far the deletion is.
 * (2) A kill at any moment only leaves more than needed: the mark `m/pruning` makes the next start
 *     go on. The index of a block's transactions goes before the block that it follows from.
 * (3) Of each state key the last value at or below the base stays, unless it was deleted by then.
 * (4) No batch is larger than `pruningBatchOperations`, but that which moves the base: it writes
 *     and deletes kept headers, some 1,024 of each. Appends go in between.
 */
import { decodeReceipt } from "../base/format/receipt.ts";
import { decodeTransaction } from "../base/format/transaction.ts";
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import { scheduleBase } from "../base/proposer-schedule.ts";
import { type KeptHeader, keptOperation, readBase, readKept } from "./base-record.ts";
import { keysOf, type Operation } from "./database.ts";
import { isDeletion } from "./history.ts";
import {
  decodeRecord,
  familyRange,
  heightOfKey,
  putRecord,
  recordKeys,
  stateKeyOf,
  unlessDamaged,
} from "./records.ts";
import { snapshotHeights } from "./state-store.ts";
import type { LedgerStore } from "./store.ts";
import type { StoreRecords } from "./store-types.ts";
import { readValidatorsRows } from "./system-entries.ts";

/** How a store is pruned. */
export type PruneOptions = {
  /** Default `pruningBatchOperations`; at least 2. */
  readonly batchOperations?: number | undefined;
  /** Lets others have their turn between two batches; may throw to end it. */
  pause(): Promise<void>;
};

/** Families whose files shrink. */
const compactedFamilies = ["b", "c", "r", "t", "u", "h"] as const;

/**
 * Returns the height to prune to: the newest snapshot height that leaves so many blocks; `undefined`
 * when there is none above the base.
 */
export function pruningTarget(store: LedgerStore, keepBlocks: number): number | undefined {
  const [target] = snapshotHeights(store.state, store.tip.height - keepBlocks);
  return target !== undefined && target > store.baseHeight ? target : undefined;
}

/** Tells whether a pruning was begun and not ended. */
export async function isPruning({ records }: LedgerStore): Promise<boolean> {
  return (await records.database.get(recordKeys.pruning)) !== undefined;
}

/**
 * Makes a snapshot height the base. What lies below is still on disk, but answered no more.
 *
 * @param options - `keptHeight`: a height whose certified header stays as long as it is there, such
 *   as a checkpoint's.
 * @throws {LedgerError} as the store's reads and appends
 */
export async function moveBase(
  store: LedgerStore,
  height: number,
  { keptHeight }: { readonly keptHeight?: number | undefined } = {},
): Promise<void> {
  const kept = new Map<number, KeptHeader>();
  for (let each = scheduleBase(height + 1); each < height; each += 1)
    kept.set(each, { header: await store.readHeader(each), certificate: undefined });
  const certified = [height, ...changeHeights(store), keptHeight ?? 0];
  for (const each of certified) {
    if (each < 1 || each > height) continue;
    const found = await readWhatIsThere(store, each);
    if (found !== undefined) kept.set(each, found);
  }
  const hash = (await store.readCertified(height))?.hash as Hash;
  const mark = putRecord(recordKeys.pruning, new Uint8Array(0));
  const headers = [...kept.values()].filter((each) => isProven(each, height));
  const outdated = await outdatedHeaders(
    store,
    new Set(headers.map(({ header }) => header.height)),
  );
  await store.records.rebase({ height, hash }, [...headers.map(keptOperation), ...outdated, mark]);
}

/** By its certificate, or by the headers that lead to that of the base. */
function isProven({ header, certificate }: KeptHeader, base: number): boolean {
  return certificate !== undefined || header.height >= scheduleBase(base + 1);
}

/** Headers kept for a former base; nothing proves them any more once the new one stands. */
async function outdatedHeaders(
  { records: { database } }: LedgerStore,
  kept: ReadonlySet<number>,
): Promise<Operation[]> {
  const operations: Operation[] = [];
  for await (const key of keysOf(database, familyRange("k")))
    if (!kept.has(heightOfKey(key) as number)) operations.push({ type: "del", key });
  return operations;
}

/**
 * Deletes what lies at or below the base, then has the database shrink its files. Does nothing
 * when there is no pruning to go on with.
 *
 * @throws {LedgerError} as appends; what `pause` throws. Call it again then, or after a restart.
 */
export async function sweepBelowBase(store: LedgerStore, options: PruneOptions): Promise<void> {
  const { records } = store;
  const base = await readBase(records.database);
  if (base === undefined || !(await isPruning(store))) return;
  const sweep = new Sweep(records, base.height, options);
  await sweep.blocks();
  await sweep.undoLists();
  await sweep.history();
  for (const family of compactedFamilies) {
    await records.database.compact?.(familyRange(family));
    await options.pause();
  }
  await records.write([{ type: "del", key: recordKeys.pruning }]);
}

class Sweep {
  readonly #records: StoreRecords;
  readonly #base: number;
  readonly #options: PruneOptions;
  readonly #batch: number;

  constructor(records: StoreRecords, base: number, options: PruneOptions) {
    this.#records = records;
    this.#base = base;
    this.#options = options;
    this.#batch = options.batchOperations ?? limits.pruningBatchOperations;
  }

  async blocks(): Promise<void> {
    const range = { gte: recordKeys.block(1), lt: recordKeys.block(this.#base + 1) };
    await this.#pages(range, async (keys) => {
      for (const key of keys) await this.#delete(await this.#ofBlock(heightOfKey(key) as number));
    });
  }

  async undoLists(): Promise<void> {
    const range = { gte: recordKeys.undo(0), lt: recordKeys.undo(this.#base + 1) };
    await this.#pages(range, (keys) => this.#delete(keys));
  }

  /** Walks over the history in pages that begin with the last key of the page before. */
  async history(): Promise<void> {
    const { gte, lt } = familyRange("h");
    const limit = this.#batch;
    for (let from = gte; ; ) {
      const keys: string[] = [];
      for await (const key of keysOf(this.#records.database, { gte: from, lt, limit }))
        keys.push(key);
      const isEnd = keys.length < limit;
      const outdated: string[] = [];
      for (const [index, key] of keys.entries()) {
        const next = keys[index + 1];
        if (await this.#isOutdated(key, next)) outdated.push(key);
      }
      await this.#delete(outdated);
      if (isEnd) return;
      from = keys.at(-1) as string;
    }
  }

  async #pages(
    range: { readonly gte: string; readonly lt: string },
    work: (keys: readonly string[]) => Promise<void>,
  ): Promise<void> {
    for (;;) {
      const keys: string[] = [];
      const limit = this.#batch;
      for await (const key of keysOf(this.#records.database, { ...range, limit })) keys.push(key);
      if (keys.length === 0) return;
      await work(keys);
    }
  }

  /** All records of a block, those that lead to others last. */
  async #ofBlock(height: number): Promise<string[]> {
    const ids = await this.#idsOf(height);
    return [
      ...ids.map((id) => recordKeys.transaction(id)),
      recordKeys.receipts(height),
      recordKeys.certificate(height),
      recordKeys.block(height),
    ];
  }

  /** Either record names the transactions, so damage to one of them loses nothing. */
  async #idsOf(height: number): Promise<readonly Hash[]> {
    const { blocks } = this.#records;
    const ofReceipts = async () =>
      (await blocks.readReceipts(height))?.map((bytes) => decodeReceipt(bytes).transactionId);
    const ofBlock = async () =>
      (await blocks.read(height))?.block.transactions.map((bytes) => decodeTransaction(bytes).id);
    return (await unlessDamaged(ofReceipts())) ?? (await unlessDamaged(ofBlock())) ?? [];
  }

  /** (3) */
  async #isOutdated(key: string, next: string | undefined): Promise<boolean> {
    if ((heightOfKey(key) as number) > this.#base) return false;
    const isFollowed =
      next !== undefined &&
      stateKeyOf(next) === stateKeyOf(key) &&
      (heightOfKey(next) as number) <= this.#base;
    if (isFollowed) return true;
    const record = await this.#records.database.get(key);
    return record !== undefined && isDeletion(decodeRecord(key, record));
  }

  /** (4) */
  async #delete(keys: readonly string[]): Promise<void> {
    for (let start = 0; start < keys.length; start += this.#batch) {
      const page = keys.slice(start, start + this.#batch);
      await this.#records.write(page.map((key): Operation => ({ type: "del", key })));
      await this.#options.pause();
    }
  }
}

function changeHeights(store: LedgerStore): number[] {
  return readValidatorsRows(store.state).map(({ height }) => height);
}

/** What was pruned before and not kept can be kept no more. */
async function readWhatIsThere(
  { records: { database, blocks } }: LedgerStore,
  height: number,
): Promise<KeptHeader | undefined> {
  const kept = await readKept(database, height);
  if (kept?.certificate !== undefined) return kept;
  const stored = await blocks.readCertified(height);
  return stored?.certificate === undefined ? kept : stored;
}

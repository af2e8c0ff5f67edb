/**
 * The ledger store: one LevelDB with blocks, receipts, current state and history, behind one
 * facade. What it holds is documented in records.ts. It executes nothing and judges no block: its
 * caller appends what consensus decided and what execution gave.
 *
 * Invariants:
 *
 * (1) A block and all that follows from it are written in one atomic, synced batch: after a kill
 *     at any moment the store holds all of it or nothing.
 * (2) Appends run one after the other, and only the next height is appended.
 * (3) `tip` and `state` move together, after the batch is on disk; what was acknowledged stays.
 * (4) After a failed write nothing is appended before `recover` opened the database anew and
 *     looked whether the batch is on disk: LevelDB may have torn it and would lose what follows.
 * (5) Of what lies at or below the base (base-record.ts) is said LEDGER_PRUNED, never "absent".
 *
 * `open` checks: blocks dense up to the tip record, the tip's records, every record of the current
 * state, and that the state has the root of the tip's header. What it finds, repair.ts can mend.
 * Damage that a read finds later leaves a mark, so that the next open rebuilds and checks all.
 */
import { assert } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import type { Header } from "../base/format/block.ts";
import { type Hash, valueHashOf } from "../base/hash.ts";
import type { Log } from "../base/log.ts";
import { type Base, baseOperation, readBase } from "./base-record.ts";
import {
  BlockStore,
  blockOperations,
  receiptOperations,
  type StoredBlock,
  type StoredHeader,
  type TransactionPlace,
  tipOperation,
} from "./block-store.ts";
import {
  type Database,
  isLevelCorruption,
  type Operation,
  openDatabase,
  unreadable,
} from "./database.ts";
import { History, type HistoryEntry } from "./history.ts";
import { rebuildingOperation, recordKeys } from "./records.ts";
import { StateStore, type StateView } from "./state-store.ts";
import type { StateTree } from "./state-tree.ts";
import {
  blockAbove,
  checkArrived,
  checkedTip,
  checkNext,
  isEmpty,
  writeGenesis,
} from "./store-checks.ts";
import type { StoreOptions, StoreParts, StoreRecords, StoreTip } from "./store-types.ts";
import type { AppendInput } from "./types.ts";

/** What a read may throw without anything being damaged. */
const harmless = new Set<string>([
  "LEDGER_STORE_CLOSED",
  "LEDGER_PRUNED",
  "LEDGER_STORE_UNREADABLE",
]);

/** The append-only store of one chain. */
export class LedgerStore {
  readonly chainId: Hash;
  readonly #database: Database;
  readonly #blocks: BlockStore;
  readonly #states: StateStore;
  readonly #history: History;
  readonly #log: Log;
  #damage: LedgerError | undefined;
  #tip: StoreTip;
  #base: Base | undefined;
  #appending: Promise<void> = Promise.resolve();
  #failure: LedgerError | undefined;
  /** Block above the tip that a failed write left on disk all the same. */
  #arrived: Hash | undefined;

  private constructor(parts: StoreParts) {
    this.#database = parts.database;
    this.#blocks = parts.blocks;
    this.#states = parts.states;
    this.#history = new History(parts.database);
    this.#log = parts.log;
    this.#states.onDamage = (error) => this.#onDamage(error);
    this.#states.baseHeight = () => this.baseHeight;
    this.#tip = parts.tip;
    this.#base = parts.base;
    this.chainId = parts.chainId;
  }

  /**
   * Opens the store of a chain, and writes the genesis into an empty one.
   *
   * @throws {LedgerError} LEDGER_CHAIN_MISMATCH; LEDGER_STORE_LOCKED, LEDGER_STORE_UNREADABLE;
   *   and what `openRepaired` of repair.ts mends: LEDGER_HOLE, LEDGER_BLOCK_CORRUPT,
   *   LEDGER_STATE_CORRUPT.
   */
  static async open(options: StoreOptions): Promise<LedgerStore> {
    const { directory, genesis, log } = options;
    assert((directory === undefined) !== (options.database === undefined), "one place is given");
    const database = options.database ?? (await openDatabase(directory as string));
    try {
      const blocks = new BlockStore(database);
      if (await isEmpty(database)) await writeGenesis(database, genesis);
      const base = await readBase(database);
      const { header, hash } = await checkedTip(database, genesis, { blocks, base });
      const tip = { height: header.height, root: header.stateRoot };
      const states = await StateStore.load(database, tip, (keys) =>
        options.onProgress?.({ stage: "state", keys }),
      );
      const { height } = header;
      const { chainId } = genesis;
      log.info({ chainId, height, hash, keys: states.current.tree.size }, "ledger store opened");
      const parts = { database, blocks, states, base, log, chainId };
      return new LedgerStore({ ...parts, tip: { height, hash, header } });
    } catch (error) {
      if (options.database === undefined) await database.close();
      throw unreadable(error, directory ?? "");
    }
  }

  /** The last appended block. */
  get tip(): StoreTip {
    return this.#tip;
  }

  /** Height up to which there are no blocks here, 0 when there are all. */
  get baseHeight(): number {
    return this.#base?.height ?? 0;
  }

  /** The records, for pruning.ts and snapshot-source.ts. */
  get records(): StoreRecords {
    return {
      database: this.#database,
      blocks: this.#blocks,
      write: (operations) =>
        this.#inTurn(() => this.#write(this.#tip.height, operations, { sync: false })),
      rebase: (base, operations) =>
        this.#inTurn(async () => {
          await this.#write(this.#tip.height, [...operations, baseOperation(base)]);
          this.#base = base;
        }),
    };
  }

  /** What a read found damaged first since the start; the next open repairs it. */
  get damage(): LedgerError | undefined {
    return this.#damage;
  }

  /**
   * The state after the tip, as a fixed view: it goes on answering for its height while later
   * blocks are appended. Take it anew for each use; a view that is kept keeps old values in memory.
   */
  get state(): StateView {
    return this.#states.current;
  }

  /** The state tree after the tip. */
  get stateTree(): StateTree {
    return this.#states.current.tree;
  }

  /** See StateStore.treeAt. */
  stateTreeAt(height: number): Promise<StateTree | undefined> {
    return this.#states.treeAt(height);
  }

  /** See StateStore.snapshotTree. */
  snapshotTree(height: number): Promise<StateTree | undefined> {
    return this.#states.snapshotTree(height);
  }

  /**
   * Appends the next block and returns once it is on disk.
   *
   * @throws {LedgerError} LEDGER_HEIGHT_GAP; LEDGER_ROOT_DIFFERS when the changes do not lead to
   *   the header's state root (nothing is written); LEDGER_WRITE_FAILED, then for every append
   *   until `recover` succeeds.
   */
  append(input: AppendInput): Promise<void> {
    return this.#inTurn(() => this.#append(input));
  }

  /**
   * Goes on after a failed write: opens the database anew and looks what became of the block. It
   * is still not appended then: append it again, whether it is on disk or not.
   *
   * @throws {LedgerError} LEDGER_STORE_UNREADABLE as long as LevelDB cannot be opened, such as for
   *   want of room: call again later. LEDGER_HOLE, LEDGER_BLOCK_CORRUPT when only a repair helps.
   */
  recover(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#failure === undefined) return;
      await this.#database.renew?.();
      this.#base = await readBase(this.#database);
      this.#arrived = await this.#reading(() => blockAbove(this.#blocks, this.#tip));
      this.#failure = undefined;
    });
  }

  /**
   * Reads a block; `undefined` above the tip. The genesis has no certificate.
   *
   * @throws {LedgerError} LEDGER_PRUNED, LEDGER_BLOCK_CORRUPT or LEDGER_HOLE
   */
  async readBlock(height: number): Promise<StoredBlock | undefined> {
    return this.#atHeight(height, () => this.#blocks.read(height));
  }

  /**
   * Reads the bytes of a block and its certificate as they go to peers; the genesis, which peers
   * derive themselves, has an empty certificate. `undefined` above the tip.
   *
   * @throws {LedgerError} LEDGER_BLOCK_CORRUPT or LEDGER_HOLE
   */
  async readBlockBytes(
    height: number,
  ): Promise<{ block: Uint8Array; certificate: Uint8Array } | undefined> {
    return this.#atHeight(height, () => this.#blocks.readBytes(height));
  }

  /** Reads the header of a block up to the tip. @throws {LedgerError} as `readCertified` */
  async readHeader(height: number): Promise<Header> {
    const stored = await this.readCertified(height);
    assert(stored !== undefined, "a header is read up to the tip");
    return stored.header;
  }

  /**
   * Reads the header of a block with its certificate, which some kept headers of pruned blocks do
   * not have; `undefined` above the tip.
   *
   * @throws {LedgerError} as `readBlock`
   */
  async readCertified(height: number): Promise<StoredHeader | undefined> {
    if (height > this.#tip.height) return undefined;
    const stored = await this.#reading(() => this.#blocks.readCertified(height));
    if (stored === undefined) return this.#atHeight(height, async () => undefined);
    return stored;
  }

  /**
   * Reads the encoded receipts of a block, in the order of its transactions; none above the tip.
   *
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT or LEDGER_HOLE
   */
  async readReceipts(height: number): Promise<Uint8Array[]> {
    return (await this.#atHeight(height, () => this.#blocks.readReceipts(height))) ?? [];
  }

  /** Finds a final transaction above the base. @throws {LedgerError} LEDGER_RECORD_CORRUPT */
  async findTransaction(id: Hash): Promise<TransactionPlace | undefined> {
    const place = await this.#reading(() => this.#blocks.findTransaction(id));
    return place === undefined || this.#isPruned(place.height) ? undefined : place;
  }

  /**
   * Returns what a state key held after a height, and the height that wrote it; `undefined` when
   * it had never been written by then. A deleted key has the value `undefined`. What was written
   * up to the base may be said to be written later, up to the base.
   *
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT, LEDGER_PRUNED below the base
   */
  async readValueAt(
    key: string,
    height: number,
  ): Promise<{ value: string | undefined; writtenAt: number } | undefined> {
    const found = await this.#reading(() => this.#history.readValueAt(key, height));
    if (height < this.baseHeight) throw this.#pruned(height);
    return found;
  }

  /** Reads the value of a key whose hash is in the state tree of a height. @throws as above */
  async readProvenValue(key: string, height: number, valueHash: Hash): Promise<string> {
    const value = (await this.readValueAt(key, height))?.value;
    if (value !== undefined && valueHashOf(value) === valueHash) return value;
    const facts = { key: recordKeys.history(key, height), height };
    throw this.#noted(new LedgerError("LEDGER_RECORD_CORRUPT", facts));
  }

  /**
   * Lists what a state key was given, ascending by height.
   *
   * @param query - First height, default 0, and the most entries, default 100.
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT, LEDGER_PRUNED up to the base
   */
  async history(
    key: string,
    query: { readonly from?: number; readonly limit?: number } = {},
  ): Promise<HistoryEntry[]> {
    const { from = 0, limit = 100 } = query;
    const entries = await this.#reading(() => this.#history.list(key, { from, limit }));
    if (this.#isPruned(Math.max(1, from))) throw this.#pruned(from);
    return entries;
  }

  /** Waits for the append under way and closes the database. */
  async close(): Promise<void> {
    await this.#appending;
    await this.#database.close();
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#appending.then(work);
    // The next in line must come to its turn whatever became of this one.
    this.#appending = done.catch(() => {});
    return done;
  }

  async #append(input: AppendInput): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const { block, changes, stateTree } = input;
    const { header, hash } = block;
    const { height } = header;
    checkNext(input, { ...this.#tip, chainId: this.chainId });
    const staged = this.#states.stage({ height, changes, stateTree });
    const [expected, actual] = [header.stateRoot, staged.tree.root];
    if (actual !== expected)
      throw new LedgerError("LEDGER_ROOT_DIFFERS", { height, root: "stateRoot", expected, actual });
    const operations = [
      ...blockOperations(block, input.certificate),
      ...receiptOperations(height, input.receipts, input.transactionIds),
      ...staged.operations,
      tipOperation({ chainId: this.chainId, height, hash }),
    ];
    this.#states.prepare(staged);
    if (this.#arrived === undefined) await this.#write(height, operations);
    else checkArrived(this.#arrived, { height, hash });
    this.#states.adopt(staged);
    this.#arrived = undefined;
    this.#tip = { height, hash, header };
  }

  async #write(height: number, operations: Operation[], options = { sync: true }): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await this.#database.batch(operations, options);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#failure = new LedgerError("LEDGER_WRITE_FAILED", { height, reason }, { cause });
      this.#log.error({ height, reason }, "block not written");
      throw this.#failure;
    }
  }

  /** From the base to the tip something is stored at every height, so its absence is a loss. */
  async #atHeight<T>(height: number, read: () => Promise<T | undefined>): Promise<T | undefined> {
    return this.#reading(async () => {
      try {
        const stored = await read();
        if (stored !== undefined && !this.#isPruned(height)) return stored;
      } catch (error) {
        if (!this.#isPruned(height)) throw error;
      }
      if (this.#isPruned(height)) throw this.#pruned(height);
      if (height < 0 || height > this.#tip.height) return undefined;
      throw new LedgerError("LEDGER_HOLE", { height });
    });
  }

  #isPruned(height: number): boolean {
    return height > 0 && height <= this.baseHeight;
  }

  #pruned(height: number): LedgerError {
    return new LedgerError("LEDGER_PRUNED", { height, baseHeight: this.baseHeight });
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw this.#noted(error);
    }
  }

  /** What LevelDB cannot read at the moment is no damage; what it cannot make sense of is. */
  #noted(error: unknown): unknown {
    const known = unreadable(error, "");
    const isHarmless = !(known instanceof LedgerError) || harmless.has(known.code);
    if (!isHarmless || isLevelCorruption(error)) this.#onDamage(known as LedgerError);
    return known;
  }

  /** Leaves a mark so that the next open checks and rebuilds everything (see repair.ts). */
  #onDamage(error: LedgerError): void {
    if (this.#damage !== undefined) return;
    this.#damage = error;
    const { code, facts } = error;
    this.#log.error({ code, ...facts }, "ledger store is damaged; restart the node to repair it");
    this.#database.batch([rebuildingOperation()], { sync: true }).catch((cause: unknown) => {
      this.#log.error({ cause: String(cause) }, "the mark for the repair cannot be written");
    });
  }
}

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
 * (4) After a failed write nothing is appended any more: whether the batch is on disk is unknown
 *     until the store is opened again.
 *
 * `open` checks: blocks dense up to the tip record, the tip's records, every record of the current
 * state, and that the state has the root of the tip's header. What it finds, repair.ts can mend.
 * Damage that a read finds later leaves a mark, so that the next open rebuilds and checks all.
 */
import { assert } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import type { Header } from "../base/format/block.ts";
import type { GenesisBlock } from "../base/format/genesis.ts";
import type { Hash } from "../base/hash.ts";
import type { Log } from "../base/log.ts";
import {
  BlockStore,
  blockOfGenesis,
  blockOperations,
  receiptOperations,
  type StoredBlock,
  type TipRecord,
  type TransactionPlace,
  tipOperation,
} from "./block-store.ts";
import { type Database, keysOf, type Operation, openDatabase, unreadable } from "./database.ts";
import { History, type HistoryEntry } from "./history.ts";
import { putRecord, recordKeys } from "./records.ts";
import { StateStore, type StateView } from "./state-store.ts";
import type { StateTree } from "./state-tree.ts";
import type { AppendInput } from "./types.ts";

/** How far the check at open is. */
export type OpenProgress = { readonly stage: "state"; readonly keys: number };

/** What a store is opened with: a directory, or a database that the store then owns. */
export type StoreOptions = {
  readonly directory?: string | undefined;
  readonly database?: Database | undefined;
  readonly genesis: GenesisBlock;
  readonly log: Log;
  readonly onProgress?: ((progress: OpenProgress) => void) | undefined;
};

/** The last appended block. */
export type StoreTip = { readonly height: number; readonly hash: Hash; readonly header: Header };

/** The append-only store of one chain. */
export class LedgerStore {
  readonly chainId: Hash;
  readonly #database: Database;
  readonly #blocks: BlockStore;
  readonly #states: StateStore;
  readonly #history: History;
  readonly #log: Log;
  #isDamaged = false;
  #tip: StoreTip;
  #appending: Promise<void> = Promise.resolve();
  #failure: LedgerError | undefined;

  private constructor(parts: {
    readonly database: Database;
    readonly blocks: BlockStore;
    readonly states: StateStore;
    readonly chainId: Hash;
    readonly tip: StoreTip;
    readonly log: Log;
  }) {
    this.#database = parts.database;
    this.#blocks = parts.blocks;
    this.#states = parts.states;
    this.#history = new History(parts.database);
    this.#log = parts.log;
    this.#states.onDamage = (error) => this.#onDamage(error);
    this.#tip = parts.tip;
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
      const { block } = await checkedTip(database, blocks, genesis);
      const { header, hash } = block;
      const tip = { height: header.height, root: header.stateRoot };
      const states = await StateStore.load(database, tip, (keys) =>
        options.onProgress?.({ stage: "state", keys }),
      );
      const { height } = header;
      const keys = states.current.tree.size;
      log.info({ chainId: genesis.chainId, height, hash, keys }, "ledger store opened");
      const parts = { database, blocks, states, log, chainId: genesis.chainId };
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

  /**
   * Returns the state tree after one of the last `stateHistoryBlocks` heights, also after a
   * restart; `undefined` for all others.
   *
   * @throws {LedgerError} LEDGER_STATE_CORRUPT
   */
  stateTreeAt(height: number): StateTree | undefined {
    return this.#states.treeAt(height);
  }

  /**
   * Appends the next block and returns once it is on disk.
   *
   * @throws {LedgerError} LEDGER_HEIGHT_GAP; LEDGER_ROOT_DIFFERS when the changes do not lead to
   *   the header's state root (nothing is written); LEDGER_WRITE_FAILED, then for every append.
   */
  append(input: AppendInput): Promise<void> {
    const appended = this.#appending.then(() => this.#append(input));
    // The next in line must come to its turn whatever became of this one.
    this.#appending = appended.catch(() => {});
    return appended;
  }

  /**
   * Reads a block; `undefined` above the tip. The genesis has no certificate.
   *
   * @throws {LedgerError} LEDGER_BLOCK_CORRUPT or LEDGER_HOLE
   */
  async readBlock(height: number): Promise<StoredBlock | undefined> {
    return this.#reading(() => this.#atHeight(height, this.#blocks.read(height)));
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
    return this.#reading(() => this.#atHeight(height, this.#blocks.readBytes(height)));
  }

  /** Reads the header of a block up to the tip. @throws {LedgerError} as `readBlock` */
  async readHeader(height: number): Promise<Header> {
    const stored = await this.readBlock(height);
    assert(stored !== undefined, "a header is read up to the tip");
    return stored.block.header;
  }

  /**
   * Reads the encoded receipts of a block, in the order of its transactions; none above the tip.
   *
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT or LEDGER_HOLE
   */
  async readReceipts(height: number): Promise<Uint8Array[]> {
    const read = () => this.#atHeight(height, this.#blocks.readReceipts(height));
    return (await this.#reading(read)) ?? [];
  }

  /** Finds a final transaction. @throws {LedgerError} LEDGER_RECORD_CORRUPT */
  async findTransaction(id: Hash): Promise<TransactionPlace | undefined> {
    return this.#reading(() => this.#blocks.findTransaction(id));
  }

  /**
   * Returns what a state key held after a height, and the height that wrote it; `undefined` when
   * it had never been written by then. A deleted key has the value `undefined`.
   *
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT
   */
  async readValueAt(
    key: string,
    height: number,
  ): Promise<{ value: string | undefined; writtenAt: number } | undefined> {
    return this.#reading(() => this.#history.readValueAt(key, height));
  }

  /**
   * Lists what a state key was given, ascending by height.
   *
   * @param query - First height, default 0, and the most entries, default 100.
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT
   */
  async history(
    key: string,
    query: { readonly from?: number; readonly limit?: number } = {},
  ): Promise<HistoryEntry[]> {
    const { from = 0, limit = 100 } = query;
    return this.#reading(() => this.#history.list(key, { from, limit }));
  }

  /** Waits for the append under way and closes the database. */
  async close(): Promise<void> {
    await this.#appending;
    await this.#database.close();
  }

  async #append(input: AppendInput): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const { block, changes, stateTree } = input;
    const { header, hash } = block;
    const { height } = header;
    this.#checkNext(input);
    const staged = this.#states.stage({ height, changes, stateTree });
    if (staged.tree.root !== header.stateRoot)
      throw new LedgerError("LEDGER_ROOT_DIFFERS", {
        height,
        root: "stateRoot",
        expected: header.stateRoot,
        actual: staged.tree.root,
      });
    const operations = [
      ...blockOperations(block, input.certificate),
      ...receiptOperations(height, input.receipts, input.transactionIds),
      ...staged.operations,
      tipOperation({ chainId: this.chainId, height, hash }),
    ];
    this.#states.prepare(staged);
    await this.#write(height, operations);
    this.#states.adopt(staged);
    this.#tip = { height, hash, header };
  }

  #checkNext({ block, certificate, receipts, transactionIds }: AppendInput): void {
    const { header, hash, transactions } = block;
    const expected = this.#tip.height + 1;
    if (header.height !== expected)
      throw new LedgerError("LEDGER_HEIGHT_GAP", { expected, actual: header.height });
    assert(header.chainId === this.chainId, "an appended block is of this chain");
    assert(header.parentHash === this.#tip.hash, "an appended block follows the tip");
    assert(certificate.blockHash === hash, "the certificate is for the appended block");
    assert(certificate.height === header.height, "the certificate is for the appended height");
    assert(receipts.length === transactions.length, "every transaction has a receipt");
    assert(transactionIds.length === transactions.length, "every transaction has an id");
  }

  async #write(height: number, operations: Operation[]): Promise<void> {
    try {
      await this.#database.batch(operations, { sync: true });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#failure = new LedgerError("LEDGER_WRITE_FAILED", { height, reason }, { cause });
      this.#log.error({ height, reason }, "block not written; this node appends no more");
      throw this.#failure;
    }
  }

  /** Up to the tip something is stored at every height, so its absence is a loss. */
  async #atHeight<T>(height: number, reading: Promise<T | undefined>): Promise<T | undefined> {
    const stored = await reading;
    if (stored === undefined && height >= 0 && height <= this.#tip.height)
      throw new LedgerError("LEDGER_HOLE", { height });
    return stored;
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof LedgerError) this.#onDamage(error);
      throw error;
    }
  }

  /** Leaves a mark so that the next open checks and rebuilds everything (see repair.ts). */
  #onDamage(error: LedgerError): void {
    if (this.#isDamaged) return;
    this.#isDamaged = true;
    const { code, facts } = error;
    this.#log.error({ code, ...facts }, "ledger store is damaged; restart the node to repair it");
    const mark = putRecord(recordKeys.rebuilding, new Uint8Array(0));
    this.#database.batch([mark], { sync: true }).catch((cause: unknown) => {
      this.#log.error({ cause: String(cause) }, "the mark for the repair cannot be written");
    });
  }
}

/** Makes the writes that begin a chain: genesis block, its state, and the tip. */
export function genesisOperations(database: Database, genesis: GenesisBlock): Operation[] {
  const { chainId, header, state } = genesis;
  const staged = StateStore.empty(database).stage({ height: 0, changes: state });
  assert(staged.tree.root === header.stateRoot, "the genesis header states the genesis state");
  return [
    ...blockOperations(blockOfGenesis(genesis), undefined),
    ...receiptOperations(0, [], []),
    ...staged.operations,
    tipOperation({ chainId, height: 0, hash: chainId }),
  ];
}

async function writeGenesis(database: Database, genesis: GenesisBlock): Promise<void> {
  await database.batch(genesisOperations(database, genesis), { sync: true });
}

async function isEmpty(database: Database): Promise<boolean> {
  for await (const _ of keysOf(database, { gte: "", lt: "~", limit: 1 })) return false;
  return true;
}

/** Reads the tip after checking that the chain is this one and that nothing is missing below. */
async function checkedTip(
  database: Database,
  blocks: BlockStore,
  genesis: GenesisBlock,
): Promise<StoredBlock> {
  const tip = await readTipRecord(blocks);
  await checkChain(blocks, tip, genesis);
  const { dense, greatest } = await blocks.scanHeights();
  if (tip === undefined || tip.height !== greatest || dense !== greatest)
    throw new LedgerError("LEDGER_HOLE", { height: dense + 1 });
  const stored = await blocks.read(tip.height);
  if (stored === undefined) throw new LedgerError("LEDGER_HOLE", { height: tip.height });
  if (stored.block.hash !== tip.hash)
    throw new LedgerError("LEDGER_BLOCK_CORRUPT", {
      height: tip.height,
      reason: "its hash is not that of the tip record",
    });
  await checkDerived(database, blocks, tip.height);
  return stored;
}

/** Checks what can be made anew from the blocks; the state itself is checked when it is loaded. */
async function checkDerived(database: Database, blocks: BlockStore, height: number): Promise<void> {
  const corrupt = (reason: string, cause?: unknown) =>
    new LedgerError("LEDGER_STATE_CORRUPT", { height, reason }, { cause });
  if ((await database.get(recordKeys.rebuilding)) !== undefined)
    throw corrupt("damage was found, or a repair was interrupted");
  const receipts = await blocks.readReceipts(height).catch((cause: unknown) => {
    throw corrupt("the receipts of the last block are damaged", cause);
  });
  if (receipts === undefined) throw corrupt("the receipts of the last block are missing");
}

/** A damaged tip record is as good as a missing one: blocks above the last whole one are lost. */
async function readTipRecord(blocks: BlockStore): Promise<TipRecord | undefined> {
  try {
    return await blocks.readTip();
  } catch (error) {
    if (error instanceof LedgerError) return undefined;
    throw error;
  }
}

async function checkChain(
  blocks: BlockStore,
  tip: TipRecord | undefined,
  genesis: GenesisBlock,
): Promise<void> {
  const expected = genesis.chainId;
  const actual = tip?.chainId ?? (await blocks.read(0))?.block.hash ?? expected;
  if (actual !== expected) throw new LedgerError("LEDGER_CHAIN_MISMATCH", { expected, actual });
}

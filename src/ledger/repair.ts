/**
 * Mends a damaged ledger store at start, so that a node never stays down for damage that its own
 * blocks or its peers can heal:
 *
 * | what open found | what is done |
 * |---|---|
 * | LevelDB cannot read its files, or a table is damaged after a crash | damaged files are put aside (salvage.ts), then the state is rebuilt |
 * | LEDGER_HOLE, LEDGER_BLOCK_CORRUPT at a height | blocks from there on are dropped (truncate.ts); peers have them |
 * | the same at height 0 | the genesis block is written again: it follows from the genesis file |
 * | LEDGER_STATE_CORRUPT | receipts, index, state and history are made anew from the blocks |
 * | LEDGER_BASE_CORRUPT | nothing here: the caller fetches a snapshot anew |
 *
 * Invariants:
 *
 * (1) A kill during a repair only makes it begin again: the mark `m/rebuilding` is on disk before
 *     the first derived record goes, and leaves after the last one came.
 * (2) A block is only dropped when it is damaged, missing, or stands above such a one. Derived
 *     records only go after all blocks were found whole.
 * (3) Blocks that are whole but lead to other roots than certified are never touched: that is
 *     LEDGER_ROOT_DIFFERS, a matter for people.
 *
 * A dropped block was certified, so its height cannot be decided otherwise; what this validator
 * signed is in its signing record, outside of this directory (D15).
 */
import { LedgerError } from "../base/errors.ts";
import type { Block, Header } from "../base/format/block.ts";
import type { GenesisBlock } from "../base/format/genesis.ts";
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import { merkleRoot } from "../base/proof/merkle.ts";
import { type Base, readBase, readBaseHeader } from "./base-record.ts";
import { readBaseState } from "./base-state.ts";
import { BlockStore, blockOfGenesis, blockOperations, receiptOperations } from "./block-store.ts";
import { type Database, deleteRange, openDatabase, unreadable } from "./database.ts";
import {
  derivedFamilies,
  familyRange,
  heightOfKey,
  putRecord,
  rebuildingOperation,
  recordKeys,
  unlessDamaged,
} from "./records.ts";
import { checkFiles, isTableDamaged, markIfLost, salvage } from "./salvage.ts";
import { encodeStateValue, StateStore } from "./state-store.ts";
import { LedgerStore } from "./store.ts";
import type { StoreOptions } from "./store-types.ts";
import { truncateFrom } from "./truncate.ts";
import type { Execute, Executed } from "./types.ts";

/** What a store is opened and mended with. */
export type RepairOptions = StoreOptions & {
  /** Executes blocks again; must give what the validators certified. */
  readonly execute: Execute;
  /**
   * The operator asks for it, as `chain verify` said: the store counts as damaged whatever `open`
   * finds, which does not read old receipts and history. All files are checked byte by byte,
   * damaged ones put aside, and everything is rebuilt from the blocks.
   */
  readonly isThorough?: boolean | undefined;
  /**
   * The last process that had the store open did not end orderly. Its tables are checked byte by
   * byte first: over some damage LevelDB ends the process, which then must not happen again and
   * again.
   */
  readonly hasCrashed?: boolean | undefined;
  /** There is nobody to fetch blocks from: none is given up then, unless `isThorough`. */
  readonly isAlone?: boolean | undefined;
};

/** More rounds than this make no progress: a rebuild meets each damaged block only once. */
const repairsMax = 16;

/**
 * Opens the store of a chain and mends it first if need be, saying loudly what it does. The tip
 * may be lower afterwards than it was: fetch the missing blocks from peers.
 *
 * @throws {LedgerError} what cannot be mended: LEDGER_CHAIN_MISMATCH, LEDGER_ROOT_DIFFERS,
 *   LEDGER_STORE_LOCKED, LEDGER_STORE_UNREADABLE, LEDGER_REPAIR_REFUSED.
 */
export async function openRepaired(options: RepairOptions): Promise<LedgerStore> {
  let damage: LedgerError | undefined;
  await checkFiles(options);
  for (let repairs = 0; repairs < repairsMax; repairs += 1) {
    try {
      if (damage !== undefined) await repair(options, damage);
      await markIfLost(options);
      return await LedgerStore.open(options);
    } catch (error) {
      if (!(error instanceof LedgerError) || !(await isMendable(error, options))) throw error;
      options.log.error({ code: error.code, ...error.facts }, "ledger store needs repair");
      // A record under a garbled key can be neither read nor deleted: then the file has to go.
      if (error.message === damage?.message) await salvage(options, error);
      damage = error;
    }
  }
  throw damage as LedgerError;
}

/**
 * Makes receipts, index, state and history anew by executing all blocks, from the genesis or the
 * base on.
 *
 * @throws {LedgerError} LEDGER_BLOCK_CORRUPT or LEDGER_HOLE for a block that is not whole,
 *   LEDGER_ROOT_DIFFERS when execution gives other roots than certified, LEDGER_BASE_CORRUPT.
 */
export async function rebuildState(
  database: Database,
  genesis: GenesisBlock,
  execute: Execute,
): Promise<void> {
  await database.batch([rebuildingOperation()], { sync: true });
  const blocks = new BlockStore(database);
  const greatest = await checkBlocks(database, genesis);
  const begun = await beginRebuild(database, genesis);
  const { states } = begun;
  let { parent } = begun;
  for (let height = parent.header.height + 1; height <= greatest; height += 1) {
    const block = await readNext(blocks, parent);
    const { header, transactions } = block;
    const executed = await execute({ header, transactions, state: states.current });
    const staged = states.stage({ height, changes: executed.changes });
    checkRoots(block, executed, staged.tree.root);
    states.prepare(staged);
    const { transactionIds } = executed;
    const derived = receiptOperations(height, executed.receipts, transactionIds);
    await database.batch([...derived, ...staged.operations], { sync: true });
    states.adopt(staged);
    parent = block;
  }
  await database.batch([{ type: "del", key: recordKeys.rebuilding }], { sync: true });
}

/** (2) @returns The greatest height. @throws {LedgerError} of the first block that is damaged. */
async function checkBlocks(database: Database, genesis: GenesisBlock): Promise<number> {
  const blocks = new BlockStore(database);
  if ((await blocks.read(0)) === undefined) throw new LedgerError("LEDGER_HOLE", { height: 0 });
  const base = await readBase(database);
  let parent: Parent =
    base === undefined
      ? blockOfGenesis(genesis)
      : { header: (await readBaseHeader(database, base)).header, hash: base.hash };
  const { greatest } = await blocks.scanHeights(parent.header.height);
  while (parent.header.height < greatest) parent = await readNext(blocks, parent);
  return greatest;
}

type Parent = { readonly header: Header; readonly hash: Hash };

/** Empties the derived records and makes the state that the first block to execute builds on. */
async function beginRebuild(
  database: Database,
  genesis: GenesisBlock,
): Promise<{ states: StateStore; parent: Parent }> {
  const base = await readBase(database);
  if (base !== undefined) return beginAtBase(database, base);
  for (const family of derivedFamilies) await deleteRange(database, familyRange(family));
  const states = StateStore.empty(database);
  const founding = states.stage({ height: 0, changes: genesis.state });
  const receipts = receiptOperations(0, [], []);
  await database.batch([...receipts, ...founding.operations], { sync: true });
  states.adopt(founding);
  return { states, parent: blockOfGenesis(genesis) };
}

/** What the history holds at the base does not follow from blocks: it is checked, and stays. */
async function beginAtBase(
  database: Database,
  base: Base,
): Promise<{ states: StateStore; parent: Parent }> {
  const { header } = await readBaseHeader(database, base);
  const entries = await readBaseState(database, base);
  for (const family of derivedFamilies)
    if (family !== "h") await deleteRange(database, familyRange(family));
  const isAbove = (key: string) => (heightOfKey(key) ?? Number.POSITIVE_INFINITY) > base.height;
  await deleteRange(database, familyRange("h"), isAbove);
  let operations = receiptOperations(0, [], []);
  for (const { key, value, writtenAt } of entries) {
    operations.push(putRecord(recordKeys.state(key), encodeStateValue(value, writtenAt)));
    if (operations.length < limits.repairBatchOperations) continue;
    await database.batch(operations, { sync: false });
    operations = [];
  }
  await database.batch(operations, { sync: true });
  const tip = { height: base.height, root: header.stateRoot };
  return { states: await StateStore.load(database, tip), parent: { header, hash: base.hash } };
}

async function isMendable(error: LedgerError, { directory }: RepairOptions): Promise<boolean> {
  switch (error.code) {
    case "LEDGER_HOLE":
    case "LEDGER_BLOCK_CORRUPT":
    case "LEDGER_STATE_CORRUPT":
      return true;
    case "LEDGER_STORE_UNREADABLE":
      if (directory === undefined) return false;
      return error.facts.salvageable === true || (await isTableCut(directory, error));
    default:
      return false;
  }
}

/**
 * LevelDB reads beyond the end of a table that was cut off and takes that for an error of the
 * system. Other such errors, a full disk above all, must not end in a salvage.
 */
async function isTableCut(directory: string, { facts }: LedgerError): Promise<boolean> {
  if (!("reason" in facts) || !String(facts.reason).includes("Invalid argument")) return false;
  return isTableDamaged(directory);
}

async function repair(options: RepairOptions, damage: LedgerError): Promise<void> {
  const { directory, genesis, execute, log } = options;
  if (damage.code === "LEDGER_STORE_UNREADABLE") return salvage(options, damage);
  const database = options.database ?? (await openDatabase(directory as string));
  try {
    const height = Number(damage.facts.height);
    if (damage.code === "LEDGER_STATE_CORRUPT") {
      log.warn({ height }, "rebuilding the state by executing all blocks again");
      await rebuildState(database, genesis, execute);
    } else if (height === 0) {
      log.warn({}, "writing the genesis block again");
      await restoreGenesis(database, genesis);
    } else {
      await truncateFrom(database, height, options);
    }
  } catch (error) {
    throw unreadable(error, directory ?? "");
  } finally {
    if (options.database === undefined) await database.close();
  }
}

async function restoreGenesis(database: Database, genesis: GenesisBlock): Promise<void> {
  // With both genesis block and tip record lost, the next block still says which chain this is.
  const first = await unlessDamaged(new BlockStore(database).read(1));
  const actual = first?.block.header.chainId ?? genesis.chainId;
  const expected = genesis.chainId;
  if (actual !== expected) throw new LedgerError("LEDGER_CHAIN_MISMATCH", { expected, actual });
  const operations = blockOperations(blockOfGenesis(genesis), undefined);
  await database.batch([...operations, rebuildingOperation()], { sync: true });
}

async function readNext(blocks: BlockStore, parent: Parent): Promise<Block> {
  const height = parent.header.height + 1;
  const stored = await blocks.read(height);
  if (stored === undefined) throw new LedgerError("LEDGER_HOLE", { height });
  const { block } = stored;
  const reason =
    block.header.height !== height || block.header.parentHash !== parent.hash
      ? "it does not follow the block below"
      : block.header.transactionsRoot !== merkleRoot(block.transactions)
        ? "its transactions have another root than its header states"
        : undefined;
  if (reason !== undefined) throw new LedgerError("LEDGER_BLOCK_CORRUPT", { height, reason });
  return block;
}

function checkRoots({ header }: Block, { receipts }: Executed, stateRoot: string): void {
  const rows = [
    ["stateRoot", header.stateRoot, stateRoot],
    ["receiptsRoot", header.receiptsRoot, merkleRoot(receipts)],
  ] as const;
  for (const [root, expected, actual] of rows)
    if (expected !== actual) {
      const { height } = header;
      throw new LedgerError("LEDGER_ROOT_DIFFERS", { height, root, expected, actual });
    }
}

/**
 * Checks of a ledger store that its facade (store.ts) makes when it opens, and when it goes on
 * after a failed write; and the writes that begin a chain. They read and judge; repair.ts mends.
 */
import { assert } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import type { GenesisBlock } from "../base/format/genesis.ts";
import type { Hash } from "../base/hash.ts";
import { type Base, readBaseHeaders } from "./base-record.ts";
import {
  type BlockStore,
  blockOfGenesis,
  blockOperations,
  receiptOperations,
  type StoredHeader,
  type TipRecord,
  tipOperation,
} from "./block-store.ts";
import { type Database, keysOf, type Operation } from "./database.ts";
import { isDamage, recordKeys, unlessDamaged } from "./records.ts";
import { StateStore } from "./state-store.ts";
import type { AppendInput } from "./types.ts";

/** Makes the writes that begin a chain: genesis block, its state, and the tip. */
function genesisOperations(database: Database, genesis: GenesisBlock): Operation[] {
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

/** Writes the genesis into an empty store. */
export async function writeGenesis(database: Database, genesis: GenesisBlock): Promise<void> {
  await database.batch(genesisOperations(database, genesis), { sync: true });
}

/** Tells whether a database holds nothing at all. */
export async function isEmpty(database: Database): Promise<boolean> {
  for await (const _ of keysOf(database, { gte: "", lt: "~", limit: 1 })) return false;
  return true;
}

/**
 * Reads the tip after checking that the chain is this one and that nothing is missing below, down
 * to the base if there is one.
 *
 * @throws {LedgerError} LEDGER_CHAIN_MISMATCH, LEDGER_HOLE, LEDGER_BLOCK_CORRUPT,
 *   LEDGER_STATE_CORRUPT, LEDGER_BASE_CORRUPT.
 */
export async function checkedTip(
  database: Database,
  genesis: GenesisBlock,
  { blocks, base }: { readonly blocks: BlockStore; readonly base: Base | undefined },
): Promise<StoredHeader> {
  const tip = await readTipRecord(blocks);
  await checkChain(blocks, tip, genesis);
  if (base !== undefined) await readBaseHeaders(database, base);
  const { dense, greatest } = await blocks.scanHeights(base?.height);
  if (tip === undefined || tip.height !== greatest || dense !== greatest)
    throw new LedgerError("LEDGER_HOLE", { height: dense + 1 });
  const stored = await blocks.readCertified(tip.height);
  if (stored === undefined) throw new LedgerError("LEDGER_HOLE", { height: tip.height });
  if (stored.hash !== tip.hash)
    throw new LedgerError("LEDGER_BLOCK_CORRUPT", {
      height: tip.height,
      reason: "its hash is not that of the tip record",
    });
  const isBase = base?.height === tip.height;
  await checkDerived(database, tip.height, isBase ? undefined : blocks);
  return stored;
}

/** Checks what can be made anew from the blocks; the state itself is checked when it is loaded. */
async function checkDerived(
  database: Database,
  height: number,
  blocks: BlockStore | undefined,
): Promise<void> {
  const corrupt = (reason: string, cause?: unknown) =>
    new LedgerError("LEDGER_STATE_CORRUPT", { height, reason }, { cause });
  if ((await database.get(recordKeys.rebuilding)) !== undefined)
    throw corrupt("damage was found, or a repair was interrupted");
  // Of the base there are no receipts.
  if (blocks === undefined) return;
  const receipts = await blocks.readReceipts(height).catch((cause: unknown) => {
    if (!isDamage(cause)) throw cause;
    throw corrupt("the receipts of the last block are damaged", cause);
  });
  if (receipts === undefined) throw corrupt("the receipts of the last block are missing");
}

/** A damaged tip record is as good as a missing one: blocks above the last whole one are lost. */
function readTipRecord(blocks: BlockStore): Promise<TipRecord | undefined> {
  return unlessDamaged(blocks.readTip());
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

/**
 * Checks that what is to be appended is the next block, with all that belongs to it.
 *
 * @throws {LedgerError} LEDGER_HEIGHT_GAP
 */
export function checkNext(
  { block, certificate, receipts, transactionIds }: AppendInput,
  tip: { readonly height: number; readonly hash: Hash; readonly chainId: Hash },
): void {
  const { header, hash, transactions } = block;
  const expected = tip.height + 1;
  if (header.height !== expected)
    throw new LedgerError("LEDGER_HEIGHT_GAP", { expected, actual: header.height });
  assert(header.chainId === tip.chainId, "an appended block is of this chain");
  assert(header.parentHash === tip.hash, "an appended block follows the tip");
  assert(certificate.blockHash === hash, "the certificate is for the appended block");
  assert(certificate.height === header.height, "the certificate is for the appended height");
  assert(receipts.length === transactions.length, "every transaction has a receipt");
  assert(transactionIds.length === transactions.length, "every transaction has an id");
}

/**
 * Looks what became of the batch of the block after a tip, when writing it failed.
 *
 * @param tip - What was appended last for certain.
 * @returns The hash of the block above the tip, `undefined` when nothing of it arrived.
 * @throws {LedgerError} LEDGER_HOLE or LEDGER_BLOCK_CORRUPT when more than that batch is gone or
 *   only part of it came: then only a repair helps.
 */
export async function blockAbove(
  blocks: BlockStore,
  tip: { readonly height: number; readonly hash: Hash },
): Promise<Hash | undefined> {
  const found = await readTipRecord(blocks);
  const last = await blocks.readCertified(tip.height);
  if (found === undefined || last?.hash !== tip.hash)
    throw new LedgerError("LEDGER_HOLE", { height: tip.height });
  const height = tip.height + 1;
  const next = (await blocks.read(height))?.block;
  if (next === undefined && found.height === tip.height) return undefined;
  const isWhole = found.height === height && found.hash === next?.hash;
  if (!isWhole || next.header.parentHash !== tip.hash || !(await blocks.readReceipts(height)))
    throw new LedgerError("LEDGER_HOLE", { height });
  return next.hash;
}

/**
 * Checks that the block to append is the one that a failed write left on disk.
 *
 * @throws {LedgerError} LEDGER_BLOCK_CORRUPT
 */
export function checkArrived(
  arrived: Hash,
  { height, hash }: { readonly height: number; readonly hash: Hash },
): void {
  const reason = "another block of this height was written before";
  if (arrived !== hash) throw new LedgerError("LEDGER_BLOCK_CORRUPT", { height, reason });
}

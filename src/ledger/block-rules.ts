/**
 * The rules of a block that need no execution: content, place in the chain, size, time. Pure.
 *
 * A certified block of another node may be old, so freshness is a rule for proposals only.
 */
import { LedgerError } from "../base/errors.ts";
import {
  type Block,
  encodeHeader,
  type Header,
  headerHash,
  validatorsHash,
} from "../base/format/block.ts";
import type { LedgerParameters } from "../base/format/genesis.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import { merkleRoot } from "../base/proof/merkle.ts";
import type { ExecutedBlock } from "./executor.ts";
import type { Tip } from "./ledger-types.ts";

/** What a block must follow. */
export type BlockContext = {
  readonly chainId: Hash;
  readonly parent: Tip;
  /** Validators of the block's height, sorted. */
  readonly validators: readonly PublicKey[];
  readonly parameters: LedgerParameters;
};

/** Makes the error for a block that breaks a rule. */
export function blockInvalid(
  height: number,
  reason: string,
  cause?: unknown,
): LedgerError<"BLOCK_INVALID"> {
  return new LedgerError("BLOCK_INVALID", { height, reason }, { cause });
}

/**
 * Checks that the block holds what its hash stands for. A block that fails here says nothing about
 * the header: whoever passed it on mixed two blocks up.
 *
 * @throws {LedgerError} BLOCK_INVALID
 */
export function checkContent(block: Block): void {
  const { header, hash, transactions } = block;
  if (headerHash(header) !== hash) throw blockInvalid(header.height, "the hash is another one");
  if (transactions.length > limits.blockTransactionsMax)
    throw blockInvalid(header.height, "too many transactions");
  if (merkleRoot(transactions) !== header.transactionsRoot)
    throw blockInvalid(header.height, "transactionsRoot differs from the transactions");
}

/**
 * Checks place, size and time of a block against its parent.
 *
 * @throws {LedgerError} BLOCK_INVALID
 */
export function checkPlace(block: Block, context: BlockContext): void {
  const { chainId, parent, validators, parameters } = context;
  const { header, transactions } = block;
  const fail = (reason: string): never => {
    throw blockInvalid(header.height, reason);
  };
  if (header.chainId !== chainId) fail("it is of another chain");
  if (header.height !== parent.height + 1) fail(`expected height ${parent.height + 1}`);
  if (header.parentHash !== parent.hash) fail("the parent is another block");
  if (!validators.includes(header.proposer)) fail("the proposer is no validator");
  if (header.validatorsHash !== validatorsHash(validators)) fail("validatorsHash differs");
  if (header.timestampMs <= parent.timestampMs) fail("its time is not above its parent's");
  if (blockBytes(header, transactions) > parameters.blockBytesMax) fail("too many bytes");
  if (transactions.length === 0 && !isHeartbeatDue(context, header.timestampMs))
    fail("it is empty although no heartbeat is due");
}

/**
 * Checks the time of a first proposal against this node's clock.
 *
 * @throws {LedgerError} BLOCK_INVALID
 */
export function checkFresh(header: Header, nowMs: number): void {
  const { height, timestampMs } = header;
  if (timestampMs < nowMs - limits.proposalPastMsMax)
    throw blockInvalid(height, "its time is too far in the past");
  if (timestampMs > nowMs + limits.proposalFutureMsMax)
    throw blockInvalid(height, "its time is too far in the future");
}

/** Tells whether a block of that time may be empty (D4). */
export function isHeartbeatDue(
  context: Pick<BlockContext, "parent" | "parameters">,
  timestampMs: number,
): boolean {
  return timestampMs - context.parent.timestampMs >= context.parameters.heartbeatMs;
}

/** A header field that differs from this node's own result. */
export type Difference = {
  readonly field: string;
  readonly own: string | number;
  readonly certified: string | number;
};

/** Returns the first field of a header that differs from what execution gave, if any. */
export function differenceOf(
  header: Header,
  executed: ExecutedBlock,
  stateRoot: Hash,
): Difference | undefined {
  const own = {
    receiptsRoot: executed.receiptsRoot,
    stateRoot,
    gasUsed: executed.gasUsed,
    nextValidatorsHash: validatorsHash(executed.nextValidators),
  };
  for (const field of ["gasUsed", "receiptsRoot", "stateRoot", "nextValidatorsHash"] as const)
    if (own[field] !== header[field]) return { field, own: own[field], certified: header[field] };
  return undefined;
}

/** Room that a block's header and tuple heads take at most. */
export const blockHeadBytesMax = 512;

/** Returns the length of an encoded block without encoding it. */
export function blockBytes(header: Header, transactions: readonly Uint8Array[]): number {
  const count = transactions.length;
  const listHead = count < 16 ? 1 : count < 0x10000 ? 3 : 5;
  const sum = transactions.reduce((bytes, each) => bytes + binBytes(each.length), 0);
  return 1 + binBytes(encodeHeader(header).length) + listHead + sum;
}

/** Returns what a transaction adds to the length of a block. */
export function binBytes(length: number): number {
  return length + (length < 0x100 ? 2 : length < 0x10000 ? 3 : 5);
}

/**
 * The signing record (D15): what this validator signed last, with all it needs to send the same
 * again and to bind its later rounds. It is on disk, with sync, before a signature leaves, in a
 * file of its own beside the key. This file knows the bytes, not the disk.
 *
 * Tuple: `[version, height, round, claims, blocks, proposal or nil, prepared or nil]`
 *
 * | field | type | meaning |
 * |---|---|---|
 * | version | integer | 0 |
 * | height, round | integer | the slot's height and round |
 * | claims | list of `[kind, bin 32 or nil, preparedRound or nil]` | all that was signed in this round, kinds ascending; none in a limit |
 * | blocks | list of bin | encoded blocks that the two next fields name by index, each once |
 * | proposal | `[blockIndex, [bin], [bin]]` | own proposal of this round: round changes, prepares |
 * | prepared | `[round, blockIndex, [bin]]` | highest prepared certificate of this height: prepares |
 *
 * Kinds: 0 round change, 1 proposal, 2 prepare, 3 commit, the order in which a round signs them.
 * A limit is what a lost record is replaced with: below its height nothing is signed any more.
 * Embedded messages are wire messages (message.ts), a round change without its block.
 */
import { bytesToHex, hexToBytes } from "../bytes.ts";
import type { Hash } from "../hash.ts";
import { limits } from "../limits.ts";
import { type Block, decodeBlock, encodeBlock } from "./block.ts";
import { encode, type Value } from "./codec.ts";
import {
  type Claim,
  type ConsensusMessage,
  decodeMessage,
  encodeMessage,
  type RoundChangeClaim,
  type Signed,
  type VoteMessage,
} from "./message.ts";
import { invalid, TupleReader } from "./tuple.ts";

/** A block with the quorum of prepares of one round: it binds the later rounds. */
export type PreparedCertificate = {
  readonly round: number;
  readonly block: Block;
  /** Prepares of a quorum of distinct validators, all for (height, `round`, block hash). */
  readonly prepares: readonly VoteMessage[];
};

/** A block that this validator proposed, with its justification. */
type ProposedBlock = {
  readonly block: Block;
  readonly roundChanges: readonly Signed<RoundChangeClaim>[];
  readonly prepares: readonly VoteMessage[];
};

/** What was signed last; everything at or below its slot is fixed for ever. */
export type SigningRecord = {
  readonly height: number;
  readonly round: number;
  /**
   * All claims signed at (height, round), at most one of a kind, in the order of `claimOrder`; none
   * in a limit (`signingLimit`).
   */
  readonly claims: readonly Claim[];
  /** Present when `claims` holds a proposal. */
  readonly proposal: ProposedBlock | undefined;
  /** Highest prepared certificate of the height; of this round when `claims` holds a commit. */
  readonly prepared: PreparedCertificate | undefined;
};

/** Returns the record of a node that knows only that it may have signed anything below a height. */
export function signingLimit(height: number): SigningRecord {
  return { height, round: 0, claims: [], proposal: undefined, prepared: undefined };
}

/** Order in which one round signs its claims; part of the slot (height, round, order). */
export const claimOrder = { roundChange: 0, proposal: 1, prepare: 2, commit: 3 } as const;

const type = "signing record";
const version = 0;

/** Encodes a record in its only encoding. */
export function encodeSigningRecord(record: SigningRecord): Uint8Array {
  const { proposal, prepared } = record;
  const blocks = new Map<Hash, Block>();
  for (const block of [proposal?.block, prepared?.block])
    if (block !== undefined && !blocks.has(block.hash)) blocks.set(block.hash, block);
  const hashes = [...blocks.keys()];
  return encode([
    version,
    record.height,
    record.round,
    record.claims.map(claimTuple),
    [...blocks.values()].map(encodeBlock),
    proposal
      ? [
          hashes.indexOf(proposal.block.hash),
          proposal.roundChanges.map((claim) =>
            encodeMessage({ ...claim, preparedBlock: undefined, prepares: [] }),
          ),
          proposal.prepares.map(encodeMessage),
        ]
      : null,
    prepared
      ? [prepared.round, hashes.indexOf(prepared.block.hash), prepared.prepares.map(encodeMessage)]
      : null,
  ]);
}

/**
 * Decodes a record.
 *
 * @throws {LedgerError} CODEC_INVALID, so a damaged file is noticed; treat it as a lost record.
 */
export function decodeSigningRecord(bytes: Uint8Array): SigningRecord {
  const reader = TupleReader.decode(bytes, type);
  if (reader.integer("version") !== version) throw invalid(type, "version", "expected 0");
  const height = reader.integer("height");
  const round = reader.integer("round");
  const claims = reader.list("claims", 4, (value, field) =>
    readClaim(TupleReader.of(value, field), height, round),
  );
  const blocks = reader.list("blocks", 2, (value, field) => decodeBlock(bytesOf(value, field)));
  const proposal = readOptional(reader.value("proposal"), (value) => readProposal(value, blocks));
  const prepared = readOptional(reader.value("prepared"), (value) => readPrepared(value, blocks));
  reader.end();
  const record = { height, round, claims, proposal, prepared };
  checkRecord(record, blocks);
  return record;
}

function claimTuple(claim: Claim): Value {
  if (claim.kind !== "roundChange")
    return [claimOrder[claim.kind], hexToBytes(claim.blockHash), null];
  const { prepared } = claim;
  return [
    claimOrder.roundChange,
    prepared ? hexToBytes(prepared.blockHash) : null,
    prepared?.round ?? null,
  ];
}

function readClaim(reader: TupleReader, height: number, round: number): Claim {
  const order = reader.integer("kind");
  const blockHash = reader.optionalHash("hash");
  const preparedRound = reader.optionalInteger("preparedRound");
  reader.end();
  if (order === claimOrder.roundChange) {
    if ((blockHash === undefined) !== (preparedRound === undefined))
      throw invalid(type, "claims", "expected both prepared fields or none");
    const prepared =
      blockHash === undefined || preparedRound === undefined
        ? undefined
        : { round: preparedRound, blockHash };
    return { kind: "roundChange", height, round, prepared };
  }
  const kind = (["proposal", "prepare", "commit"] as const)[order - 1];
  if (kind === undefined || blockHash === undefined || preparedRound !== undefined)
    throw invalid(type, "claims", "expected a vote or proposal with a hash alone");
  return { kind, height, round, blockHash };
}

function readProposal(value: Value, blocks: readonly Block[]): ProposedBlock {
  const reader = TupleReader.of(value, `${type}.proposal`);
  const block = blockAt(blocks, reader.integer("block"));
  const roundChanges = reader.list("roundChanges", limits.validatorsMax, readRoundChange);
  const prepares = reader.list("prepares", limits.validatorsMax, readPrepare);
  reader.end();
  return { block, roundChanges, prepares };
}

function readPrepared(value: Value, blocks: readonly Block[]): PreparedCertificate {
  const reader = TupleReader.of(value, `${type}.prepared`);
  const round = reader.integer("round");
  const block = blockAt(blocks, reader.integer("block"));
  const prepares = reader.list("prepares", limits.validatorsMax, readPrepare);
  reader.end();
  return { round, block, prepares };
}

function readPrepare(value: Value, field: string): VoteMessage {
  const message = readMessage(value, field);
  if (message.kind !== "prepare") throw invalid(type, field, "expected a prepare");
  return message;
}

function readRoundChange(value: Value, field: string): Signed<RoundChangeClaim> {
  const message = readMessage(value, field);
  if (message.kind !== "roundChange" || message.preparedBlock || message.prepares.length > 0)
    throw invalid(type, field, "expected a round change alone");
  const { kind, height, round, prepared, validator, signature } = message;
  return { kind, height, round, prepared, validator, signature };
}

function readMessage(value: Value, field: string): ConsensusMessage {
  return decodeMessage(bytesOf(value, field));
}

function readOptional<T>(value: Value, read: (value: Value) => T): T | undefined {
  return value === null ? undefined : read(value);
}

function bytesOf(value: Value, field: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw invalid(type, field, "expected bytes");
  return value;
}

function blockAt(blocks: readonly Block[], index: number): Block {
  const block = blocks[index];
  if (block === undefined) throw invalid(type, "blocks", `no block ${index}`);
  return block;
}

/** One encoding a record, and nothing in it that the core never writes. */
function checkRecord(record: SigningRecord, blocks: readonly Block[]): void {
  const { claims, proposal, prepared, round } = record;
  if (claims.length === 0 && (round > 0 || prepared !== undefined))
    throw invalid(type, "claims", "expected at least one");
  claims.reduce((before, { kind }) => {
    if (claimOrder[kind] <= before) throw invalid(type, "claims", "kinds must ascend");
    return claimOrder[kind];
  }, -1);
  const proposed = claims.find(({ kind }) => kind === "proposal");
  if (hashIn(proposed) !== proposal?.block.hash)
    throw invalid(type, "proposal", "expected the block of the signed proposal");
  const committed = claims.find(({ kind }) => kind === "commit");
  if (committed !== undefined && hashIn(committed) !== prepared?.block.hash)
    throw invalid(type, "prepared", "expected the block of the signed commit");
  if (prepared !== undefined && (prepared.round === round) !== (committed !== undefined))
    throw invalid(type, "prepared", "the round is prepared just when it is committed");
  const used = [proposal?.block, prepared?.block].filter((block) => block !== undefined);
  const distinct = [...new Set(used.map(({ hash }) => hash))];
  if (distinct.join() !== blocks.map(({ hash }) => hash).join())
    throw invalid(type, "blocks", "each block once, in the order of use");
}

function hashIn(claim: Claim | undefined): Hash | undefined {
  return claim === undefined || claim.kind === "roundChange" ? undefined : claim.blockHash;
}

/** Tells whether two claims say the same, so that signing both is no conflict. */
export function sameClaim(left: Claim, right: Claim): boolean {
  return (
    left.height === right.height &&
    left.round === right.round &&
    bytesToHex(encode(claimTuple(left))) === bytesToHex(encode(claimTuple(right)))
  );
}

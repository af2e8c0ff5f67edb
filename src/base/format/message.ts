/**
 * What validators say to each other, and the certificate that results (consensus-rules, D3).
 *
 * | message | signed tuple, after its own tag |
 * |---|---|
 * | proposal | `[chainId, height, round, blockHash]` |
 * | prepare | `[chainId, height, round, blockHash]` |
 * | commit | `[chainId, height, round, blockHash]` |
 * | round change | `[chainId, height, round, preparedRound or nil, preparedHash or nil]` |
 *
 * A proposal's block is bound by its hash, its justification by its own signatures, so neither is
 * covered again. Wire: `[kind, ...]` with kind 0 proposal, 1 prepare, 2 commit, 3 round change.
 * A list in it (round changes, prepares) names each signer once; any order.
 * Certificate: `[height, round, blockHash, [[validatorIndex, signature], ...]]`, indexes ascending.
 */
import { hexToBytes } from "../bytes.ts";
import { type Hash, tagged, tags } from "../hash.ts";
import { type PublicKey, signatureBytes } from "../keys.ts";
import { limits } from "../limits.ts";
import { type Block, decodeBlock, encodeBlock } from "./block.ts";
import { encode, type Value } from "./codec.ts";
import { invalid, TupleReader } from "./tuple.ts";

/** First (prepare) or second (commit) vote for a block hash in one round. */
export type Vote = {
  readonly kind: "prepare" | "commit";
  readonly height: number;
  readonly round: number;
  readonly blockHash: Hash;
};

/** The signed part of a round change; both prepared fields or none. */
export type RoundChangeClaim = {
  readonly kind: "roundChange";
  readonly height: number;
  /** The round the validator moves to, at least 1. */
  readonly round: number;
  readonly prepared: { readonly round: number; readonly blockHash: Hash } | undefined;
};

/** Offer of a block for a round. */
export type ProposalClaim = {
  readonly kind: "proposal";
  readonly height: number;
  readonly round: number;
  readonly blockHash: Hash;
};

/** Anything a validator signs. */
export type Claim = Vote | RoundChangeClaim | ProposalClaim;

/** A claim with who made it. Whether the signature holds is checked before the core sees it. */
export type Signed<C extends Claim> = C & {
  readonly validator: PublicKey;
  readonly signature: Uint8Array;
};

/** A vote as sent. */
export type VoteMessage = Signed<Vote>;

/** A round change as sent: with the prepared block and its prepares if it claims one. */
export type RoundChangeMessage = Signed<RoundChangeClaim> & {
  readonly preparedBlock: Block | undefined;
  readonly prepares: readonly VoteMessage[];
};

/** A proposal as sent, with its justification. */
export type ProposalMessage = Signed<ProposalClaim> & {
  readonly block: Block;
  readonly roundChanges: readonly Signed<RoundChangeClaim>[];
  readonly prepares: readonly VoteMessage[];
};

/** Any consensus message. */
export type ConsensusMessage = ProposalMessage | VoteMessage | RoundChangeMessage;

/** A quorum of commits of one round for one block. */
export type Certificate = {
  readonly height: number;
  readonly round: number;
  readonly blockHash: Hash;
  /** Ascending by `validatorIndex`, the place in the sorted validators of that height. */
  readonly signatures: readonly {
    readonly validatorIndex: number;
    readonly signature: Uint8Array;
  }[];
};

/** Rounds are bounded so that no sum of them leaves the safe integers. */
const roundMax = 2 ** 40;

/** Returns the message that is signed for a claim on one chain. */
export function claimMessage(claim: Claim, chainId: Hash): Uint8Array {
  const head = [hexToBytes(chainId), claim.height, claim.round];
  if (claim.kind !== "roundChange")
    return tagged(tags[claim.kind], encode([...head, hexToBytes(claim.blockHash)]));
  const { prepared } = claim;
  return tagged(
    tags.roundChange,
    encode([...head, prepared?.round ?? null, prepared ? hexToBytes(prepared.blockHash) : null]),
  );
}

/** Encodes a message for the wire. */
export function encodeMessage(message: ConsensusMessage): Uint8Array {
  switch (message.kind) {
    case "proposal":
      return encode([
        0,
        message.height,
        message.round,
        hexToBytes(message.validator),
        message.signature,
        encodeBlock(message.block),
        message.roundChanges.map(roundChangeTuple),
        message.prepares.map(voteTuple),
      ]);
    case "prepare":
      return encode([1, voteTuple(message)]);
    case "commit":
      return encode([2, voteTuple(message)]);
    case "roundChange":
      return encode([
        3,
        roundChangeTuple(message),
        message.preparedBlock ? encodeBlock(message.preparedBlock) : null,
        message.prepares.map(voteTuple),
      ]);
  }
}

/** Decodes untrusted message bytes. @throws {LedgerError} CODEC_INVALID or BLOCK_TOO_LARGE */
export function decodeMessage(bytes: Uint8Array): ConsensusMessage {
  const reader = TupleReader.decode(bytes, "consensus message");
  const kind = reader.integer("kind");
  switch (kind) {
    case 0:
      return readProposal(reader);
    case 1:
      return readVoteMessage(reader, "prepare");
    case 2:
      return readVoteMessage(reader, "commit");
    case 3:
      return readRoundChangeMessage(reader);
    default:
      throw invalid("consensus message", "kind", "expected 0..3");
  }
}

function readVoteMessage(reader: TupleReader, kind: Vote["kind"]): VoteMessage {
  const vote = readVote(reader.value("vote"), "vote", kind);
  reader.end();
  return vote;
}

function readRoundChangeMessage(reader: TupleReader): RoundChangeMessage {
  const claim = readRoundChange(reader.value("claim"), "round change");
  const blockBytes = reader.optionalBytes("preparedBlock");
  const prepares = readPrepares(reader);
  reader.end();
  const preparedBlock = blockBytes === undefined ? undefined : decodeBlock(blockBytes);
  return { ...claim, preparedBlock, prepares };
}

function readPrepares(reader: TupleReader): VoteMessage[] {
  return readDistinct(reader, "prepares", (value, type) => readVote(value, type, "prepare"));
}

/** A signer twice counts once, but would have to be checked twice. */
function readDistinct<S extends Signed<Claim>>(
  reader: TupleReader,
  field: string,
  read: (value: Value, type: string) => S,
): S[] {
  const signed = reader.list(field, limits.validatorsMax, read);
  const signers = new Set(signed.map(({ validator }) => validator));
  if (signers.size !== signed.length) throw invalid("consensus message", field, "a signer twice");
  return signed;
}

function readRound(reader: TupleReader): number {
  const round = reader.integer("round");
  if (round > roundMax) throw invalid("consensus message", "round", "too large");
  return round;
}

function voteTuple(vote: VoteMessage): Value {
  return [
    vote.height,
    vote.round,
    hexToBytes(vote.blockHash),
    hexToBytes(vote.validator),
    vote.signature,
  ];
}

function readVote(value: Value, type: string, kind: Vote["kind"]): VoteMessage {
  const reader = TupleReader.of(value, type);
  const vote: VoteMessage = {
    kind,
    height: reader.integer("height"),
    round: readRound(reader),
    blockHash: reader.hash("blockHash"),
    validator: reader.hash("validator"),
    signature: reader.bytes("signature", signatureBytes),
  };
  reader.end();
  return vote;
}

function roundChangeTuple(claim: Signed<RoundChangeClaim>): Value {
  return [
    claim.height,
    claim.round,
    claim.prepared?.round ?? null,
    claim.prepared ? hexToBytes(claim.prepared.blockHash) : null,
    hexToBytes(claim.validator),
    claim.signature,
  ];
}

function readRoundChange(value: Value, type: string): Signed<RoundChangeClaim> {
  const reader = TupleReader.of(value, type);
  const height = reader.integer("height");
  const round = readRound(reader);
  const preparedRound = reader.optionalInteger("preparedRound");
  const preparedHash = reader.optionalHash("preparedHash");
  const validator = reader.hash("validator");
  const signature = reader.bytes("signature", signatureBytes);
  reader.end();
  if ((preparedRound === undefined) !== (preparedHash === undefined))
    throw invalid(type, "prepared", "expected both prepared fields or none");
  const prepared =
    preparedRound === undefined || preparedHash === undefined
      ? undefined
      : { round: preparedRound, blockHash: preparedHash };
  return { kind: "roundChange", height, round, prepared, validator, signature };
}

function readProposal(reader: TupleReader): ProposalMessage {
  const height = reader.integer("height");
  const round = readRound(reader);
  const validator = reader.hash("validator");
  const signature = reader.bytes("signature", signatureBytes);
  const block = decodeBlock(reader.bytes("block"));
  const roundChanges = readDistinct(reader, "roundChanges", readRoundChange);
  const prepares = readPrepares(reader);
  reader.end();
  const claim = { kind: "proposal", height, round, blockHash: block.hash } as const;
  return { ...claim, validator, signature, block, roundChanges, prepares };
}

/** Encodes a certificate in its only encoding. */
export function encodeCertificate(certificate: Certificate): Uint8Array {
  return encode([
    certificate.height,
    certificate.round,
    hexToBytes(certificate.blockHash),
    certificate.signatures.map(({ validatorIndex, signature }) => [validatorIndex, signature]),
  ]);
}

/** Decodes untrusted certificate bytes. @throws {LedgerError} CODEC_INVALID */
export function decodeCertificate(bytes: Uint8Array): Certificate {
  const reader = TupleReader.decode(bytes, "certificate");
  const certificate = {
    height: reader.integer("height"),
    round: readRound(reader),
    blockHash: reader.hash("blockHash"),
    signatures: reader.list("signatures", limits.validatorsMax, (value, type) => {
      const signer = TupleReader.of(value, type);
      const validatorIndex = signer.integer("validatorIndex");
      const signature = signer.bytes("signature", signatureBytes);
      signer.end();
      return { validatorIndex, signature };
    }),
  };
  reader.end();
  certificate.signatures.reduce((before, { validatorIndex }) => {
    if (validatorIndex <= before) throw invalid("certificate", "signatures", "indexes must ascend");
    return validatorIndex;
  }, -1);
  return certificate;
}

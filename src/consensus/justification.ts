/**
 * Whether a proposal or a round change is justified by what it carries. Signatures are not looked
 * at (the shell verified them); signers are counted, never signatures.
 */
import type { Block } from "../base/format/block.ts";
import type {
  ProposalMessage,
  RoundChangeClaim,
  RoundChangeMessage,
  Signed,
  VoteMessage,
} from "../base/format/message.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import { quorumSize } from "../base/proof/certificate.ts";
import { proposerAt } from "./proposer.ts";
import type { ConsensusState } from "./state.ts";

type Slot = { readonly height: number; readonly round: number; readonly blockHash: Hash };

/** What makes a proposal acceptable: a fresh block, or one that a quorum prepared before. */
type Justification = "fresh" | "prepared";

/**
 * Judges a proposal of any round of the current height.
 *
 * @returns How it is justified, or `undefined` when it must not be accepted.
 */
export function justificationOf(
  state: ConsensusState,
  proposal: ProposalMessage,
): Justification | undefined {
  const { validators } = state;
  const { round, roundChanges, prepares, block } = proposal;
  if (!isFromProposer(state, proposal) || !fitsHeight(state, block)) return undefined;
  if (block.hash !== proposal.blockHash) return undefined;
  if (round === 0 && roundChanges.length > 0) return undefined;
  if (round > 0 && !isRoundChangeQuorum(roundChanges, proposal, validators)) return undefined;
  const highest = highestPrepared(roundChanges);
  if (highest === undefined) {
    const isOwnBlock = block.header.proposer === proposal.validator;
    return isOwnBlock && prepares.length === 0 ? "fresh" : undefined;
  }
  // A liar may claim another hash for the same round, but cannot show a quorum that prepared it.
  const isClaimed = roundChanges.some(
    ({ prepared }) => prepared?.round === highest && prepared.blockHash === block.hash,
  );
  const slot = { height: proposal.height, round: highest, blockHash: block.hash };
  return isClaimed && isPrepareQuorum(prepares, slot, validators) ? "prepared" : undefined;
}

/** Tells whether a proposal comes from the proposer of its round. */
export function isFromProposer(state: ConsensusState, proposal: ProposalMessage): boolean {
  return proposal.validator === proposerAt(state.tip.proposers, proposal.round);
}

/** Tells whether a block extends the tip. Everything else in it is for `checkBlock`. */
export function fitsHeight(state: ConsensusState, block: Block): boolean {
  const { height, parentHash } = block.header;
  return height === state.height && parentHash === state.tip.hash;
}

/** Tells whether a round change of the current height holds with what accompanies it. */
export function isValidRoundChange(state: ConsensusState, message: RoundChangeMessage): boolean {
  const { round, prepared, preparedBlock, prepares, height } = message;
  if (round < 1) return false;
  if (prepared === undefined) return preparedBlock === undefined && prepares.length === 0;
  if (prepared.round >= round || preparedBlock?.hash !== prepared.blockHash) return false;
  if (!fitsHeight(state, preparedBlock)) return false;
  return isPrepareQuorum(prepares, { height, ...prepared }, state.validators);
}

/** Returns the highest prepared round among round changes, `undefined` if none was prepared. */
export function highestPrepared(
  roundChanges: readonly Pick<RoundChangeClaim, "prepared">[],
): number | undefined {
  return roundChanges.reduce<number | undefined>((highest, { prepared }) => {
    if (prepared === undefined) return highest;
    return highest === undefined ? prepared.round : Math.max(highest, prepared.round);
  }, undefined);
}

function isRoundChangeQuorum(
  roundChanges: readonly Signed<RoundChangeClaim>[],
  { height, round }: ProposalMessage,
  validators: readonly PublicKey[],
): boolean {
  const fits = roundChanges.every(
    (change) =>
      change.height === height &&
      change.round === round &&
      (change.prepared === undefined || change.prepared.round < round),
  );
  return fits && areDistinctQuorum(roundChanges, validators);
}

function isPrepareQuorum(
  prepares: readonly VoteMessage[],
  { height, round, blockHash }: Slot,
  validators: readonly PublicKey[],
): boolean {
  const fits = prepares.every(
    (vote) =>
      vote.kind === "prepare" &&
      vote.height === height &&
      vote.round === round &&
      vote.blockHash === blockHash,
  );
  return fits && areDistinctQuorum(prepares, validators);
}

function areDistinctQuorum(
  signed: readonly { readonly validator: PublicKey }[],
  validators: readonly PublicKey[],
): boolean {
  const signers = new Set(signed.map(({ validator }) => validator));
  return (
    signers.size === signed.length &&
    signers.size >= quorumSize(validators.length) &&
    [...signers].every((signer) => validators.includes(signer))
  );
}

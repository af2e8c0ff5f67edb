/**
 * Which consensus messages are worth the check of a signature. It reads only what the core holds
 * (no crypto, no hash), and refuses what the core would pass over even if all signatures held.
 *
 * What is of no use to the core may still tell something by its claim: that its validator contradicts
 * itself (equivocation-watch.ts), or that another process signs with the own key (key-guard.ts). The
 * reception (message-reception.ts) then checks the claim alone.
 *
 * Invariant: a message that could change the votes, round changes, blocks or future messages of the
 * core, now or when it is taken from the queue, is of use.
 */
import type {
  ConsensusMessage,
  ProposalMessage,
  RoundChangeMessage,
  VoteMessage,
} from "../base/format/message.ts";
import { limits } from "../base/limits.ts";
import {
  fitsHeight,
  isFromProposer,
  isValidRoundChange,
  justificationOf,
} from "../consensus/justification.ts";
import type { ConsensusState } from "../consensus/state.ts";
import { findBlock } from "../consensus/votes.ts";

/** Tells whether the core could use a message, if its signatures hold; never one of the own key. */
export function isOfUse(state: ConsensusState, message: ConsensusMessage): boolean {
  const { validator, height } = message;
  if (height < state.height || validator === state.self) return false;
  // Others are ahead, with a set that this node does not know yet: their blocks will tell.
  if (!state.validators.includes(validator)) return false;
  return height > state.height ? isAheadOfUse(state, message) : isPresentOfUse(state, message);
}

/**
 * Tells whether the core holds the very message: it is sent again, so its sender is there, and its
 * signature was checked before.
 */
export function isHeld(state: ConsensusState, message: ConsensusMessage): boolean {
  const held = heldOf(state, message);
  return held?.round === message.round && isSame(held.signature, message.signature);
}

function heldOf(state: ConsensusState, message: ConsensusMessage): ConsensusMessage | undefined {
  const { kind, validator, height } = message;
  if (height === state.height + 1) return state.future.get(`${kind}/${validator}`);
  // The core keeps the block of a proposal, not the message.
  if (height !== state.height || message.kind === "proposal") return undefined;
  return message.kind === "roundChange"
    ? state.roundChanges.get(validator)
    : heldVote(state, message);
}

/** Of the next height one message a kind is kept; of later ones only that somebody is there. */
function isAheadOfUse(state: ConsensusState, message: ConsensusMessage): boolean {
  const { kind, validator, height, round } = message;
  if (height === state.height + 1) {
    const kept = state.future.get(`${kind}/${validator}`);
    return kept === undefined || kept.round < round;
  }
  const seen = state.seen.get(validator);
  return seen === undefined || seen.height < height;
}

function isPresentOfUse(state: ConsensusState, message: ConsensusMessage): boolean {
  switch (message.kind) {
    case "proposal":
      return isProposalOfUse(state, message);
    case "roundChange":
      return isRoundChangeOfUse(state, message);
    default:
      return heldVote(state, message) === undefined;
  }
}

/** One of a former round may still bring the block that commits decide on. */
function isProposalOfUse(state: ConsensusState, proposal: ProposalMessage): boolean {
  const { round, block } = proposal;
  if (!isFromProposer(state, proposal) || !fitsHeight(state, block)) return false;
  if (round < state.round - limits.roundDistanceMax) return false;
  const isOpen = round > state.round || (round === state.round && state.phase === "proposing");
  if (!isOpen) return findBlock(state, block.hash) === undefined;
  return justificationOf(state, proposal) !== undefined;
}

function isRoundChangeOfUse(state: ConsensusState, message: RoundChangeMessage): boolean {
  const last = state.roundChanges.get(message.validator);
  return (last === undefined || last.round < message.round) && isValidRoundChange(state, message);
}

function heldVote(state: ConsensusState, vote: VoteMessage): VoteMessage | undefined {
  const { kind, validator, round } = vote;
  const ofRound = state.votes.get(round);
  return (kind === "prepare" ? ofRound?.prepares : ofRound?.commits)?.get(validator);
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

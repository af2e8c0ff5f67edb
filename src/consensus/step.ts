/**
 * The consensus core: one pure function from state and event to state and effects (QBFT, D1).
 *
 * Nothing here reads a clock, draws a random number, awaits, logs, or verifies a signature. Time
 * comes in as events and goes out as effects. Rules and reasons: docs/CONSENSUS.md.
 *
 * Invariants, of every state that `step` returns:
 *
 * (1) `height` never decreases; `round` never decreases within a height.
 * (2) At most one claim of a kind is signed per (height, round), and never one at or below the
 *     slot of the record (signing.ts).
 * (3) Own messages count only once they are recorded on disk, signed and sent (`signed`).
 * (4) A block is prepared only when it is justified and checked, committed only when a quorum
 *     prepared it in the current round, decided only by a quorum of commits of one round.
 * (5) After `decide`, nothing of that height has an effect until `appended`.
 * (6) What is kept is bounded, whatever comes (state.ts).
 */
import { unreachable } from "../base/assert.ts";
import type {
  ConsensusMessage,
  ProposalMessage,
  RoundChangeMessage,
} from "../base/format/message.ts";
import type { SigningRecord } from "../base/format/signing-record.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { ConsensusEvent, Step, Tip } from "./event.ts";
import {
  fitsHeight,
  isFromProposer,
  isValidRoundChange,
  justificationOf,
} from "./justification.ts";
import { catchUpTarget, settle } from "./pacing.ts";
import { proposerAt } from "./proposer.ts";
import { accept, applyRules, moveTo, proposeFresh } from "./rules.ts";
import { boundHash, mayVote, signAgain, signRoundChange } from "./signing.ts";
import {
  andThen,
  type ConsensusState,
  checkValidators,
  heightState,
  type Position,
  unchanged,
  withEffect,
} from "./state.ts";
import { findBlock, keepBlock, keepVote } from "./votes.ts";

type Outcome = Step<ConsensusState>;
type Of<K extends ConsensusEvent["kind"]> = Extract<ConsensusEvent, { kind: K }>;

/** Advances the state by one event. Stale, foreign and unjustified events change nothing. */
export function step(state: ConsensusState, event: ConsensusEvent): Outcome {
  return settle(applyRules(onEvent(state, event)));
}

function onEvent(state: ConsensusState, event: ConsensusEvent): Outcome {
  switch (event.kind) {
    case "message":
      return onMessage(state, event.message);
    case "timeout":
      return onTimeout(state, event);
    case "resend":
      return onResend(state);
    case "work":
      return onWork(state, event.height);
    case "built":
      return onBuilt(state, event);
    case "checked":
      return onChecked(state, event);
    case "signed":
      return onSigned(state, event.message);
    case "appended":
      return onAppended(state, event.tip, event.validators);
    case "restored":
      return onRestored(state, event.record);
    default:
      return unreachable(event);
  }
}

/** Own messages come by `signed` only; one that comes back from the network is not news. */
function onMessage(before: ConsensusState, message: ConsensusMessage): Outcome {
  const { validator, height } = message;
  if (validator === before.self || !before.validators.includes(validator)) return unchanged(before);
  const state = noteSeen(before, validator, message);
  if (height > state.height) return unchanged(keepForNextHeight(state, message));
  const isLate = height < state.height || state.phase === "decided";
  return isLate ? unchanged(state) : onCurrentMessage(state, message);
}

function noteSeen(state: ConsensusState, validator: PublicKey, at: Position): ConsensusState {
  const { height, round } = at;
  const last = state.seen.get(validator);
  const isNews =
    last === undefined || height > last.height || (height === last.height && round > last.round);
  return isNews ? { ...state, seen: new Map(state.seen).set(validator, { height, round }) } : state;
}

/** Keeps one message of a kind and validator for the next height, that of the highest round. */
function keepForNextHeight(state: ConsensusState, message: ConsensusMessage): ConsensusState {
  if (message.height !== state.height + 1) return state;
  const key = `${message.kind}/${message.validator}`;
  const kept = state.future.get(key);
  if (kept !== undefined && kept.round >= message.round) return state;
  return { ...state, future: new Map(state.future).set(key, message) };
}

function onCurrentMessage(state: ConsensusState, message: ConsensusMessage): Outcome {
  switch (message.kind) {
    case "proposal":
      return onProposal(state, message);
    case "roundChange":
      return unchanged(
        isValidRoundChange(state, message) ? keepRoundChange(state, message) : state,
      );
    default:
      return unchanged(keepVote(state, message));
  }
}

function onProposal(state: ConsensusState, proposal: ProposalMessage): Outcome {
  const { round, block, blockHash } = proposal;
  const isOpen = round > state.round || (round === state.round && state.phase === "proposing");
  if (!isOpen) return unchanged(keepLateBlock(state, proposal));
  const justification = justificationOf(state, proposal);
  if (justification === undefined) return unchanged(state);
  const moved = round > state.round ? moveTo(state, round) : state;
  const bound = boundHash(moved);
  if (bound !== undefined && bound !== blockHash) return unchanged(state);
  return accept(moved, block, justification === "fresh");
}

/** It cannot be voted for any more, but commits may yet decide its block. */
function keepLateBlock(state: ConsensusState, proposal: ProposalMessage): ConsensusState {
  if (proposal.round < state.round - limits.roundDistanceMax) return state;
  if (proposal.block.hash !== proposal.blockHash) return state;
  const isPlausible = isFromProposer(state, proposal) && fitsHeight(state, proposal.block);
  return isPlausible ? keepBlock(state, proposal.block) : state;
}

/** Keeps the round change of the highest round; one of several equal blocks is kept in memory. */
function keepRoundChange(state: ConsensusState, message: RoundChangeMessage): ConsensusState {
  const { validator, round, preparedBlock } = message;
  const last = state.roundChanges.get(validator);
  if (last !== undefined && last.round >= round) return { ...state, work: true };
  const known = preparedBlock && (findBlock(state, preparedBlock.hash) ?? preparedBlock);
  const kept = { ...message, preparedBlock: known };
  const roundChanges = new Map(state.roundChanges).set(validator, kept);
  return { ...state, roundChanges, work: true };
}

function onTimeout(state: ConsensusState, { height, round }: Of<"timeout">): Outcome {
  if (height !== state.height || round !== state.round) return unchanged(state);
  if (state.phase === "decided" || state.timer === undefined) return unchanged(state);
  const next = proposerAt(state.tip.proposers, round + 1);
  const moved = signRoundChange(moveTo({ ...state, timer: undefined }, round + 1));
  if (next === state.self) return moved;
  return andThen(moved, (after) =>
    withEffect(after, { kind: "forwardTransactions", validator: next }),
  );
}

function onResend(state: ConsensusState): Outcome {
  if (state.phase === "decided") return unchanged(state);
  const again = state.own.map((message) => ({ kind: "send" as const, message }));
  const height = catchUpTarget(state);
  if (height === undefined) return { state, effects: again };
  return {
    state: { ...state, catchUpHeight: Math.max(height, state.catchUpHeight) },
    effects: [...again, { kind: "catchUp", height }],
  };
}

function onWork(state: ConsensusState, height: number): Outcome {
  if (height !== state.height) return unchanged(state);
  const build = state.build === "empty" ? "none" : state.build;
  return unchanged({ ...state, work: true, build });
}

function onBuilt(state: ConsensusState, { height, round, block }: Of<"built">): Outcome {
  const isAwaited = height === state.height && round === state.round && state.build === "asked";
  if (!isAwaited || state.phase !== "proposing") return unchanged(state);
  if (block !== undefined) return proposeFresh(state, block);
  // Nothing to propose: idle again, unless others already count on this height.
  return unchanged({ ...state, build: "empty", work: state.roundChanges.size > 0 });
}

function onChecked(state: ConsensusState, event: Of<"checked">): Outcome {
  const { proposal, height, round } = state;
  if (event.height !== height || event.round !== round) return unchanged(state);
  if (proposal?.block.hash !== event.blockHash || proposal.valid !== undefined)
    return unchanged(state);
  return unchanged({ ...state, proposal: { ...proposal, valid: event.valid } });
}

function onSigned(state: ConsensusState, message: ConsensusMessage): Outcome {
  if (message.height !== state.height || message.validator !== state.self) return unchanged(state);
  const counted = countOwn(state, message);
  if (message.round !== state.round) return unchanged(counted);
  const others = state.own.filter(({ kind }) => kind !== message.kind);
  return unchanged({ ...counted, own: [...others, message] });
}

function countOwn(state: ConsensusState, message: ConsensusMessage): ConsensusState {
  if (message.kind === "proposal") return state;
  return message.kind === "roundChange"
    ? keepRoundChange(state, message)
    : keepVote(state, message);
}

/** Begins the next height and takes up what already came for it. */
function onAppended(before: ConsensusState, tip: Tip, validators: readonly PublicKey[]): Outcome {
  if (tip.height < before.height) return unchanged(before);
  checkValidators(validators, tip);
  const seen = new Map([...before.seen].filter(([validator]) => validators.includes(validator)));
  const state = { ...before, ...heightState(tip, validators), future: new Map(), seen };
  const begun = isOfHeight(state.record, state) ? takeUp(state, state.record) : undefined;
  return [...before.future.values()].reduce(
    // Each message is followed by the rules, as if it had come just now.
    (outcome, message) => applyRules(andThen(outcome, (next) => onMessage(next, message))),
    begun ?? unchanged(state),
  );
}

/** A record above this height (the ledger was wiped) waits: nothing is signed below it. */
function onRestored(before: ConsensusState, record: SigningRecord): Outcome {
  // While it waited to be restored, a limit beyond may have been learnt in its place.
  if (before.record !== undefined && before.record.height > record.height) return unchanged(before);
  const state = { ...before, record };
  return isOfHeight(record, state) ? takeUp(state, record) : unchanged(state);
}

/** Tells whether something was signed at the present height: a limit says nothing of it. */
function isOfHeight(
  record: SigningRecord | undefined,
  { height }: ConsensusState,
): record is SigningRecord {
  return record !== undefined && record.height === height && record.claims.length > 0;
}

/** Goes back to the round and phase of the record and sends the same messages again. */
function takeUp(state: ConsensusState, record: SigningRecord): Outcome {
  const { round, prepared, proposal } = record;
  const base = { ...state, round, prepared, work: true };
  const again = { state: base, effects: mayVote(base) ? signAgain(record) : [] };
  if (prepared?.round === round) {
    const { block } = prepared;
    return { ...again, state: { ...base, phase: "committing", proposal: { block, valid: true } } };
  }
  return proposal ? andThen(again, (next) => accept(next, proposal.block, false)) : again;
}

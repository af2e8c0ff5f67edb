/**
 * Timer, sending again and catching up: wanted or not follows from the state alone, so after each
 * step the wish is compared with what runs.
 *
 * The timer of a round above 0 starts when a quorum of validators is known to be in that round or
 * beyond, or its proposal came. All honest nodes then start it within one message delay. With
 * timers from the moment of entry and a capped time-out, nodes that once are a time-out apart stay
 * apart for ever, each changing rounds alone. While fewer than a quorum are up, rounds rest.
 *
 * A round from 2 on whose proposer is missing, as it did not come along or is beyond, lasts as short
 * as round 0: f of them in a row would cost f times the cap after a long outage. The full time-out
 * begins as soon as the proposer is heard of, or its proposal is there (ADR 0026).
 */
import { faultyMax, quorumSize } from "../base/proof/certificate.ts";
import type { Effect, Step } from "./event.ts";
import { proposerAt, roundTimeoutMs } from "./proposer.ts";
import { mayVote } from "./signing.ts";
import type { ConsensusState, RoundTimer } from "./state.ts";
import { commitCertificate } from "./votes.ts";

/** Starts and stops what the state asks for; the effects come before those of the step. */
export function settle({ state, effects }: Step<ConsensusState>): Step<ConsensusState> {
  const { height, round } = state;
  const pacing: Effect[] = [];
  const running = isOfRound(state.timer, state) ? state.timer : undefined;
  // Never shortened: who seems to come and go would have it begin again and again.
  const durationMs = Math.max(timeoutMs(state), running?.durationMs ?? 0);
  const timer = wantsTimer(state) ? { height, round, durationMs } : undefined;
  if (timer !== undefined && running?.durationMs !== durationMs)
    pacing.push({ kind: "startTimer", ...timer });
  if (timer === undefined && state.timer !== undefined) pacing.push({ kind: "stopTimer" });
  const resending = wantsResend(state);
  if (resending !== state.resending)
    pacing.push({ kind: resending ? "startResend" : "stopResend" });
  // Behind by one is mostly a message on its way; the next `resend` sees to that.
  const ahead = heightAhead(state);
  const isFarBehind = ahead > height + 1 && ahead > state.catchUpHeight;
  if (isFarBehind) pacing.push({ kind: "catchUp", height: ahead });
  const catchUpHeight = isFarBehind ? ahead : state.catchUpHeight;
  return {
    state: { ...state, timer, resending, catchUpHeight },
    effects: [...pacing, ...effects],
  };
}

function wantsTimer(state: ConsensusState): boolean {
  if (!state.work || state.phase === "decided" || !mayVote(state)) return false;
  return state.round === 0 || state.phase !== "proposing" || isRoundReached(state);
}

function isOfRound(timer: RoundTimer | undefined, { height, round }: ConsensusState): boolean {
  return timer?.height === height && timer.round === round;
}

function timeoutMs(state: ConsensusState): number {
  const { round, phase } = state;
  // In round 0 there may have been nothing to say, so in round 1 nobody is missed yet.
  const mayMiss = phase === "proposing" && round > 1;
  return roundTimeoutMs(mayMiss && isProposerMissing(state) ? 0 : round);
}

/** Who is up is in this round or the one before: it changes rounds with the others, and says so. */
function isProposerMissing({ self, seen, tip, height, round }: ConsensusState): boolean {
  const proposer = proposerAt(tip.proposers, round);
  const position = seen.get(proposer);
  const isHere =
    position?.height === height && position.round >= round - 1 && position.round <= round;
  return proposer !== self && !isHere;
}

/** Any signed message shows where its sender is, and nobody goes back. */
function isRoundReached({ validators, self, seen, height, round }: ConsensusState): boolean {
  const there = validators.filter((validator) => {
    const position = seen.get(validator);
    if (validator === self) return true;
    if (position === undefined) return false;
    return position.height > height || (position.height === height && position.round >= round);
  });
  return there.length >= quorumSize(validators.length);
}

function wantsResend(state: ConsensusState): boolean {
  if (state.phase === "decided") return false;
  // Entering a round drops the former messages; the ticks need not stop until the new ones come.
  const isChanging = state.round > 0 && mayVote(state);
  return isChanging || state.own.length > 0 || catchUpTarget(state) !== undefined;
}

/** Returns the height below which blocks are missing here, `undefined` if none is known to be. */
export function catchUpTarget(state: ConsensusState): number | undefined {
  const ahead = heightAhead(state);
  if (ahead > state.height) return ahead;
  return commitCertificate(state) === undefined ? undefined : state.height + 1;
}

/** Returns the height that f + 1 validators, so at least one honest one, have reached. */
function heightAhead({ validators, seen }: ConsensusState): number {
  const heights = validators.map((validator) => seen.get(validator)?.height ?? 0);
  const highestFirst = heights.sort((left, right) => right - left);
  return highestFirst[faultyMax(validators.length)] as number;
}

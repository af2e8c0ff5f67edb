/**
 * The rules that fire by themselves. Events only note facts in the state; then the first rule of
 * this file that applies fires, until none does. So what a node does never depends on the order
 * in which the same facts reached it, and votes that precede their proposal need no special case.
 */
import { assert } from "../base/assert.ts";
import type { Block } from "../base/format/block.ts";
import type { RoundChangeMessage } from "../base/format/message.ts";
import { faultyMax, quorumSize } from "../base/proof/certificate.ts";
import type { Step } from "./event.ts";
import { highestPrepared } from "./justification.ts";
import { proposerAt } from "./proposer.ts";
import { boundHash, maySign, sign, signRoundChange, signVote } from "./signing.ts";
import { andThen, type ConsensusState, withEffect } from "./state.ts";
import { commitCertificate, findBlock, keepBlock, prepareQuorum, pruneVotes } from "./votes.ts";

type Rule = (state: ConsensusState) => Step<ConsensusState> | undefined;

/** Each rule makes progress in (phase, round, signed slot, build), so a few firings are enough. */
const firingsMax = 32;

/** Fires the rules until none applies. */
export function applyRules(step: Step<ConsensusState>): Step<ConsensusState> {
  let current = step;
  for (let firing = 0; firing < firingsMax; firing += 1) {
    const next = firstToFire(current.state);
    if (next === undefined) return current;
    current = andThen(current, () => next);
  }
  /* v8 ignore next -- only rules that contradict each other get here */
  assert(false, "the rules come to rest");
}

function firstToFire(state: ConsensusState): Step<ConsensusState> | undefined {
  if (state.phase === "decided") return undefined;
  for (const rule of rules) {
    const step = rule(state);
    if (step !== undefined) return step;
  }
  return undefined;
}

const rules: readonly Rule[] = [decide, jump, propose, prepare, commit];

/** A quorum of commits of any one round decides, whatever round this node is in. */
function decide(state: ConsensusState): Step<ConsensusState> | undefined {
  const certificate = commitCertificate(state);
  const block = certificate && findBlock(state, certificate.blockHash);
  if (certificate === undefined || block === undefined) return undefined;
  return withEffect({ ...state, phase: "decided" }, { kind: "decide", block, certificate });
}

/**
 * f + 1 validators in higher rounds hold an honest one: follow to the smallest of their rounds.
 * Of more than f + 1 the highest count, so that no liar can hold this node back.
 */
function jump(state: ConsensusState): Step<ConsensusState> | undefined {
  const rounds = [...state.roundChanges.values()].map(({ round }) => round);
  const highestFirst = rounds.sort((left, right) => right - left);
  const target = highestFirst[faultyMax(state.validators.length)];
  if (target === undefined || target <= state.round) return undefined;
  return signRoundChange(moveTo(state, target));
}

function propose(state: ConsensusState): Step<ConsensusState> | undefined {
  const { self, tip, round, height } = state;
  if (state.phase !== "proposing" || !maySign(state, "proposal")) return undefined;
  if (proposerAt(tip.proposers, round) !== self) return undefined;
  const justification = round === 0 ? [] : roundChangeQuorum(state);
  if (justification === undefined) return undefined;
  const highest = highestPrepared(justification);
  if (highest !== undefined) return proposeAgain(state, justification, highest);
  if (!state.work || state.build !== "none") return undefined;
  const asked = { ...state, build: "asked" as const, justification };
  return withEffect(asked, { kind: "buildBlock", height, round });
}

function roundChangeQuorum(state: ConsensusState): readonly RoundChangeMessage[] | undefined {
  const changes = [...state.roundChanges.values()].filter(({ round }) => round === state.round);
  return changes.length >= quorumSize(state.validators.length) ? changes : undefined;
}

function proposeAgain(
  state: ConsensusState,
  justification: readonly RoundChangeMessage[],
  highest: number,
): Step<ConsensusState> {
  const change = justification.find(({ prepared }) => prepared?.round === highest);
  assert(change?.preparedBlock !== undefined, "a kept round change has its prepared block");
  const { preparedBlock: block, prepares } = change;
  const proposed = signProposal({ ...state, justification }, block, prepares);
  return andThen(proposed, (next) => accept(next, block, false));
}

/** Proposes the block that the shell built, which needs no check. */
export function proposeFresh(state: ConsensusState, block: Block): Step<ConsensusState> {
  const { header } = block;
  assert(header.proposer === state.self, "a fresh block names its proposer");
  assert(header.height === state.height, "a fresh block is of this height");
  assert(header.parentHash === state.tip.hash, "a fresh block extends the tip");
  const { state: signed, effects } = signProposal(state, block, []);
  const proposal = { block, valid: true };
  return { state: { ...signed, phase: "preparing", proposal }, effects };
}

function signProposal(
  state: ConsensusState,
  block: Block,
  prepares: RoundChangeMessage["prepares"],
): Step<ConsensusState> {
  const { height, round } = state;
  const roundChanges = state.justification.map(
    ({ preparedBlock: _block, prepares: _prepares, ...claim }) => claim,
  );
  const claim = { kind: "proposal", height, round, blockHash: block.hash } as const;
  return sign(state, claim, { block, roundChanges, prepares });
}

/** Takes a block as the proposal of the current round and has it checked. */
export function accept(
  state: ConsensusState,
  block: Block,
  isFresh: boolean,
): Step<ConsensusState> {
  const { height, round } = state;
  const proposal = { block, valid: undefined };
  // What this validator voted for before a restart was fresh then, and may not be any more.
  const fresh = isFresh && boundHash(state) === undefined;
  const accepted = { ...state, phase: "preparing" as const, proposal, work: true };
  return withEffect(accepted, { kind: "checkBlock", height, round, block, fresh });
}

function prepare(state: ConsensusState): Step<ConsensusState> | undefined {
  const { phase, proposal } = state;
  if (phase !== "preparing" || proposal?.valid !== true) return undefined;
  return maySign(state, "prepare") ? signVote(state, "prepare", proposal.block.hash) : undefined;
}

function commit(state: ConsensusState): Step<ConsensusState> | undefined {
  const { phase, proposal, round } = state;
  if (phase !== "preparing" || proposal?.valid !== true) return undefined;
  const { block } = proposal;
  const prepares = prepareQuorum(state, block.hash);
  if (prepares === undefined) return undefined;
  const prepared = { round, block, prepares };
  return signVote({ ...state, phase: "committing", prepared }, "commit", block.hash);
}

/** Enters a higher round. What only concerned the former round is dropped. */
export function moveTo(state: ConsensusState, round: number): ConsensusState {
  assert(round > state.round, "the round of a height ascends");
  const former = state.proposal ? keepFormer(state, state.proposal.block) : state;
  return {
    ...former,
    round,
    phase: "proposing",
    build: "none",
    justification: [],
    proposal: undefined,
    own: [],
    votes: pruneVotes(state.votes, round),
  };
}

function keepFormer(state: ConsensusState, block: Block): ConsensusState {
  return keepBlock({ ...state, proposal: undefined }, block);
}

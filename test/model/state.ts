/**
 * States of the explorer: what every honest validator has signed at one height. That is all,
 * because nothing else can matter, by the abstractions of this model:
 *
 * (A) Messages. A message once sent can be received at any time, or never, in any order, again and
 *     again: the network is the set of all messages ever sent. Guards are monotone in that set, so
 *     loss, delay, duplicates and partitions are all in it, and so are crashes (a validator that
 *     makes no further move).
 * (B) The liar. It may sign whatever it likes, and every honest validator may receive any of it.
 *     More messages never forbid anything, so nothing is lost by letting the liar have signed
 *     everything from the start: it needs no moves and no place in the state.
 * (C) Deciding. A decision is a set of commits, which is there or not; who saw it is in (A).
 *     Agreement is checked on all sets of commits that can be put together.
 * (D) Rounds. A validator moves by time-out, one round after the other. Jumps over rounds and
 *     moves by a later proposal are the same run with some of the round changes never received.
 * (E) Symmetry. The two values are alike, and so are honest validators that propose in none of the
 *     explored rounds: of states that differ by exchanging them one is kept.
 *
 * A state is a text of one character a validator and round:
 *
 * | part of a cell | meaning |
 * |---|---|
 * | 1 | has changed to this round (round 0: always) |
 * | 2 * (0..2) | proposed nothing, value 0, value 1 |
 * | 6 * (0..2) | prepared |
 * | 18 * (0..2) | committed |
 */
import { maySign } from "./rules.ts";
import {
  emptyPool,
  kindOrder,
  type Mask,
  type ModelClaim,
  type Own,
  type Pool,
  type Protocol,
} from "./types.ts";

/** What is explored. */
export type Scope = {
  readonly protocol: Protocol;
  readonly liars: Mask;
  /** Rounds 0 .. this - 1. */
  readonly roundCount: number;
  /** Explores moves by a proposal and jumps too, which (D) argues away. */
  readonly withJumps?: boolean;
  /** Keeps states apart that (E) takes for one. */
  readonly withoutSymmetry?: boolean;
};

/** What is explored, and what follows from it. */
export type Setting = Scope & {
  /** Ascending; the place of a validator in this list is its place in a state. */
  readonly honest: readonly number[];
  /** Places of honest validators that propose in none of the explored rounds. */
  readonly exchangeable: readonly number[];
};

/** Returns the setting of a scope. */
export function settingOf(scope: Scope): Setting {
  const { protocol, liars, roundCount } = scope;
  const validators = Array.from({ length: protocol.validatorCount }, (_, index) => index);
  const honest = validators.filter((validator) => (liars & (1 << validator)) === 0);
  const proposers = Array.from({ length: roundCount }, (_, round) => protocol.proposerAt(round));
  const exchangeable = honest.flatMap((validator, place) =>
    proposers.includes(validator) ? [] : [place],
  );
  return { ...scope, honest, exchangeable };
}

/** A move of an honest validator. */
export type Move = { readonly validator: number; readonly claim: ModelClaim };

/** One character a cell; see the head of the file. */
export type State = string;

const valueCount = 2;
const cellCount = 54;
const firstCode = 33;

/** Nobody has signed anything. */
export function startState(setting: Setting): State {
  const ofOne = [1, ...Array.from({ length: setting.roundCount - 1 }, () => 0)];
  return textOfCells(setting.honest.flatMap(() => ofOne));
}

function textOfCells(cells: readonly number[]): State {
  return String.fromCharCode(...cells.map((cell) => cell + firstCode));
}

const cellAt = (state: State, index: number) => state.charCodeAt(index) - firstCode;
const hasChanged = (cell: number) => cell % 2 === 1;
/** Value that a cell holds for a kind, or -1. */
const valueIn = (cell: number, kind: keyof typeof weights) =>
  (Math.floor(cell / weights[kind]) % 3) - 1;
const weights = { proposal: 2, prepare: 6, commit: 18 } as const;
const votes = ["proposal", "prepare", "commit"] as const;

/** Returns the messages that were sent, and everything the liars can sign. */
export function poolOf(setting: Setting, state: State): Pool {
  const pool = emptyPool(setting.liars);
  const { roundCount } = setting;
  for (let round = 0; round < roundCount; round += 1) {
    for (const votesOf of [pool.proposals, pool.prepares, pool.commits])
      votesOf.push(Array.from({ length: valueCount }, () => 0));
    pool.changes.push([]);
  }
  for (const [place, validator] of setting.honest.entries())
    addClaims(pool, ownClaims(setting, state, place), validator);
  return pool;
}

/** Adds a validator's claims to a pool. */
export function addClaims(pool: Pool, claims: readonly ModelClaim[], validator: number): void {
  for (const claim of claims) {
    const { round } = claim;
    if (claim.kind === "roundChange") {
      const changes = pool.changes[round] ?? [];
      changes.push({ from: validator, prepared: claim.prepared });
      pool.changes[round] = changes;
      continue;
    }
    const byRound = pool[`${claim.kind}s`];
    const byValue = byRound[round] ?? [];
    byValue[claim.value] = (byValue[claim.value] ?? 0) | (1 << validator);
    byRound[round] = byValue;
  }
}

/** Returns what an honest validator signed, ascending. */
function ownClaims({ protocol, roundCount }: Setting, state: State, place: number): ModelClaim[] {
  const claims: ModelClaim[] = [];
  let prepared: Own["prepared"];
  for (let round = 0; round < roundCount; round += 1) {
    const cell = cellAt(state, place * roundCount + round);
    const reported = protocol.carriesPrepared ? prepared : undefined;
    if (round > 0 && hasChanged(cell))
      claims.push({ kind: "roundChange", round, prepared: reported });
    for (const kind of votes) {
      const value = valueIn(cell, kind);
      if (value >= 0) claims.push({ kind, round, value });
      if (kind === "commit" && value >= 0) prepared = { round, value };
    }
  }
  return claims;
}

/** Returns what one honest validator remembers. */
export function ownOf(setting: Setting, state: State, place: number): Own {
  const claims = ownClaims(setting, state, place);
  const last = claims.at(-1);
  const commit = claims.findLast(({ kind }) => kind === "commit");
  return {
    validator: setting.honest[place] as number,
    round: last?.round ?? 0,
    last: last === undefined ? -1 : kindOrder[last.kind],
    prepared: commit?.kind === "commit" ? { round: commit.round, value: commit.value } : undefined,
  };
}

/** Returns every move that the rules allow in a state. */
export function movesOf(setting: Setting, state: State, pool = poolOf(setting, state)): Move[] {
  const moves: Move[] = [];
  for (const [place, validator] of setting.honest.entries()) {
    const own = ownOf(setting, state, place);
    for (const claim of candidates(setting, own))
      if (maySign(setting.protocol, pool, own, claim)) moves.push({ validator, claim });
  }
  return moves;
}

/** Claims that one validator could sign next, if the rules allow them. */
function candidates({ protocol, roundCount, withJumps }: Setting, own: Own): ModelClaim[] {
  const claims: ModelClaim[] = [];
  const prepared = protocol.carriesPrepared ? own.prepared : undefined;
  const last = withJumps ? roundCount - 1 : own.round;
  for (let round = own.round; round <= last; round += 1)
    for (const kind of votes)
      for (let value = 0; value < valueCount; value += 1)
        if (round > own.round || kindOrder[kind] > own.last) claims.push({ kind, round, value });
  for (let round = own.round + 1; round < roundCount; round += 1)
    if (withJumps || round === own.round + 1) claims.push({ kind: "roundChange", round, prepared });
  return claims;
}

/** Returns the state after a move. */
export function afterMove(setting: Setting, state: State, { validator, claim }: Move): State {
  const index = setting.honest.indexOf(validator) * setting.roundCount + claim.round;
  const added = claim.kind === "roundChange" ? 1 : weights[claim.kind] * (claim.value + 1);
  const code = state.charCodeAt(index) + added;
  return state.slice(0, index) + String.fromCharCode(code) + state.slice(index + 1);
}

/** Returns the least of all states that differ from one only by a symmetry. */
export function canonical(setting: Setting, state: State): State {
  if (setting.withoutSymmetry) return state;
  const alike = [state, exchangeValues(state)].map((text) => sortPlaces(setting, text));
  return alike.sort()[0] as State;
}

function sortPlaces({ roundCount, honest, exchangeable }: Setting, state: State): State {
  if (exchangeable.length < 2) return state;
  const ofPlace = (place: number) => state.slice(place * roundCount, (place + 1) * roundCount);
  const sorted = exchangeable.map(ofPlace).sort();
  let text = "";
  for (let place = 0; place < honest.length; place += 1) {
    const rank = exchangeable.indexOf(place);
    text += rank < 0 ? ofPlace(place) : sorted[rank];
  }
  return text;
}

/** The cell with values 0 and 1 exchanged, by cell. */
const exchangedCells = Array.from({ length: cellCount }, (_, cell) => {
  const swap = (kind: keyof typeof weights) => {
    const value = valueIn(cell, kind);
    return value < 0 ? 0 : weights[kind] * (2 - value);
  };
  return (cell % 2) + swap("proposal") + swap("prepare") + swap("commit");
});

/** Returns the state with values 0 and 1 exchanged. */
export function exchangeValues(state: State): State {
  let text = "";
  for (let index = 0; index < state.length; index += 1)
    text += String.fromCharCode((exchangedCells[cellAt(state, index)] as number) + firstCode);
  return text;
}

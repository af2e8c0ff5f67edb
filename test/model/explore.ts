/**
 * Breadth-first exploration of all states of a setting: every interleaving of the honest
 * validators' moves, up to the symmetries of state.ts. It stops at the first state in which two
 * values are decided (the shortest way there, since it is breadth-first), or when nothing new is
 * found, or at a bound.
 */
import { decidedValues } from "./rules.ts";
import {
  afterMove,
  canonical,
  type Move,
  movesOf,
  poolOf,
  type Setting,
  type State,
  startState,
} from "./state.ts";
import { textOf } from "./types.ts";

/** What an exploration found. */
export type Exploration = {
  /** States up to symmetry. */
  readonly stateCount: number;
  /** States in which a value is decided. */
  readonly decidedCount: number;
  /** Moves of the longest shortest way to a state. */
  readonly depth: number;
  /** Every reachable state was seen. */
  readonly isComplete: boolean;
  /** Moves to a state in which two values are decided. */
  readonly fork: readonly Move[] | undefined;
  readonly states: StateTable;
};

/** Bounds of an exploration. */
export type Bounds = {
  readonly statesMax?: number;
  /** Tells that time is over; asked now and then. */
  readonly isOver?: () => boolean;
};

/** States with the state each was reached from; several maps, as one takes 2^24 entries only. */
export class StateTable {
  size = 0;
  readonly #maps = Array.from({ length: 64 }, () => new Map<State, State | undefined>());

  /** Adds a state unless it is known. @returns Whether it is new. */
  add(state: State, parent: State | undefined): boolean {
    const map = this.#mapOf(state);
    if (map.has(state)) return false;
    map.set(state, parent);
    this.size += 1;
    return true;
  }

  parentOf(state: State): State | undefined {
    return this.#mapOf(state).get(state);
  }

  *all(): Generator<State> {
    for (const map of this.#maps) yield* map.keys();
  }

  #mapOf(state: State): Map<State, State | undefined> {
    let mixed = 0;
    for (let index = 0; index < state.length; index += 1)
      mixed = (31 * mixed + state.charCodeAt(index)) % 64;
    return this.#maps[mixed] as Map<State, State | undefined>;
  }
}

/** Explores a setting. */
export function explore(setting: Setting, bounds: Bounds = {}): Exploration {
  const { statesMax = Number.POSITIVE_INFINITY, isOver = () => false } = bounds;
  const start = canonical(setting, startState(setting));
  const states = new StateTable();
  states.add(start, undefined);
  let frontier = [start];
  let depth = 0;
  let decidedCount = 0;
  const outcome = (isComplete: boolean, forked?: State): Exploration => ({
    stateCount: states.size,
    decidedCount,
    depth,
    isComplete,
    fork: forked === undefined ? undefined : movesTo(setting, states, forked),
    states,
  });
  while (frontier.length > 0) {
    const next: State[] = [];
    for (const [count, state] of frontier.entries()) {
      if (count % 1_000 === 0 && (states.size > statesMax || isOver())) return outcome(false);
      const pool = poolOf(setting, state);
      const decided = decidedValues(setting.protocol, pool).length;
      if (decided > 0) decidedCount += 1;
      if (decided > 1) return outcome(false, state);
      for (const move of movesOf(setting, state, pool)) {
        const reached = canonical(setting, afterMove(setting, state, move));
        if (states.add(reached, state)) next.push(reached);
      }
    }
    if (next.length > 0) depth += 1;
    frontier = next;
  }
  return outcome(true);
}

/** Returns moves from the start to a state that equals a found one up to symmetry. */
function movesTo(setting: Setting, states: StateTable, found: State): Move[] {
  const way = [found];
  for (let at = states.parentOf(found); at !== undefined; at = states.parentOf(at)) way.unshift(at);
  const moves: Move[] = [];
  let state = startState(setting);
  for (const target of way.slice(1)) {
    const leads = (move: Move) => canonical(setting, afterMove(setting, state, move)) === target;
    const move = movesOf(setting, state).find(leads);
    if (move === undefined) throw new Error("a symmetry of the model changes its moves");
    moves.push(move);
    state = afterMove(setting, state, move);
  }
  return moves;
}

/**
 * Makes moves one after the other, each of which the rules must allow.
 *
 * @throws {Error} naming the first that is not allowed.
 */
export function play(setting: Setting, moves: readonly Move[]): State {
  return moves.reduce((state, move, index) => {
    const isAllowed = movesOf(setting, state).some((allowed) => sameMove(allowed, move));
    if (!isAllowed) throw new Error(`move ${index} is not allowed: ${textOf(move.claim)}`);
    return afterMove(setting, state, move);
  }, startState(setting));
}

function sameMove(left: Move, right: Move): boolean {
  return left.validator === right.validator && textOf(left.claim) === textOf(right.claim);
}

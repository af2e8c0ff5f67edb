/**
 * Who proposes when. The order follows from headers alone, so every node has the same, and passes
 * over validators that missed their last turn: one dead validator of four would otherwise cost a
 * time-out at every third height. Rules and reasons: docs/CONSENSUS.md.
 *
 * A schedule begins anew, with nobody passed over, at height 1, every `scheduleEpochHeights`, and
 * whenever the validators change. So nobody needs more headers than those of one epoch to know it.
 *
 * Invariants of every schedule:
 *
 * (1) `proposers` holds each validator once: in some round everybody has a turn.
 * (2) Nobody is passed over for more than 2^`exponentMax` heights after a turn that was missed.
 */
import { assert } from "./assert.ts";
import type { Hash } from "./hash.ts";
import type { PublicKey } from "./keys.ts";

/** Heights after which all schedules begin anew: at 1, 1,025, ... */
export const scheduleEpochHeights = 1_024;

/** A dead validator is tried again after 64 heights at the latest. */
const exponentMax = 6;

/** What is remembered of a validator that missed its last turn. */
type Missed = {
  /** It is passed over for 2^exponent heights after the next missed turn. */
  readonly exponent: number;
  /** Last height at which it is passed over. */
  readonly untilHeight: number;
};

/** The order of proposers at one height, and what the next one follows from. */
export type ProposerSchedule = {
  /** Height this schedule is for. */
  readonly height: number;
  /** Validators of that height, sorted ascending. */
  readonly validators: readonly PublicKey[];
  /** Round r is proposed by the entry r modulo their count. */
  readonly proposers: readonly PublicKey[];
  readonly missed: ReadonlyMap<PublicKey, Missed>;
};

/** Part of a header that the schedule follows from. */
export type ScheduledHeader = {
  readonly height: number;
  readonly proposer: PublicKey;
  readonly validatorsHash: Hash;
  readonly nextValidatorsHash: Hash;
};

/**
 * Returns the schedule of a height at which it begins anew.
 *
 * @param former - Proposer of the block before; the zero hash for the genesis.
 */
export function freshSchedule(
  height: number,
  validators: readonly PublicKey[],
  former: PublicKey,
): ProposerSchedule {
  return scheduleOf(height, validators, { former, missed: new Map() });
}

/**
 * Returns the schedule of the height after a block.
 *
 * @param schedule - That of the block's height.
 * @param header - The decided block's.
 * @param validators - Those of the next height, sorted ascending.
 */
export function nextSchedule(
  schedule: ProposerSchedule,
  header: ScheduledHeader,
  validators: readonly PublicKey[],
): ProposerSchedule {
  const { height, proposer: former } = header;
  assert(height === schedule.height, "a schedule follows from the block of its height");
  if (beginsAnewAfter(header)) return freshSchedule(height + 1, validators, former);
  const missed = new Map(schedule.missed);
  for (const validator of schedule.proposers) {
    if (validator === former) break;
    const exponent = missed.get(validator)?.exponent ?? 0;
    const untilHeight = height + 2 ** exponent;
    missed.set(validator, { exponent: Math.min(exponent + 1, exponentMax), untilHeight });
  }
  missed.delete(former);
  return scheduleOf(height + 1, validators, { former, missed });
}

/** Returns the height of the first header of an epoch that the schedule of a height follows from. */
export function scheduleBase(height: number): number {
  return Math.floor((height - 1) / scheduleEpochHeights) * scheduleEpochHeights;
}

/**
 * Returns the schedule of the height after the last of some headers.
 *
 * @param headers - Ascending without a gap, from `scheduleBase` of that height at least.
 * @param validators - Those of that height, sorted ascending.
 */
export function scheduleAfter(
  headers: readonly ScheduledHeader[],
  validators: readonly PublicKey[],
): ProposerSchedule {
  const start = headers.findLastIndex(beginsAnewAfter);
  const [base, ...rest] = headers.slice(start);
  assert(start >= 0 && base !== undefined, "headers reach back to where the schedule begins");
  return rest.reduce(
    (schedule, header) => nextSchedule(schedule, header, validators),
    freshSchedule(base.height + 1, validators, base.proposer),
  );
}

/** Returns who is passed over at the height of a schedule, sorted ascending. */
export function passedOver({ height, validators, missed }: ProposerSchedule): PublicKey[] {
  return validators.filter((validator) => isMissing(missed, validator, height));
}

function beginsAnewAfter({ height, validatorsHash, nextValidatorsHash }: ScheduledHeader): boolean {
  return height % scheduleEpochHeights === 0 || validatorsHash !== nextValidatorsHash;
}

function scheduleOf(
  height: number,
  validators: readonly PublicKey[],
  { former, missed }: { former: PublicKey; missed: ProposerSchedule["missed"] },
): ProposerSchedule {
  // A former proposer that left the set is followed by the next key in order.
  const after = validators.findIndex((key) => key > former);
  const first = after === -1 ? 0 : after;
  const inTurn = [...validators.slice(first), ...validators.slice(0, first)];
  const proposers = [
    ...inTurn.filter((validator) => !isMissing(missed, validator, height)),
    ...inTurn.filter((validator) => isMissing(missed, validator, height)),
  ];
  return { height, validators, proposers, missed };
}

function isMissing(
  missed: ProposerSchedule["missed"],
  validator: PublicKey,
  height: number,
): boolean {
  return (missed.get(validator)?.untilHeight ?? 0) >= height;
}

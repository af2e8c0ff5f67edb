/** Who proposes in a round, and how long the round may take. */
import { assert } from "../base/assert.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";

/**
 * Returns the proposer of a round.
 *
 * @param proposers - Order of the height (base/proposer-schedule.ts), at least one.
 * @param round - At least 0.
 */
export function proposerAt(proposers: readonly PublicKey[], round: number): PublicKey {
  const proposer = proposers[round % proposers.length];
  assert(proposer !== undefined, "every round has a proposer");
  return proposer;
}

/** 2^10 is beyond the cap; a larger exponent is never raised, so no round overflows. */
const exponentMax = 10;

/**
 * Returns the time-out of a round in milliseconds: doubled each round up to a cap, because an
 * uncapped one keeps a network down for hours after a long outage.
 *
 * @param round - At least 0.
 */
export function roundTimeoutMs(round: number): number {
  const doubled = limits.roundTimeoutMsBase * 2 ** Math.min(round, exponentMax);
  return Math.min(doubled, limits.roundTimeoutMsMax);
}

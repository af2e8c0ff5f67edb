/** Who proposes in a round, and how long the round may take. */
import { assert } from "../base/assert.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";

/**
 * Returns the proposer of a round: the entry after the proposer of the block before, plus the
 * round. A former proposer that left the set is followed by the next key in order, and the zero
 * hash of the genesis by the first.
 *
 * @param validators - Sorted ascending, at least one.
 * @param formerProposer - `header.proposer` of the block before, which its hash covers.
 * @param round - At least 0.
 */
export function proposerAt(
  validators: readonly PublicKey[],
  formerProposer: PublicKey,
  round: number,
): PublicKey {
  const after = validators.findIndex((key) => key > formerProposer);
  const first = after === -1 ? 0 : after;
  const proposer = validators[(first + round) % validators.length];
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

/**
 * Liars that flood in bursts, and nodes for which checking costs time: only so a node meets the
 * budget it has for each peer (src/node/verification-budget.ts). Drawn with a stream of its own.
 */
import type { Random } from "../random.ts";
import type { Plan } from "./plan.ts";

/** Hundreds of frames at once, now and then. */
export type Bursts = {
  /** To each peer, at once. */
  readonly frames: number;
  /** Between two bursts, in ticks of the liar. */
  readonly everyTicks: number;
};

const share = 0.6;
/** On a slow machine: a budget of 500 ms is used up by two hundred signatures. */
const checkMs = 3;

/** Adds bursts to the liars that flood. */
export function withBursts(plan: Plan, random: Random): Plan {
  const liars = plan.liars.map((liar) => {
    const isBursting = liar.tricks.includes("flood") && random.chance(share);
    if (!isBursting) return liar;
    const bursts: Bursts = { frames: 250 + random.below(250), everyTicks: 12 + random.below(24) };
    return { ...liar, bursts };
  });
  const hasBursts = liars.some(({ bursts }) => bursts !== undefined);
  return hasBursts ? { ...plan, liars, checkMs } : plan;
}

/** Plans that are written out instead of drawn: all goes well but for what the caller says. */
import { faultKinds, type Plan, planOf, reduced } from "./plan.ts";

/** Honest clocks are off by so much: they do not agree to the millisecond either. */
export const honestOffsetMs = 400;

/** A short run of a network without faults; liars and clocks are the caller's. */
export function fixedPlan(seed: number, count: number, changes: Partial<Plan> = {}): Plan {
  const base = reduced(planOf(seed), { without: new Set(faultKinds), safetyMs: 3_000 });
  const indexes = Array.from({ length: count }, (_, index) => index);
  return {
    ...base,
    ...{ count, liars: [], actions: [], leftFaulty: 0, heartbeatMs: 5_000, submitEveryMs: 500 },
    rates: { ...base.rates, delayMsMin: 5, delayMsMax: 20 },
    startDelaysMs: indexes.map(() => 0),
    clockOffsetsMs: indexes.map((index) => (index % 2 === 0 ? 1 : -1) * honestOffsetMs),
    ...changes,
  };
}

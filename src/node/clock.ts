/**
 * The node's clock: the wall clock at start plus monotonic time, slewed towards the wall clock.
 *
 * Invariants:
 *
 * (1) `nowMs` never decreases, however the operator or NTP moves the wall clock.
 * (2) It differs from real time by at most the wall clock's error plus what slewing has not yet
 *     taken away (1 % of the time that passed).
 */
import type { Clock } from "../base/log.ts";

/** Largest share of elapsed time by which a reading is corrected. */
const slewShareMax = 0.01;

/** Makes the clock. The two sources are arguments so that tests can move them. */
export function steadyClock(
  wallMs: () => number = () => Date.now(),
  monotonicMs: () => number = () => performance.now(),
): Clock {
  let offsetMs = wallMs() - monotonicMs();
  let lastMonotonicMs = monotonicMs();
  let lastMs = 0;
  return {
    nowMs() {
      const monotonic = monotonicMs();
      const slewMsMax = (monotonic - lastMonotonicMs) * slewShareMax;
      lastMonotonicMs = monotonic;
      const errorMs = wallMs() - (monotonic + offsetMs);
      offsetMs += Math.max(-slewMsMax, Math.min(slewMsMax, errorMs));
      lastMs = Math.max(lastMs, Math.floor(monotonic + offsetMs));
      return lastMs;
    },
  };
}

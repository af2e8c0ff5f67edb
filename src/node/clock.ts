/**
 * The node's clock: the wall clock at start plus monotonic time, slewed towards the wall clock.
 *
 * A machine that slept is behind by all that time, as monotonic time stood still. The wall clock
 * alone is no reason to believe that, as it may have been set wrongly. So the clock steps forward
 * when the wall clock is ahead and something else says the same: the time since the machine was
 * booted, which counts sleep, or other validators, which are ahead, too (`stepForward`); these also
 * tell of a virtual machine that was paused without noticing it.
 *
 * Invariants:
 *
 * (1) `nowMs` never decreases, however the operator or NTP moves the wall clock.
 * (2) It differs from real time by at most the wall clock's error plus what slewing has not yet
 *     taken away (1 % of the time that passed).
 * (3) A step leads neither beyond the wall clock nor beyond what the second witness says.
 */
import { uptime } from "node:os";
import type { Clock } from "../base/log.ts";

/** A clock that may be told that it is behind. */
export interface SteadyClock extends Clock {
  /**
   * Steps forward to the wall clock, if that is far enough ahead.
   *
   * @param aheadMsMax - By how much others are ahead at least; `Infinity` if there are none.
   * @returns By how much the clock stepped, in milliseconds: 0 if it need not.
   */
  stepForward(aheadMsMax: number): number;
}

/** A clock as the shell uses it: a simple one never needs to be told anything. */
export type NodeClock = Clock & Partial<SteadyClock>;

/** Largest share of elapsed time by which a reading is corrected. */
const slewShareMax = 0.01;
/** Smaller errors are slewed: they keep nobody from voting. */
const stepMsMin = 1_000;

/** Where a clock gets its time, in milliseconds; a test or a simulator has its own. */
type ClockSources = {
  wallMs(): number;
  /** Never steps; stands still while the machine sleeps. */
  monotonicMs(): number;
  /** Never steps, and counts sleep; coarse. */
  bootMs(): number;
};

const realSources: ClockSources = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  bootMs: () => uptime() * 1_000,
};

/** Makes the clock. The sources are arguments so that tests can move them. */
export function steadyClock(
  sources: Omit<ClockSources, "bootMs"> & Partial<ClockSources> = realSources,
): SteadyClock {
  const { wallMs, monotonicMs, bootMs = monotonicMs } = sources;
  let offsetMs = wallMs() - monotonicMs();
  let lastMonotonicMs = monotonicMs();
  let sleptMs = bootMs() - monotonicMs();
  let lastMs = 0;

  const errorMs = () => wallMs() - (monotonicMs() + offsetMs);
  const stepForward = (aheadMsMax: number): number => {
    const stepMs = Math.min(errorMs(), aheadMsMax);
    if (stepMs < stepMsMin) return 0;
    offsetMs += stepMs;
    return stepMs;
  };
  const addSleep = () => {
    // Asked only when the wall clock is ahead: the answer is read from a file.
    if (errorMs() < stepMsMin) return;
    const sleptBeforeMs = sleptMs;
    sleptMs = bootMs() - monotonicMs();
    stepForward(sleptMs - sleptBeforeMs);
  };
  const slew = () => {
    const slewMsMax = (monotonicMs() - lastMonotonicMs) * slewShareMax;
    lastMonotonicMs = monotonicMs();
    offsetMs += Math.max(-slewMsMax, Math.min(slewMsMax, errorMs()));
  };
  return {
    stepForward,
    nowMs() {
      addSleep();
      slew();
      lastMs = Math.max(lastMs, Math.floor(monotonicMs() + offsetMs));
      return lastMs;
    },
  };
}

/**
 * Timers and the monotonic clock of the shell, as one thing that can be put in place: a simulator
 * moves its own time, and every wait of the shell follows it.
 */

/** Ends a timer; a second call, or one after it ran out, does nothing. */
export type Cancel = () => void;

/** What the shell waits with. */
export interface Timers {
  /** Milliseconds that only grow; from where they count means nothing. */
  nowMs(): number;
  /** Runs something once, after a delay in milliseconds. */
  after(delayMs: number, run: () => void): Cancel;
  /** Runs something again and again, every so many milliseconds. */
  every(periodMs: number, run: () => void): Cancel;
}

/** The timers of the process. */
export const realTimers: Timers = {
  nowMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  every(periodMs, run) {
    const timer = setInterval(run, periodMs);
    return () => clearInterval(timer);
  },
};

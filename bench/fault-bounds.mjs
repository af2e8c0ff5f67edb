/** What `bench/faults.mjs` holds its one run to. */

/** The bounds; times in milliseconds. */
export const bounds = { p50Ratio: 1.3, p99MoreMs: 1_200, firstBlockMs: 10_000 };

/**
 * Judges a run.
 *
 * @param measured - Phases `healthy`, `dying` and `oneDead` as `runLoad` gives them, the heights
 *   before and after the time without a quorum, and the time to the first block after it.
 * @returns What was compared, and for each bound whether it holds.
 */
export function judge({ healthy, dying, oneDead, heightBefore, heightAfter, firstBlockMs }) {
  const phases = [healthy, dying, oneDead];
  const p50Ratio = oneDead.p50Ms / healthy.p50Ms;
  const p99MoreMs = oneDead.p99Ms - healthy.p99Ms;
  const holds = {
    p50Ratio: p50Ratio <= bounds.p50Ratio,
    p99MoreMs: p99MoreMs <= bounds.p99MoreMs,
    firstBlockMs: firstBlockMs <= bounds.firstBlockMs,
    noneLost: phases.every(({ final, lost }) => final > 0 && lost === 0),
    noneRefused: phases.every(({ refused }) => Object.keys(refused).length === 0),
    noBlockWithoutQuorum: heightBefore >= 0 && heightAfter === heightBefore,
  };
  return { p50Ratio, p99MoreMs, holds };
}

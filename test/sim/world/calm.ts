/** What the second phase of a run is held to: a quorum is well, so all must go well, and soon. */

/** Bounds, milliseconds. */
export const calmBounds = {
  /** First block on all nodes that must go on, from the time on a quorum is there; with liars, too. */
  firstBlockMs: 10_000,
  /**
   * In plans with snapshots, from the end of the faults until these nodes have the blocks of that
   * moment: one may need a snapshot of another that fetches one itself.
   */
  ledgersMs: 15_000,
  /** More for each block that a voting node has to fetch first, beyond `behindMax`. */
  fetchMs: 50,
  behindMax: 100,
  /** Length of the calm before the last transaction is sent. */
  calmMs: 8_000,
  /** Its beginning, in which rounds and messages of the time before may still be under way. */
  restMs: 3_000,
  /** Each change of the validators that is left: admission, catching up, readiness, addition. */
  changeMs: 30_000,
  /** From the last transaction: all are final, of whatever age, and all nodes have one tip. */
  settledMs: 5_000,
  /** Until liars that were seen are on record, after that. */
  reportedMs: 40_000,
  /** From sending a transaction in the calm until its client hears that it is final. */
  slowestMs: 8_000,
  /** The same without dead nodes and liars: no height waits for one to be given up. */
  slowestWholeMs: 4_000,
} as const;

/**
 * Share of heights, and one of few, that a calm without dead nodes and liars may decide in round 1:
 * a frame may be late by as much as a time-out. Wider than what is seen: it may be drawn tighter.
 */
const lateShareMax = 0.25;

/** What was seen from the first block of the calm on. */
export type CalmMeasures = {
  /** Transactions sent. */
  readonly sent: number;
  /** Longest time to finality. */
  readonly slowestMs: number;
  /** From the last transaction until everything was final. */
  readonly settledMs: number;
  /** Round of each height after the rest. */
  readonly rounds: readonly number[];
  /** Every validator is well, and none is a liar. */
  readonly isWhole: boolean;
};

/** Returns what is not as it must be, if something is not. */
export function calmFault({ sent, slowestMs, rounds, isWhole }: CalmMeasures): string | undefined {
  if (sent === 0) return "nothing was sent in the calm";
  if (slowestMs > calmBounds[isWhole ? "slowestWholeMs" : "slowestMs"])
    return `a transaction of the calm took ${slowestMs} ms`;
  const late = rounds.filter((round) => round > 0).length;
  const isLate = late > Math.max(1, lateShareMax * rounds.length) || Math.max(...rounds, 0) > 1;
  if (isWhole && isLate)
    return `${late} of ${rounds.length} heights of the calm were decided after round 0`;
  return undefined;
}

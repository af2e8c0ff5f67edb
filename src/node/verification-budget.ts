/**
 * Time that a node spends on what each peer sends. Everything comes in on one thread: without a
 * bound a single member that sends what is dear to check would stand still all others.
 *
 * A bucket for each peer holds at most `burstMs` and fills by a share of the time that passes; work
 * for a peer is paid from its bucket afterwards, with the time it took. While a bucket is empty,
 * nothing of that peer is looked at: consensus sends again what matters. Its transactions wait, and
 * leave half of the bucket to its consensus messages: an honest peer may hand over thousands.
 *
 * Invariants:
 *
 * (1) Work of one peer takes at most `burstMs + chargeMsMax` and its share of the time, in any span.
 * (2) The liars that consensus bears (f) and all peers that are no validators take half of the
 *     time together, at most.
 * (3) One peer's bucket never pays for another's.
 * (4) One piece of work costs at most `chargeMsMax`: what takes longer is a pause of this process.
 * (5) Work that waits (`waitMs`) never uses up what work that is dropped may use at once.
 */
import { faultyMax } from "../base/proof/certificate.ts";

/** What a peer may use at once, in milliseconds: thousands of votes, or four of the largest blocks. */
export const burstMs = 500;
/** Most that one message is charged with. The dearest takes some 130 ms (docs/PERFORMANCE.md). */
export const chargeMsMax = 250;
/** What is left to messages that cannot wait. */
const reserveMs = burstMs / 2;
const shareMax = 0.2;
const shareOfAll = 0.5;

type Bucket = { leftMs: number; atMs: number };

/** Returns the share of time of one peer among so many validators, at least 1. */
export function shareOf(validators: number): number {
  return Math.min(shareMax, shareOfAll / (faultyMax(validators) + 1));
}

/** Keeps account of the time that each payer costs. */
export class VerificationBudget {
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, Bucket>();
  /** Pieces of work that were not done since start. */
  refused = 0;

  /** @param nowMs - Milliseconds that only grow. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * Does a piece of work at the cost of a payer, unless its bucket is empty. What the work throws
   * is thrown; it is paid all the same.
   *
   * @param share - Of the time, for this payer: see `shareOf`.
   * @returns Whether it was done.
   */
  spend(payer: string, share: number, work: () => void): boolean {
    if (this.#leftMs(payer, share, this.#nowMs()) <= 0) {
      this.refused += 1;
      return false;
    }
    this.charge(payer, share, work);
    return true;
  }

  /** Returns how long work that can wait has to, in milliseconds; 0 when it may be done. */
  waitMs(payer: string, share: number): number {
    const missingMs = reserveMs - this.#leftMs(payer, share, this.#nowMs());
    return missingMs <= 0 ? 0 : Math.ceil(missingMs / share);
  }

  /** Does a piece of work at the cost of a payer, whatever is left to it. */
  charge<T>(payer: string, share: number, work: () => T): T {
    const startMs = this.#nowMs();
    const leftMs = this.#leftMs(payer, share, startMs);
    try {
      return work();
    } finally {
      const costMs = Math.min(this.#nowMs() - startMs, chargeMsMax);
      this.#buckets.set(payer, { leftMs: leftMs - costMs, atMs: startMs });
    }
  }

  #leftMs(payer: string, share: number, nowMs: number): number {
    const bucket = this.#buckets.get(payer);
    if (bucket === undefined) return burstMs;
    return Math.min(burstMs, bucket.leftMs + (nowMs - bucket.atMs) * share);
  }
}

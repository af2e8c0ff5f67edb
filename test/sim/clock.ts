/** Virtual time: what is to happen, in the order of time and then of scheduling. */
import { simStartMs } from "./fake-ledger.ts";

type Scheduled = { readonly atMs: number; readonly run: () => void };

/** A clock that jumps from one scheduled moment to the next. */
export class VirtualClock {
  nowMs = simStartMs;
  readonly #queue: Scheduled[] = [];

  /** Has something run after a delay. */
  schedule(delayMs: number, run: () => void): void {
    const atMs = this.nowMs + delayMs;
    // Times mostly ascend, so the place is near the end.
    let place = this.#queue.length;
    while (place > 0 && (this.#queue[place - 1] as Scheduled).atMs > atMs) place -= 1;
    this.#queue.splice(place, 0, { atMs, run });
  }

  /** Runs until a condition holds. @returns Whether it did within the time. */
  runUntil(condition: () => boolean, withinMs: number): boolean {
    const endMs = this.nowMs + withinMs;
    while (!condition()) {
      const next = this.#queue[0];
      if (next === undefined || next.atMs > endMs) {
        this.nowMs = endMs;
        return condition();
      }
      this.#queue.shift();
      this.nowMs = next.atMs;
      next.run();
    }
    return true;
  }
}

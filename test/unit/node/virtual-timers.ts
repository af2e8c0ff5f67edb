/** Timers whose time a test moves. */
import type { Cancel, Timers } from "../../../src/node/timers.ts";

type Waiting = { readonly atMs: number; readonly run: () => void };

/** Time stands still but in `advance`. */
export class VirtualTimers implements Timers {
  #nowMs = 0;
  readonly #waiting = new Set<Waiting>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Cancel {
    const waiting = { atMs: this.#nowMs + delayMs, run };
    this.#waiting.add(waiting);
    return () => this.#waiting.delete(waiting);
  }

  every(periodMs: number, run: () => void): Cancel {
    let cancel: Cancel;
    const again = () => {
      cancel = this.after(periodMs, again);
      run();
    };
    cancel = this.after(periodMs, again);
    return () => cancel();
  }

  /** Lets time pass; what has no more to wait for than other promises is done in between. */
  async advance(forMs: number): Promise<void> {
    const endMs = this.#nowMs + forMs;
    for (;;) {
      // Twice: what an answer leads to may be on a later turn.
      for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      const due = [...this.#waiting].filter(({ atMs }) => atMs <= endMs);
      const [next] = due.sort((left, right) => left.atMs - right.atMs);
      if (next === undefined) break;
      this.#waiting.delete(next);
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = endMs;
  }
}

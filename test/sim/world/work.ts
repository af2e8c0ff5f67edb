/**
 * Work that takes its time in a simulated process. Virtual time stands still while an event runs;
 * what reads the clock before and after some work must find that it took time all the same.
 */
import type { Verifier } from "../../../src/base/keys.ts";

/** The clock of one process, as late as its work makes it. */
export class Work {
  readonly #timeMs: () => number;
  #busyUntilMs = 0;

  /** @param timeMs - Virtual time. */
  constructor(timeMs: () => number) {
    this.#timeMs = timeMs;
  }

  /** When all work so far is done; the present if that is later. */
  get nowMs(): number {
    return Math.max(this.#timeMs(), this.#busyUntilMs);
  }

  /** A verifier that takes so long for each signature. */
  slowed(verifier: Verifier, checkMs: number): Verifier {
    if (checkMs === 0) return verifier;
    return {
      verify: (message, signature, publicKey) => {
        this.#busyUntilMs = this.nowMs + checkMs;
        return verifier.verify(message, signature, publicKey);
      },
    };
  }
}

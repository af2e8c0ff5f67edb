/**
 * Property: the replay window says of every nonce what a naive model says that keeps all nonces
 * ever used (D5). Method: random walks with gaps, jumps, repeats and re-encoding on the way.
 * When it fails: a nonce could be played twice, or a sender be locked out; fast-check prints seed
 * and shrunk walk. Shown able to fail: skipping `clearBit` in `useNonce`; `<` for `<=` at tooOld.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  checkNonce,
  decodeWindow,
  encodeWindow,
  type NonceVerdict,
  useNonce,
} from "../../src/base/format/replay-window.ts";
import { seedOf } from "../helpers/seed.ts";

class Model {
  readonly used = new Set<number>();
  highest = 0;

  verdict(nonce: number): NonceVerdict {
    if (nonce > this.highest + 1_024) return "tooFar";
    if (nonce <= this.highest - 1_024) return "tooOld";
    return this.used.has(nonce) ? "used" : "fresh";
  }

  use(nonce: number): void {
    this.used.add(nonce);
    this.highest = Math.max(this.highest, nonce);
  }
}

/** Steps relative to the highest nonce: near ones, the edges of the window, and beyond. */
const step = fc.oneof(
  fc.integer({ min: -40, max: 40 }),
  fc.integer({ min: -1_030, max: 1_030 }),
  fc.constantFrom(-1_025, -1_024, -1_023, -1, 0, 1, 1_023, 1_024, 1_025),
);

it("accepts a nonce exactly when a model that forgets nothing accepts it", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), (steps) => {
      const model = new Model();
      let value: string | undefined;
      for (const offset of steps) {
        const nonce = Math.max(1, model.highest + offset);
        const window = decodeWindow(value);
        for (const probe of [nonce, nonce + 1, model.highest, model.highest + 1]) {
          if (probe >= 1) expect(checkNonce(window, probe)).toBe(model.verdict(probe));
        }
        if (model.verdict(nonce) !== "fresh") continue;
        value = encodeWindow(useNonce(window, nonce));
        model.use(nonce);
      }
      expect(decodeWindow(value).highest).toBe(model.highest);
    }),
    { numRuns: 200, seed: seedOf(5) },
  );
});

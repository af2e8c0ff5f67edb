import { describe, expect, it } from "vitest";
import {
  checkNonce,
  decodeWindow,
  encodeWindow,
  type ReplayWindow,
  useNonce,
  windowKey,
} from "../../../src/base/format/replay-window.ts";

const fresh = decodeWindow(undefined);
const windowAfter = (...nonces: number[]): ReplayWindow => nonces.reduce(useNonce, fresh);

describe("replay window", () => {
  it("accepts nonces 1 to 1024 of a new sender and no further one", () => {
    expect(checkNonce(fresh, 1)).toBe("fresh");
    expect(checkNonce(fresh, 1_024)).toBe("fresh");
    expect(checkNonce(fresh, 1_025)).toBe("tooFar");
  });

  it("accepts a nonce once, whatever order they come in", () => {
    const window = windowAfter(3, 1, 2, 7);
    expect([1, 2, 3, 4, 5, 6, 7, 8].map((nonce) => checkNonce(window, nonce))).toEqual([
      "used",
      "used",
      "used",
      "fresh",
      "fresh",
      "fresh",
      "used",
      "fresh",
    ]);
  });

  it("knows the last 1024 nonces and refuses older ones, used or not", () => {
    const window = windowAfter(1, 1_025);
    expect(checkNonce(window, 1)).toBe("tooOld");
    expect(checkNonce(window, 2)).toBe("fresh");
    const later = windowAfter(1, 1_025, 2_000);
    expect(checkNonce(later, 976)).toBe("tooOld");
    expect(checkNonce(later, 977)).toBe("fresh");
    expect(checkNonce(later, 1_025)).toBe("used");
    expect(checkNonce(later, 3_024)).toBe("fresh");
    expect(checkNonce(later, 3_025)).toBe("tooFar");
  });

  it("forgets the whole ring on the widest jump", () => {
    const full = Array.from({ length: 1_024 }, (_, index) => index + 1).reduce(useNonce, fresh);
    const jumped = useNonce(full, 2_048);
    expect(checkNonce(jumped, 1_024)).toBe("tooOld");
    for (let nonce = 1_025; nonce < 2_048; nonce += 1)
      expect(checkNonce(jumped, nonce)).toBe("fresh");
    expect(checkNonce(jumped, 2_048)).toBe("used");
  });

  it("has one value for one set of nonces, and reads back what it wrote", () => {
    expect(encodeWindow(windowAfter(5, 2, 9))).toBe(encodeWindow(windowAfter(2, 9, 5)));
    expect(decodeWindow(encodeWindow(windowAfter(5, 2, 9)))).toEqual(windowAfter(5, 2, 9));
    expect(encodeWindow(windowAfter(1))).toBe(`{"bits":"02${"00".repeat(127)}","highest":1}`);
  });

  it("does not change the window it was made from", () => {
    const window = windowAfter(4);
    useNonce(window, 5);
    expect(checkNonce(window, 5)).toBe("fresh");
  });

  it("refuses to use a nonce twice, which would be a bug of the caller", () => {
    expect(() => useNonce(windowAfter(4), 4)).toThrow("only a fresh nonce is used");
  });

  it("lives under the key that the genesis format documents", () => {
    expect(windowKey("did:key:z6Mk")).toBe("system/window/did:key:z6Mk");
  });
});

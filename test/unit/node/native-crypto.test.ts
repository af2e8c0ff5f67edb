/** The native SHA-256 gives what the portable one gives, and results that share no memory. */
import { sha256 as portable } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hashOf, injectSha256, sha256, valueHashOf } from "../../../src/base/hash.ts";
import { injectNative } from "../../../src/node/native-crypto.ts";
import { seedOf } from "../../helpers/seed.ts";

beforeAll(injectNative);
afterAll(() => injectSha256(portable));

describe("the native SHA-256", () => {
  it("gives the known answers of FIPS 180-4", () => {
    expect(valueHashOf("")).toBe(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    expect(valueHashOf("abc")).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });

  it("agrees with the portable one, also on views into larger buffers", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (bytes, skip) => {
        const view = bytes.subarray(skip);
        expect(sha256(view)).toEqual(portable(view));
        expect(hashOf(Buffer.from(view))).toBe(hashOf(view));
      }),
      { seed: seedOf(256), numRuns: 300 },
    );
  });

  it("gives plain bytes that nothing else holds", () => {
    const [one, other] = [sha256(new Uint8Array(1)), sha256(new Uint8Array(1))];
    expect(Buffer.isBuffer(one)).toBe(false);
    one.fill(0);
    expect(other).toEqual(portable(new Uint8Array(1)));
    const part = other.slice(0, 4);
    part.fill(0);
    expect(other).toEqual(portable(new Uint8Array(1)));
  });
});

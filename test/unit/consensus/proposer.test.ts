/** Rotation and time-outs, and the arithmetic both rest on. */
import { expect, it } from "vitest";
import { zeroHash } from "../../../src/base/hash.ts";
import { faultyMax, quorumSize } from "../../../src/base/proof/certificate.ts";
import { proposerAt, roundTimeoutMs } from "../../../src/consensus/proposer.ts";
import { keyOf } from "../../sim/fake-keys.ts";
import { keysOf } from "../../sim/probe.ts";

it("starts at the first validator after the genesis", () => {
  expect(proposerAt(keysOf(4), zeroHash, 0)).toBe(keyOf(0));
  expect(proposerAt(keysOf(4), zeroHash, 5)).toBe(keyOf(1));
});

it("follows the proposer of the block before, and wraps", () => {
  expect(proposerAt(keysOf(4), keyOf(1), 0)).toBe(keyOf(2));
  expect(proposerAt(keysOf(4), keyOf(3), 0)).toBe(keyOf(0));
  expect(proposerAt(keysOf(4), keyOf(3), 2)).toBe(keyOf(2));
});

it("goes on with the next in order when the former proposer left the set", () => {
  const validators = [keyOf(0), keyOf(2), keyOf(3)];
  expect(proposerAt(validators, keyOf(1), 0)).toBe(keyOf(2));
  expect(proposerAt([keyOf(0), keyOf(1)], keyOf(3), 0)).toBe(keyOf(0));
});

it("doubles the time-out up to four seconds, for any round", () => {
  expect([0, 1, 2, 3, 10, 1_100, 2 ** 40].map(roundTimeoutMs)).toEqual([
    1_000, 2_000, 4_000, 4_000, 4_000, 4_000, 4_000,
  ]);
});

it("has quorums of which any two share more than f validators, and the honest suffice", () => {
  const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13].map(quorumSize);
  expect(sizes).toEqual([1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 9]);
  for (let count = 1; count <= 200; count += 1) {
    expect(2 * quorumSize(count) - count).toBeGreaterThan(faultyMax(count));
    expect(quorumSize(count)).toBeLessThanOrEqual(count - faultyMax(count));
  }
});

/** Time-outs, turns by round, and the arithmetic of quorums. */
import { expect, it } from "vitest";
import { faultyMax, quorumSize } from "../../../src/base/proof/certificate.ts";
import { proposerAt, roundTimeoutMs } from "../../../src/consensus/proposer.ts";
import { keyOf } from "../../sim/fake-keys.ts";
import { keysOf } from "../../sim/probe.ts";

it("gives everybody a turn, round by round, for ever", () => {
  expect([0, 1, 3, 4, 21_602].map((round) => proposerAt(keysOf(4), round))).toEqual(
    [0, 1, 3, 0, 2].map(keyOf),
  );
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

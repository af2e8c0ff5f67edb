/** The order of proposers: turns, passing over, coming back, and where it begins anew. */
import { describe, expect, it } from "vitest";
import { hashOf, zeroHash } from "../../../src/base/hash.ts";
import {
  freshSchedule,
  nextSchedule,
  type ProposerSchedule,
  passedOver,
  type ScheduledHeader,
  scheduleAfter,
  scheduleBase,
  scheduleEpochHeights,
} from "../../../src/base/proposer-schedule.ts";
import { keyOf } from "../../sim/fake-keys.ts";
import { keysOf } from "../../sim/probe.ts";

const four = keysOf(4);
const setHash = hashOf(new Uint8Array(1));
const genesis = headerOf(0, zeroHash);

function headerOf(height: number, proposer: string): ScheduledHeader {
  return { height, proposer, validatorsHash: setHash, nextValidatorsHash: setHash };
}

/** Decides heights, each proposed by the first in order that is alive. */
function decide(
  schedule: ProposerSchedule,
  heights: number,
  isDead: (key: string) => boolean,
): { schedule: ProposerSchedule; headers: ScheduledHeader[]; triedAt: number[] } {
  const headers: ScheduledHeader[] = [];
  const triedAt: number[] = [];
  let current = schedule;
  for (let count = 0; count < heights; count += 1) {
    const { height, proposers } = current;
    const proposer = proposers.find((key) => !isDead(key)) as string;
    if (proposer !== proposers[0]) triedAt.push(height);
    const header = headerOf(height, proposer);
    headers.push(header);
    current = nextSchedule(current, header, four);
  }
  return { schedule: current, headers, triedAt };
}

const nobody = () => false;

describe("turns", () => {
  it("start at the first validator after the genesis, and follow the former proposer", () => {
    expect(freshSchedule(1, four, zeroHash).proposers).toEqual(four);
    const after = freshSchedule(7, four, keyOf(1)).proposers;
    expect(after).toEqual([2, 3, 0, 1].map(keyOf));
    expect(freshSchedule(7, four, keyOf(3)).proposers).toEqual(four);
  });

  it("go on with the next in order when the former proposer left the set", () => {
    const validators = [0, 2, 3].map(keyOf);
    expect(freshSchedule(7, validators, keyOf(1)).proposers).toEqual([2, 3, 0].map(keyOf));
    expect(freshSchedule(7, [0, 1].map(keyOf), keyOf(3)).proposers[0]).toBe(keyOf(0));
  });
});

describe("passing over", () => {
  const isDead = (key: string) => key === keyOf(2);

  it("tries a dead validator after 1, 2, 4, ... heights and at most 64", () => {
    const { triedAt, schedule } = decide(freshSchedule(1, four, zeroHash), 600, isDead);
    const gaps = triedAt.map((height, index) => height - (triedAt[index - 1] ?? 0));
    // A turn comes every third height at most, so a gap is that much longer than the pass.
    const passes = [1, 2, 4, 8, 16, 32, 64, 64, 64];
    for (const [index, pass] of passes.entries()) {
      expect(gaps[index + 1]).toBeGreaterThan(pass);
      expect(gaps[index + 1]).toBeLessThanOrEqual(pass + 3);
    }
    expect(passedOver(schedule)).toEqual([keyOf(2)]);
    expect(schedule.proposers.at(-1)).toBe(keyOf(2));
  });

  it("forgets all once the validator proposes again", () => {
    const start = decide(freshSchedule(1, four, zeroHash), 40, isDead).schedule;
    const back = decide(start, 70, nobody);
    expect(back.headers.map(({ proposer }) => proposer)).toContain(keyOf(2));
    expect(back.schedule.missed.size).toBe(0);
    const again = decide(back.schedule, 12, isDead).triedAt;
    expect((again[1] as number) - (again[0] as number)).toBeLessThanOrEqual(4);
  });

  it("leaves nobody without a turn, also when all but one are passed over", () => {
    const { schedule } = decide(freshSchedule(1, four, zeroHash), 300, (key) => key !== keyOf(1));
    expect(schedule.proposers[0]).toBe(keyOf(1));
    expect([...schedule.proposers].sort()).toEqual(four);
    expect(passedOver(schedule)).toEqual([0, 2, 3].map(keyOf));
  });

  it("counts a block as its first proposer's, in whatever round it was decided", () => {
    const first = freshSchedule(1, four, zeroHash);
    expect(nextSchedule(first, headerOf(1, keyOf(0)), four).missed.size).toBe(0);
  });
});

describe("beginning anew", () => {
  const isDead = (key: string) => key === keyOf(0);

  it("needs the headers of one epoch, and gives what following every block gives", () => {
    const heights = scheduleEpochHeights + 200;
    const { schedule, headers } = decide(freshSchedule(1, four, zeroHash), heights, isDead);
    const all = [genesis, ...headers];
    const base = scheduleBase(schedule.height);
    expect(base).toBe(scheduleEpochHeights);
    const needed = all.slice(base);
    expect(scheduleAfter(needed, four)).toEqual(schedule);
    expect(scheduleAfter(all, four)).toEqual(schedule);
    expect(() => scheduleAfter(needed.slice(1), four)).toThrow("reach back");
  });

  it("takes the last block of an epoch for the base of the next", () => {
    expect([1, 1_024, 1_025, 2_049].map(scheduleBase)).toEqual([0, 0, 1_024, 2_048]);
    const last = decide(freshSchedule(1, four, zeroHash), scheduleEpochHeights, isDead);
    expect(last.schedule).toEqual(freshSchedule(1_025, four, keyOf(last.headers.length % 3 || 3)));
  });

  it("passes nobody over when the validators change", () => {
    const { schedule } = decide(freshSchedule(1, four, zeroHash), 10, isDead);
    const header = { ...headerOf(11, keyOf(1)), nextValidatorsHash: zeroHash };
    const next = nextSchedule(schedule, header, keysOf(5));
    expect(next).toEqual(freshSchedule(12, keysOf(5), keyOf(1)));
    expect(scheduleAfter([genesis, header], keysOf(5))).toEqual(next);
  });
});

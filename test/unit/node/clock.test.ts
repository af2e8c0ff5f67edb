/** Claims about the node's clock: it never steps back, and it goes to the wall clock slowly. */
import { describe, expect, it } from "vitest";
import { steadyClock } from "../../../src/node/clock.ts";

function movable(startMs: number) {
  const time = { wallMs: startMs, monotonicMs: 0, bootMs: 0 };
  const clock = steadyClock({
    wallMs: () => time.wallMs,
    monotonicMs: () => time.monotonicMs,
    bootMs: () => time.bootMs,
  });
  const pass = (ms: number) => {
    time.wallMs += ms;
    time.monotonicMs += ms;
    time.bootMs += ms;
  };
  /** The machine sleeps: monotonic time stands still. */
  const sleep = (ms: number) => {
    time.wallMs += ms;
    time.bootMs += ms;
  };
  return { time, clock, pass, sleep };
}

describe("the steady clock", () => {
  it("follows real time", () => {
    const { clock, pass } = movable(1_000_000);
    pass(5_000);
    expect(clock.nowMs()).toBe(1_005_000);
  });

  it("never steps back when the wall clock is set back by an hour", () => {
    const { time, clock, pass } = movable(10_000_000);
    let before = clock.nowMs();
    time.wallMs -= 3_600_000;
    for (let turn = 0; turn < 1_000; turn += 1) {
      pass(10);
      const now = clock.nowMs();
      expect(now).toBeGreaterThanOrEqual(before);
      before = now;
    }
  });

  it("takes away an error by at most one percent of the time that passed", () => {
    const { time, clock, pass } = movable(0);
    time.wallMs += 10_000;
    pass(1_000);
    expect(clock.nowMs()).toBeLessThanOrEqual(1_010);
    for (let turn = 0; turn < 1_100; turn += 1) {
      pass(1_000);
      clock.nowMs();
    }
    expect(Math.abs(clock.nowMs() - time.wallMs)).toBeLessThanOrEqual(1);
  });
});

describe("a machine that slept", () => {
  it("has the right time at once, each time", () => {
    const { clock, pass, sleep } = movable(0);
    for (const lastsMs of [600_000, 1_500, 3_600_000]) {
      const before = clock.nowMs();
      sleep(lastsMs);
      pass(100);
      expect(clock.nowMs() - before).toBe(lastsMs + 100);
    }
  });

  it("(3) does not follow a wall clock that says more than the time it slept", () => {
    const { time, clock, sleep } = movable(0);
    sleep(60_000);
    time.wallMs += 600_000;
    expect(clock.nowMs()).toBe(60_000);
    time.wallMs += 600_000;
    expect(clock.nowMs()).toBe(60_000);
  });

  it("(3) does not go beyond the wall clock, which may have been set back meanwhile", () => {
    const { time, clock, sleep } = movable(0);
    sleep(600_000);
    time.wallMs -= 590_000;
    expect(clock.nowMs()).toBe(10_000);
  });
});

describe("a clock that others say is behind", () => {
  it.each([
    ["as far as the wall clock goes", 600_000, 900_000, 600_000],
    ["no further than the others are", 600_000, 200_000, 200_000],
    ["not at all when the wall clock does not say so", 0, 600_000, 0],
    ["not at all when the others do not say so", 600_000, 0, 0],
    ["not for what slewing does in a while", 900, 900, 0],
    ["as far as the wall clock goes when there are no others", 600_000, Infinity, 600_000],
  ])("(3) steps %s", (_, wallAheadMs, othersAheadMs, steppedMs) => {
    const { time, clock } = movable(1_000_000);
    time.wallMs += wallAheadMs;
    expect(clock.stepForward(othersAheadMs)).toBe(steppedMs);
    expect(clock.nowMs()).toBe(1_000_000 + steppedMs);
  });

  it("never steps back", () => {
    const { time, clock } = movable(1_000_000);
    time.wallMs -= 600_000;
    expect([clock.stepForward(-600_000), clock.stepForward(600_000)]).toEqual([0, 0]);
    expect(clock.nowMs()).toBe(1_000_000);
  });
});

describe("the real sources", () => {
  it("agree with each other while the machine is awake", () => {
    const clock = steadyClock();
    expect(Math.abs(clock.nowMs() - Date.now())).toBeLessThan(100);
    expect(clock.stepForward(Number.POSITIVE_INFINITY)).toBe(0);
  });
});

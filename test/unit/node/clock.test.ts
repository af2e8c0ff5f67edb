/** Claims about the node's clock: it never steps back, and it goes to the wall clock slowly. */
import { describe, expect, it } from "vitest";
import { steadyClock } from "../../../src/node/clock.ts";

function movable(startMs: number) {
  const time = { wallMs: startMs, monotonicMs: 0 };
  const clock = steadyClock(
    () => time.wallMs,
    () => time.monotonicMs,
  );
  const pass = (ms: number) => {
    time.wallMs += ms;
    time.monotonicMs += ms;
  };
  return { time, clock, pass };
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

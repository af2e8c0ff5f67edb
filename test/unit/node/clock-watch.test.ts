/** Claims about noticing a clock that is off (named failure 14: one clock five minutes off). */
import { describe, expect, it } from "vitest";
import { blockOf } from "../../../src/base/format/block.ts";
import { silentLog } from "../../../src/base/log.ts";
import { steadyClock } from "../../../src/node/clock.ts";
import { ClockWatch } from "../../../src/node/clock-watch.ts";
import { ValidatorWatch } from "../../../src/node/validator-watch.ts";
import { blockAt, drive, sorted, until } from "./driver-fixture.ts";

function proposal(validator: number, timestampMs: number, round = 0) {
  const { publicKey } = sorted[validator] as (typeof sorted)[0];
  const { header } = blockAt(1, "44".repeat(32));
  const block = blockOf({ ...header, proposer: publicKey, timestampMs }, []);
  const claim = { kind: "proposal", height: 1, round, blockHash: block.hash } as const;
  const signature = new Uint8Array(64);
  return { ...claim, validator: publicKey, signature, block, roundChanges: [], prepares: [] };
}

describe("the clock watch", () => {
  it("tells how far most others are ahead, whatever one liar says", () => {
    const watch = new ClockWatch();
    watch.note(proposal(1, 9_999_999_999), 1_000_000);
    expect(watch.offsetMs(1)).toBe(0);
    watch.note(proposal(2, 1_300_000), 1_000_000);
    watch.note(proposal(3, 1_300_000), 1_000_010);
    expect(watch.offsetMs(1)).toBe(300_000);
  });

  it("takes a proposal that is sent again for no sign of an old clock", () => {
    const watch = new ClockWatch();
    for (const other of [1, 2, 3]) watch.note(proposal(other, 1_000_000), 1_000_000);
    for (const other of [1, 2, 3]) watch.note(proposal(other, 1_000_000), 1_090_000);
    expect(watch.offsetMs(1)).toBe(0);
  });
});

/** A validator whose virtual machine was paused for ten minutes, and four proposals it may hear. */
function paused() {
  const startMs = 1_000_000;
  const time = { wallMs: startMs, monotonicMs: 0 };
  const clock = steadyClock({
    wallMs: () => time.wallMs,
    monotonicMs: () => time.monotonicMs,
  });
  const watch = new ValidatorWatch();
  const [self] = sorted;
  const parts = { clock, log: silentLog, signer: self };
  const hear = (message: ReturnType<typeof proposal>) => {
    watch.note(message, clock.nowMs());
    watch.setClock(validators, parts);
  };
  let validators = sorted.map(({ publicKey }) => publicKey);
  for (const other of [1, 2, 3]) hear(proposal(other, startMs));
  time.wallMs += 600_000;
  /** As far ahead as the clock really is behind. */
  const fresh = (other: number, round = 0) => proposal(other, time.wallMs, round);
  const only = (...members: number[]) => {
    validators = validators.filter((_, index) => members.includes(index));
  };
  return { time, clock, watch, hear, fresh, only, parts, all: () => validators };
}

describe("a validator whose machine was paused", () => {
  it("has the time again as soon as one of those that say so must be honest", () => {
    const { time, clock, watch, hear, fresh } = paused();
    hear(fresh(1));
    expect(clock.nowMs()).toBe(1_000_000);
    hear(fresh(2));
    expect(clock.nowMs()).toBe(time.wallMs);
    // What was held against the former time tells nothing any more.
    expect(watch.offsetMs(1)).toBe(0);
  });

  it("hears it in later rounds, too, when too few are left for the first ones", () => {
    const { time, clock, hear, fresh } = paused();
    hear(fresh(1, 4));
    hear(fresh(2, 5));
    expect(clock.nowMs()).toBe(time.wallMs);
  });

  it("takes no block of a former round for a sign that its clock is ahead or behind", () => {
    const { clock, hear, fresh } = paused();
    const prepare = { ...fresh(3), kind: "prepare" } as never;
    for (const other of [1, 2]) hear({ ...fresh(other, 1), prepares: [prepare] });
    expect(clock.nowMs()).toBe(1_000_000);
  });

  it("does not believe one liar, however much it says, nor who is no validator", () => {
    const { clock, hear, fresh, only } = paused();
    hear(proposal(1, 9_999_999_999));
    hear(proposal(1, 9_999_999_999_999, 1));
    expect(clock.nowMs()).toBe(1_000_000);
    only(0, 3);
    hear(fresh(2));
    expect(clock.nowMs()).toBe(1_000_000);
  });

  it("believes its own wall clock when it is alone", () => {
    const { time, clock, watch, parts, only, all } = paused();
    only(0);
    watch.setClock(all(), parts);
    expect(clock.nowMs()).toBe(time.wallMs);
  });

  it("is helped by its driver, without a message", async () => {
    const asked: number[] = [];
    const stepForward = (aheadMs: number) => asked.push(aheadMs) && 0;
    const clock = { nowMs: () => 1_000, stepForward };
    const { publicKey } = sorted[0] as (typeof sorted)[0];
    const { driver } = drive({ clock, validators: [publicKey] });
    driver.start();
    await until(() => asked.length > 0);
    await driver.stop();
    expect(new Set(asked)).toEqual(new Set([Number.POSITIVE_INFINITY]));
  });
});

/** Claims about noticing a clock that is off (named failure 14: one clock five minutes off). */
import { describe, expect, it } from "vitest";
import { blockOf } from "../../../src/base/format/block.ts";
import { ClockWatch } from "../../../src/node/clock-watch.ts";
import { blockAt, sorted } from "./driver-fixture.ts";

function proposal(validator: number, timestampMs: number) {
  const { publicKey } = sorted[validator] as (typeof sorted)[0];
  const { header } = blockAt(1, "44".repeat(32));
  const block = blockOf({ ...header, proposer: publicKey, timestampMs }, []);
  const claim = { kind: "proposal", height: 1, round: 0, blockHash: block.hash } as const;
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

/**
 * A clock that is off is shown: named failure 14 (one clock five minutes off), the half that is in
 * the shell. The core of such a node sees nothing but blocks that it may not accept.
 */
import { expect, it } from "vitest";
import type { ConsensusMessage } from "../../../src/base/format/message.ts";
import { clockReasons } from "../../../src/node/clock-reasons.ts";
import { ClockWatch } from "../../../src/node/clock-watch.ts";
import { blockAt, sorted } from "./driver-fixture.ts";

/** What a node says whose own clock shows this when the three others propose. */
function said(ownMs: number, proposedMs: readonly number[]): string[] {
  const watch = new ClockWatch();
  for (const [index, timestampMs] of proposedMs.entries()) {
    const block = blockAt(1, "44".repeat(32));
    const message = {
      ...{ kind: "proposal", height: 1, round: index, prepares: [], roundChanges: [] },
      validator: sorted[index + 1]?.publicKey,
      block: { ...block, header: { ...block.header, timestampMs } },
    } as unknown as ConsensusMessage;
    watch.note(message, ownMs);
  }
  return clockReasons(watch.offsetMs(1));
}

const hourMs = 3_600_000;
const others = [hourMs, hourMs, hourMs];

it.each([
  [hourMs - 300_000, "the clock of this node is 300 s behind those of its peers"],
  [hourMs - 5_001, "the clock of this node is 5 s behind those of its peers"],
  [hourMs + 30_001, "the clock of this node is 30 s ahead of those of its peers"],
  [hourMs + 300_000, "the clock of this node is 300 s ahead of those of its peers"],
])("a node whose clock shows %i is not ready: %s", (ownMs, reason) => {
  expect(said(ownMs, others)).toEqual([reason]);
});

it("a clock within the window of fresh proposals is no reason", () => {
  for (const ownMs of [hourMs - 5_000, hourMs, hourMs + 30_000])
    expect(said(ownMs, others)).toEqual([]);
});

it("neither is what one liar says", () => {
  expect(said(hourMs, [hourMs + 300_000])).toEqual([]);
  expect(said(hourMs, [hourMs + 300_000, hourMs, hourMs])).toEqual([]);
});

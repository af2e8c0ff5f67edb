/**
 * Claims about how far the clocks of peers are shown to be off (invariants of peer-clocks.ts), in
 * the shell of a node that asks peers for their heights. Another claim: nothing is decided by it.
 */
import { expect, it } from "vitest";
import { PeerClocks } from "../../../src/node/peer-clocks.ts";
import { startShell } from "./shell-fixture.ts";
import { VirtualTimers } from "./virtual-timers.ts";

const startMs = 1_700_000_000_000;

/** A node and a peer whose clock is off by so much, and the line between them. */
function bench(peerOffsetMs: number) {
  const timers = new VirtualTimers();
  const own = { aheadMs: 0 };
  const line = { thereMs: 0, backMs: 0 };
  const clock = { nowMs: () => startMs + timers.nowMs() + own.aheadMs };
  const passes = (delayMs: number) =>
    new Promise<void>((resolve) => timers.after(delayMs, resolve));
  const clocks = new PeerClocks({ clock, timers });
  const source = clocks.watching({
    connectedPeers: () => ["peer"],
    requestBlocks: async () => [Uint8Array.of(7)],
    requestStatus: async () => {
      await passes(line.thereMs);
      const clockMs = startMs + timers.nowMs() + peerOffsetMs;
      await passes(line.backMs);
      return { height: 3, clockMs };
    },
  });
  /** Asks once over a line that takes so long, each way. */
  const ask = async (thereMs: number, backMs: number) => {
    Object.assign(line, { thereMs, backMs });
    const answer = source.requestStatus("peer");
    await timers.advance(thereMs + backMs);
    return answer;
  };
  return { timers, own, clocks, source, ask, shown: () => clocks.offsetMs("peer") };
}

it.each([-300_000, 300_000, 0])("a clock that is off by %i ms is shown so", async (offsetMs) => {
  const { ask, shown, source } = bench(offsetMs);
  expect(shown()).toBeUndefined();
  expect((await ask(20, 20)).height).toBe(3);
  expect(shown()).toBe(offsetMs);
  expect(source.connectedPeers()).toEqual(["peer"]);
  expect(await source.requestBlocks("peer", 1, 1)).toEqual([Uint8Array.of(7)]);
});

it("(1) a line that is slower one way misleads by half the round trip at most", async () => {
  for (const thereMs of [0, 1, 100, 500])
    for (const backMs of [0, 3, 200, 500]) {
      const { ask, shown } = bench(-300_000);
      await ask(thereMs, backMs);
      const errorMs = Math.abs((shown() as number) + 300_000);
      expect(errorMs, `${thereMs} ms there, ${backMs} back`).toBe(Math.abs(thereMs - backMs) / 2);
      expect(errorMs).toBeLessThanOrEqual((thereMs + backMs) / 2);
    }
});

it.each([
  [1_001, 0],
  [0, 1_001],
  [900, 2_000],
])("(1) an answer that is slow, %i ms there and %i back, is no measure", async (there, back) => {
  const { ask, shown } = bench(-300_000);
  await ask(there, back);
  expect(shown()).toBeUndefined();
  await ask(10, 10);
  await ask(there, back);
  expect(shown()).toBe(-300_000);
});

it("(2) what a peer said a minute ago is not shown", async () => {
  const { ask, shown, timers } = bench(-300_000);
  await ask(0, 0);
  await timers.advance(60_000);
  expect(shown()).toBe(-300_000);
  await timers.advance(1);
  expect(shown()).toBeUndefined();
});

it("is held against the present clock of the node, which may have been set forward", async () => {
  const { ask, shown, own, timers } = bench(0);
  await ask(10, 10);
  own.aheadMs = 600_000;
  await timers.advance(500);
  expect(shown()).toBe(-600_000);
});

it("(3) a peer that claims any clock at all changes what is shown of itself only", async () => {
  for (const clockMs of [0, Number.MAX_SAFE_INTEGER]) {
    const stepped: number[] = [];
    const liar = { height: 5, clockMs };
    const { shell, timers, driver } = startShell({
      members: 4,
      peers: { "peer 1": liar, "peer 2": { height: 5 }, "peer 3": { height: 5 } },
      stepForward: (aheadMs) => stepped.push(aheadMs) && 0,
    });
    await timers.advance(3_000);
    const of = (index: number) => shell.peerClocks.offsetMs(`peer ${index}`);
    expect([of(2), of(3)]).toEqual([0, 0]);
    expect(of(1)).toBe(clockMs - timers.nowMs());
    expect(Number.isSafeInteger(of(1))).toBe(true);
    // What its own clock is told comes from proposals, and there were none.
    expect(new Set(stepped)).toEqual(new Set([0]));
    expect(driver.status.clockOffsetMs).toBe(0);
    await shell.stop();
  }
});

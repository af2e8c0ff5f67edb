/**
 * Time-jacking: f members whose clocks are hours or a day off, in whole nodes under virtual time.
 * Block time goes up from block to block and stays within the bounds of fresh proposals from the
 * clocks of the honest, and the ledger goes on. Only plans fixed here: clocks of the random ones
 * are off by ten minutes at most. That contracts see block time only: unit/contracts/escape.
 */
import { expect, it } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { validatorKey, worldStartMs } from "../sim/world/chain.ts";
import { fixedPlan, honestOffsetMs } from "../sim/world/fixed-plan.ts";
import { messageIn, type Trick } from "../sim/world/liar.ts";
import type { Plan } from "../sim/world/plan.ts";
import { runWorld } from "../sim/world/world.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const seed = 14;
/** Frames take some milliseconds, votes that were lost a round or two; then a block is decided. */
const decisionMsMax = 4_000;

/** A network in which all goes well but for the clocks of the last nodes. */
function planWith(
  count: number,
  offsetsMs: readonly number[],
  tricks: readonly Trick[] = [],
): Plan {
  const firstOff = count - offsetsMs.length;
  const { clockOffsetsMs } = fixedPlan(seed, count);
  return fixedPlan(seed, count, {
    liars: offsetsMs.map((_, place) => ({ index: firstOff + place, tricks })),
    clockOffsetsMs: clockOffsetsMs.map(
      (offsetMs, index) => offsetsMs[index - firstOff] ?? offsetMs,
    ),
  });
}

it.each<[string, Plan]>([
  ["a proposer an hour ahead", planWith(4, [hourMs])],
  ["a proposer an hour behind", planWith(4, [-hourMs])],
  ["f of seven a day ahead", planWith(7, [dayMs, dayMs])],
  ["f of seven, a day off either way", planWith(7, [dayMs, -dayMs])],
  ["f of four a day ahead that proposes what it likes", planWith(4, [dayMs], ["wrongBlocks"])],
])("%s: block time goes up, within the bound, and the ledger goes on", async (_, plan) => {
  const times = new Map<number, { readonly blockMs: number; readonly realMs: number }>();
  const off = plan.liars.map(({ index }) => index);
  const proposers = new Set<string>();
  let nowMs = 0;
  const outcome = await runWorld(plan, {
    observer: {
      onNote: (atMs) => {
        nowMs = atMs;
      },
      onAppended: (_node, { block: { header } }) => {
        if (times.has(header.height)) return;
        times.set(header.height, { blockMs: header.timestampMs, realMs: worldStartMs + nowMs });
      },
      onDeliver: (_to, frame) => {
        const message = messageIn(frame);
        if (message?.kind === "proposal") proposers.add(message.validator);
      },
    },
  });
  expect(outcome.violation).toBeUndefined();
  expect(outcome.heights).toBeGreaterThan(10);
  // They had their say.
  for (const index of off) expect(proposers).toContain(validatorKey(index));
  const all = [...times.values()];
  expect(all).toHaveLength(outcome.heights);
  for (const [place, { blockMs, realMs }] of all.entries()) {
    if (place > 0) expect(blockMs).toBeGreaterThan(all[place - 1]?.blockMs as number);
    expect(blockMs).toBeLessThanOrEqual(realMs + limits.proposalFutureMsMax + honestOffsetMs);
    expect(blockMs).toBeGreaterThanOrEqual(
      realMs - limits.proposalPastMsMax - honestOffsetMs - decisionMsMax,
    );
  }
});

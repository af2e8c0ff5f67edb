/**
 * A twin sends two proposals: in whole nodes under virtual time, the evidence is committed on all
 * nodes, ten times of ten, at other heights and by other validators. What each node reads back here
 * is what its status shows (`readEquivocations`); test/e2e/equivocation.test.ts sees that page.
 */
import { expect, it } from "vitest";
import { didOf } from "../../src/base/format/did.ts";
import { limits } from "../../src/base/limits.ts";
import { readEquivocations } from "../../src/ledger/system/report-equivocation.ts";
import { validatorKey } from "../sim/world/chain.ts";
import { fixedPlan } from "../sim/world/fixed-plan.ts";
import type { Running, WorldNode } from "../sim/world/node.ts";
import { runWorld } from "../sim/world/world.ts";

const seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const places = new Set<string>();

it.each(seeds)(
  "two proposals of one validator are on record on all nodes, seed %i",
  async (seed) => {
    const count = seed % 2 === 0 ? 7 : 4;
    const liar = seed % count;
    const nodes = new Map<WorldNode, Running>();
    const outcome = await runWorld(
      fixedPlan(seed, count, { liars: [{ index: liar, tricks: ["twoProposals"] }] }),
      { observer: { onOpened: (node, running) => void nodes.set(node, running) } },
    );
    expect(outcome.violation).toBeUndefined();
    const [first, ...others] = [...nodes]
      .filter(([{ isLiar }]) => !isLiar)
      .map(([, { ledger }]) => readEquivocations(ledger.state, limits.equivocationsShownMax));
    expect(others).toHaveLength(count - 2);
    for (const rows of others) expect(rows).toEqual(first);
    const proposals = (first ?? []).filter(({ kind }) => kind === "proposal");
    expect(proposals.length).toBeGreaterThan(0);
    for (const row of first ?? []) expect(row.validator).toBe(didOf(validatorKey(liar)));
    for (const { height, round } of proposals) places.add(`${liar} ${height}/${round}`);
  },
);

it("they were at ten places and more", () => {
  expect(places.size).toBeGreaterThanOrEqual(seeds.length);
});

/**
 * 500 seeds of the whole-node simulator, other ones at every commit: the first seed follows from
 * the commit hash, or is `LOOPLEDGER_SIM_SEED`. A failure names its seed, and
 * `npm run sim -- --seed S` replays and shrinks it.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { commitSeed } from "../helpers/commit-seed.ts";
import { effectKinds } from "../sim/world/effects.ts";
import { type Plan, planOf } from "../sim/world/plan.ts";
import { runWorld } from "../sim/world/world.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const seeds = Number(process.env.LOOPLEDGER_SIM_SEEDS ?? 500);
const seedsForAllKinds = 300;

type Totals = {
  readonly seeds: number;
  readonly failed: readonly number[];
  readonly seedsWith20Heights: number;
  readonly faults: Readonly<Record<string, number>>;
};

it("holds over 500 seeds of this commit, most of which decide 20 heights or more", () => {
  const from = process.env.LOOPLEDGER_SIM_SEED ?? String(commitSeed());
  const args = ["test/sim/run.mjs", "--seeds", String(seeds), "--from", from, "--json"];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  console.log(`from seed ${from}: ${stdout.split("\n")[0]}`);
  const totals = JSON.parse(stdout.split("\n")[0] ?? "") as Totals;
  expect(totals.failed, stderr).toEqual([]);
  expect(totals.seeds).toBe(seeds);
  expect(totals.seedsWith20Heights).toBeGreaterThanOrEqual(seeds / 2);
  // Every kind of fault took effect somewhere; a few seeds may do without some.
  const absent = effectKinds.filter((kind) => !((totals.faults[kind] ?? 0) > 0));
  if (seeds >= seedsForAllKinds) expect(absent).toEqual([]);
});

/** Two of four nodes die after ten seconds, and come back after a day. */
function dayWithoutQuorum(): Plan {
  const fourNodes = Array.from({ length: 100 }, (_, seed) => planOf(seed)).find(
    ({ count, liars }) => count === 4 && liars.length === 0,
  ) as Plan;
  const lastsMs = 24 * 3_600_000;
  const outage = { kind: "outage", atMs: 10_000, lastsMs, nodes: [1, 2] } as const;
  return {
    ...fourNodes,
    rates: { ...fourNodes.rates, loss: 0, duplicate: 0, replay: 0, late: 0 },
    actions: [outage],
    safetyMs: outage.atMs + lastsMs,
    leftFaulty: 0,
  };
}

it("decides within 10 s once a quorum is back after 24 hours", async () => {
  const outcome = await runWorld(dayWithoutQuorum());
  const hours = outcome.virtualMs / 3_600_000;
  console.log(`first block ${outcome.firstBlockMs} ms after the end of ${hours.toFixed(1)} hours`);
  expect(outcome.violation).toBeUndefined();
  expect(outcome.firstBlockMs).toBeLessThan(10_000);
});

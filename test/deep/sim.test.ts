/**
 * 500 seeds of the whole-node simulator, other ones at every commit: the first seed follows from
 * the commit hash, or is `LOOPLEDGER_SIM_SEED`. A failure names its seed, and
 * `npm run sim -- --seed S` replays and shrinks it. Also a day without a quorum, of the seed
 * `LOOPLEDGER_DAY_SEED` or of the commit.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { commitSeed } from "../helpers/commit-seed.ts";
import { Random } from "../sim/random.ts";
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

/**
 * A quorum of four is lost after ten seconds and comes back after a day: two nodes die, or are cut
 * off together. The network may lose messages; liars would cost an hour of computing.
 */
function dayWithoutQuorum(seed: number): Plan {
  const random = new Random(seed);
  const isFitting = ({ count, sets, liars }: Plan) =>
    count === 4 && sets === undefined && liars.length === 0;
  let drawn = planOf(seed);
  while (!isFitting(drawn)) drawn = planOf(random.below(2 ** 31));
  const when = { atMs: 10_000, lastsMs: 24 * 3_600_000 };
  const one = random.below(4);
  const two = [one, (one + 1) % 4] as const;
  const others = [(one + 2) % 4, (one + 3) % 4];
  const cut = two.flatMap((from) => others.flatMap((to) => [`${from}>${to}`, `${to}>${from}`]));
  const isCrash = random.chance(0.5);
  return {
    ...drawn,
    rates: { ...drawn.rates, loss: random.next() * 0.1, duplicate: 0, replay: 0, late: 0 },
    actions: [
      isCrash ? { kind: "outage", ...when, nodes: two } : { kind: "partition", ...when, cut },
    ],
    safetyMs: when.atMs + when.lastsMs,
    // They have bounds of their own.
    snapshots: undefined,
    leftFaulty: 0,
  };
}

it("decides within 10 s once a quorum is back after 24 hours", async () => {
  const plan = dayWithoutQuorum(Number(process.env.LOOPLEDGER_DAY_SEED ?? commitSeed()));
  const { rates, actions } = plan;
  console.log(`a day without a quorum: ${JSON.stringify({ loss: rates.loss, actions })}`);
  const outcome = await runWorld(plan);
  const hours = outcome.virtualMs / 3_600_000;
  console.log(`first block ${outcome.firstBlockMs} ms after the end of ${hours.toFixed(1)} hours`);
  expect(outcome.violation).toBeUndefined();
  expect(outcome.firstBlockMs).toBeLessThan(10_000);
});

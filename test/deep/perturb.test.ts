/**
 * Real processes under load and perturbation: nothing that was told final is lost, nothing happens
 * twice, all chains are one, and the ledger goes on. See test/e2e/perturb/run-plan.ts for what is
 * held to, and docs/TESTING.md for how to run a plan again.
 *
 * By itself it runs four plans of a seed that follows from the commit's hash, so each commit has
 * others. `npm run perturb` chooses by environment variables: PERTURB_SEED, PERTURB_PLANS,
 * PERTURB_FROM (index of the first plan), PERTURB_MINUTES (go on with further plans so long),
 * PERTURB_LINKS (namespaces or proxy). PERTURB_SLOWNESS (1) widens the bounds of time where others
 * use the machine.
 */
import { afterAll, expect, it } from "vitest";
import { type LinkKind, linkKinds } from "../e2e/perturb/links.ts";
import { drawPlan, planText } from "../e2e/perturb/plan.ts";
import { reportText } from "../e2e/perturb/report.ts";
import { type PlanReport, runPlan } from "../e2e/perturb/run-plan.ts";
import { commitSeed } from "../helpers/commit-seed.ts";

const { env } = process;
const seed = Number(env.PERTURB_SEED ?? commitSeed());
const minutes = Number(env.PERTURB_MINUTES ?? 0);
const from = Number(env.PERTURB_FROM ?? 0);
const planCount = Number(env.PERTURB_PLANS ?? 4);
/** Only for failure: with a quiet machine a plan takes half a minute. */
const planMsMax = 600_000;
const finalMin = 20;
const reports: PlanReport[] = [];

/** Both kinds in turn where the machine allows both. */
function linksOf(index: number): LinkKind {
  const kinds = linkKinds();
  const wanted = kinds.find((kind) => kind === env.PERTURB_LINKS);
  return wanted ?? (kinds[index % kinds.length] as LinkKind);
}

async function run(index: number): Promise<void> {
  const plan = drawPlan(seed, index);
  console.log(`${linksOf(index)}: ${planText(plan)}`);
  const report = await runPlan(plan, linksOf(index));
  reports.push(report);
  console.log(reportText([report]));
  // Only a ledger that decided something says anything.
  expect(report.final).toBeGreaterThan(finalMin);
}

afterAll(() => console.log(`perturbation, seed ${seed}\n${reportText(reports)}`));

if (minutes > 0)
  it(
    `loses and repeats nothing, and goes on, for ${minutes} minutes (seed ${seed})`,
    async () => {
      const endMs = performance.now() + minutes * 60_000;
      for (let index = from; performance.now() < endMs; index += 1) await run(index);
    },
    minutes * 60_000 + planMsMax,
  );
else
  for (let index = from; index < from + planCount; index += 1)
    it(
      `loses and repeats nothing, and goes on: plan ${seed}.${index}`,
      () => run(index),
      planMsMax,
    );

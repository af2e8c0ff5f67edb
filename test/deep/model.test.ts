/**
 * The executable model, further than `test/property/model.test.ts` and bounded still: three rounds
 * in every interleaving, more validators and values for any number of rounds, and the traces of
 * many runs of cores and of whole simulated nodes. `npm run model` goes as far as its time allows.
 *
 * When it fails: a fork is printed as the moves that lead to it; a refused trace names the kind of
 * run and the seed, which `SEED=n npx vitest run test/property/model` or
 * `npm run sim -- --seed n --model` runs again. Half of the seeds are other ones at every commit.
 */
import { expect, it } from "vitest";
import { commitSeed } from "../helpers/commit-seed.ts";
import { exploreRounds, keyOfSummary, summaryOf } from "../model/by-round.ts";
import { explore } from "../model/explore.ts";
import { canDecide } from "../model/liveness.ts";
import { runKinds, tracedRun } from "../model/runs.ts";
import { exchangeValues, settingOf } from "../model/state.ts";
import { watchWorld } from "../model/traced-world.ts";
import { protocolOf } from "../model/types.ts";
import { planOf } from "../sim/world/plan.ts";
import { runWorld } from "../sim/world/world.ts";

/** Those from 1 on, and as many of this commit. `test/deep/sim.test.ts` begins with other ones. */
function seedsOf(count: number): number[] {
  const first = commitSeed() + 1_000;
  return Array.from({ length: count / 2 }, (_, index) => [1 + index, first + index]).flat();
}

it.each([0, 1, 2])("three rounds agree and can decide while validator %i lies", (liar) => {
  const setting = settingOf({ protocol: protocolOf(4), liars: 1 << liar, roundCount: 3 });
  const { isComplete, fork, states, stateCount, depth } = explore(setting);
  console.log(`validator ${liar} lies: ${stateCount} states, depth ${depth}`);
  expect({ isComplete, fork }).toEqual({ isComplete: true, fork: undefined });
  let index = 0;
  for (const state of states.all())
    if (index++ % 50 === 0) expect(canDecide(setting, state), state).toBe(true);
});

it("three rounds reach by single moves what they reach round by round", () => {
  const protocol = protocolOf(4);
  const setting = settingOf({ protocol, liars: 0b1000, roundCount: 3 });
  const { fork, states } = explore(setting);
  expect(fork).toBeUndefined();
  const found = new Set<string>();
  for (const state of states.all())
    for (const alike of [state, exchangeValues(state)])
      found.add(keyOfSummary(summaryOf(setting, alike, 2)));
  const scope = { protocol, liars: 0b1000, valueCount: 2, withRanks: false };
  const byRound = [...exploreRounds(scope, 3).summaries];
  expect(found).toEqual(new Set(byRound.filter((key) => key.startsWith("round 3"))));
  console.log(`${states.size} states end in ${found.size} summaries`);
});

it.each([
  { validatorCount: 4, valueCount: 3 },
  { validatorCount: 5, valueCount: 2 },
])("any number of rounds agree: $validatorCount validators, $valueCount values", (counts) => {
  const { validatorCount, valueCount } = counts;
  const liar = validatorCount - 1;
  const protocol = protocolOf(validatorCount, { proposerAt: () => liar });
  const setting = { protocol, liars: 1 << liar, valueCount, withRanks: true };
  const { isComplete, fork, stateCount } = exploreRounds(setting);
  console.log(`${validatorCount} validators, ${valueCount} values: ${stateCount} states`);
  expect({ isComplete, fork }).toEqual({ isComplete: true, fork: undefined });
});

it.each(runKinds)("traces of 60 runs that are %s are behaviours of the model", (kind) => {
  let claims = 0;
  for (const seed of seedsOf(60))
    try {
      const { counts } = tracedRun(kind, seed).checker;
      claims += counts.proposal + counts.prepare + counts.commit + counts.roundChange;
    } catch (error) {
      const command = `SEED=${seed} npx vitest run test/property/model`;
      throw new Error(`a run that is ${kind}; again: ${command}`, { cause: error });
    }
  console.log(`${kind}: ${claims} claims`);
  expect(claims).toBeGreaterThan(1_000);
});

it("traces of 20 runs of whole nodes are behaviours of the model", async () => {
  let claims = 0;
  for (const seed of seedsOf(20)) {
    const plan = planOf(seed);
    const { observer, checker } = watchWorld(plan);
    const { violation } = await runWorld(plan, { observer });
    expect(violation, `npm run sim -- --seed ${seed} --model`).toBeUndefined();
    const { proposal, prepare, commit, roundChange } = checker.counts;
    claims += proposal + prepare + commit + roundChange;
  }
  console.log(`whole nodes: ${claims} claims`);
  expect(claims).toBeGreaterThan(1_000);
});

/**
 * `npm run twins`: see docs/TESTING.md. Bundled by run.mjs; the same file is the worker.
 *
 * Ends with 0 when all is as it must be. With more twins than may be faulty a fork must be found.
 */
import { availableParallelism } from "node:os";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { faultyMax } from "../../../src/base/proof/certificate.ts";
import { readOptions, refuseOptions, type Values } from "../../../tools/options.mjs";
import type { TwinsSummary } from "./explore.ts";
import { emptySummary, mergeInto, partsOf, runAll, runScenario, sampleOf } from "./explore.ts";
import { replay } from "./replay.ts";
import { scenarioCount, type TwinsSetup } from "./scenario.ts";

/** Scenarios handed to a worker at once when each is run by itself. */
const batchCount = 64;

/** One piece of work: all scenarios with these partitions, or these scenarios one by one. */
type Job =
  | { readonly kind: "all"; readonly partitions: readonly number[] }
  | { readonly kind: "each"; readonly scenarios: readonly number[] };

function perform(setup: TwinsSetup, job: Job): TwinsSummary {
  if (job.kind === "all") return runAll(setup, job.partitions);
  const summary = emptySummary();
  for (const scenario of job.scenarios) mergeInto(summary, runScenario(setup, scenario));
  return summary;
}

function* batches(scenarios: readonly number[]): Generator<Job> {
  for (let from = 0; from < scenarios.length; from += batchCount)
    yield { kind: "each", scenarios: scenarios.slice(from, from + batchCount) };
}

/** Has workers do all jobs, each the next one as it is free. */
async function performAll(setup: TwinsSetup, jobs: Iterator<Job>): Promise<TwinsSummary> {
  const sum = emptySummary();
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: setup });
      const next = () => {
        const { value, done } = jobs.next();
        if (done !== true) worker.postMessage(value);
        else worker.terminate().then(() => resolve(), reject);
      };
      worker.on("error", reject);
      worker.on("message", (summary: TwinsSummary) => {
        mergeInto(sum, summary);
        next();
      });
      next();
    });
  await Promise.all(Array.from({ length: availableParallelism() }, one));
  return sum;
}

const options = {
  validators: { type: "count", min: 1, default: 4 },
  twins: { type: "count", min: 1, default: 1 },
  leader: { type: "count", default: 0 },
  rounds: { type: "count", min: 1, default: 4 },
  partitions: { type: "text", choices: ["1", "2", "3"], default: "1" },
  deaf: { type: "flag" },
  sample: { type: "count", min: 1 },
  seed: { type: "count", default: 1 },
  scenario: { type: "count" },
  each: { type: "flag" },
  json: { type: "flag" },
} as const;

function setupOf(values: Values<typeof options>): TwinsSetup {
  const { validators, leader, rounds } = values;
  const partitionsPerRound = Number(values.partitions) as 1 | 2 | 3;
  const twins = Array.from({ length: values.twins }, (_, index) => leader + index);
  if (leader + twins.length > validators)
    refuseOptions("--leader and --twins name more validators than there are");
  return { validators, twins, rounds, partitionsPerRound, cut: values.deaf ? "deaf" : "sets" };
}

function jobsOf(setup: TwinsSetup, values: Values<typeof options>): Iterator<Job> {
  if (values.sample !== undefined) return batches(sampleOf(setup, values.sample, values.seed));
  if (values.each)
    return batches(Array.from({ length: scenarioCount(setup) }, (_, scenario) => scenario));
  return partsOf(setup)
    .map((partitions): Job => ({ kind: "all", partitions }))
    .values();
}

function commandOf(setup: TwinsSetup, scenario: number): string {
  const { validators, twins, rounds, partitionsPerRound, cut } = setup;
  const about = `--validators ${validators} --twins ${twins.length} --leader ${twins[0]}`;
  const deaf = cut === "deaf" ? " --deaf" : "";
  const size = `--rounds ${rounds} --partitions ${partitionsPerRound}${deaf}`;
  return `npm run twins -- ${about} ${size} --scenario ${scenario}`;
}

/** Each failure with the command that replays it. */
function withCommands(setup: TwinsSetup, { failures }: TwinsSummary) {
  return failures.map((each) => ({ ...each, command: commandOf(setup, each.scenario) }));
}

function print(setup: TwinsSetup, summary: TwinsSummary, seconds: number): void {
  const rounds = summary.byRound.map((count, round) => `${round}: ${count ?? 0}`).join(", ");
  const lines = [
    `${summary.scenarios} scenarios in ${summary.runs} runs, ${seconds.toFixed(1)} s`,
    `  unsafe ${summary.violations}, not live ${summary.undecided}`,
    `  decided in round ${rounds}`,
    `  the liar contradicted itself in ${summary.equivocations}`,
    `  all honest nodes decided within ${summary.decidedMsMax} ms of virtual time,`,
    `  and within ${summary.healingMsMax} ms where partitions had to end first`,
    ...withCommands(setup, summary).map(({ reason, command }) => `  ${reason}\n    ${command}`),
  ];
  console.log(lines.join("\n"));
}

async function main(): Promise<boolean> {
  const values = readOptions(options);
  const setup = setupOf(values);
  if (values.scenario !== undefined) {
    const { scenario } = values;
    if (scenario >= scenarioCount(setup)) refuseOptions("--scenario: there is none so high");
    const lines = replay(setup, scenario);
    console.log(lines.join("\n"));
    return lines.at(-1)?.startsWith("all") === true;
  }
  const startMs = performance.now();
  const summary = await performAll(setup, jobsOf(setup, values));
  const seconds = (performance.now() - startMs) / 1_000;
  const failures = withCommands(setup, summary);
  if (values.json) console.log(JSON.stringify({ ...summary, failures, seconds }));
  else print(setup, summary, seconds);
  const mustFork = setup.twins.length > faultyMax(setup.validators);
  const forks = summary.failures.filter(({ reason }) => reason.startsWith("fork"));
  return mustFork ? forks.length > 0 : summary.violations + summary.undecided === 0;
}

if (isMainThread) process.exitCode = (await main()) ? 0 : 1;
else
  parentPort?.on("message", (job: Job) =>
    parentPort?.postMessage(perform(workerData as TwinsSetup, job)),
  );

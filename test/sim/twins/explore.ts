/** Runs scenarios one by one, or all of them with their common beginnings run once. */
import { Random } from "../random.ts";
import { TwinsRun } from "./run.ts";
import {
  partitionCount,
  partitionsOf,
  placeCount,
  scenarioCount,
  scenarioOf,
  type TwinsSetup,
} from "./scenario.ts";

/** What came of some scenarios. */
export type TwinsSummary = {
  scenarios: number;
  /** Scenarios that differ only in partitions that no message met are one run. */
  runs: number;
  violations: number;
  /** Scenarios in which an honest instance decided nothing within the bound. */
  undecided: number;
  /** Scenarios in which a twin signed two different things in one slot. */
  equivocations: number;
  /** Scenarios by the round in which a quorum committed. */
  byRound: number[];
  /** Longest time from start, and from the end of the partitions, until all honest decided. */
  decidedMsMax: number;
  healingMsMax: number;
  /** The first ones that failed, with the reason. */
  failures: { readonly scenario: number; readonly reason: string }[];
};

const failuresKept = 10;

/** Returns the summary of nothing. */
export function emptySummary(): TwinsSummary {
  return {
    scenarios: 0,
    runs: 0,
    violations: 0,
    undecided: 0,
    equivocations: 0,
    byRound: [],
    decidedMsMax: 0,
    healingMsMax: 0,
    failures: [],
  };
}

/** Adds one summary to another. */
export function mergeInto(sum: TwinsSummary, other: TwinsSummary): void {
  sum.scenarios += other.scenarios;
  sum.runs += other.runs;
  sum.violations += other.violations;
  sum.undecided += other.undecided;
  sum.equivocations += other.equivocations;
  for (const [round, count] of other.byRound.entries())
    sum.byRound[round] = (sum.byRound[round] ?? 0) + (count ?? 0);
  sum.decidedMsMax = Math.max(sum.decidedMsMax, other.decidedMsMax);
  sum.healingMsMax = Math.max(sum.healingMsMax, other.healingMsMax);
  sum.failures = [...sum.failures, ...other.failures]
    .sort((left, right) => left.scenario - right.scenario)
    .slice(0, failuresKept);
}

/** Runs one scenario. */
export function runScenario(setup: TwinsSetup, scenario: number): TwinsSummary {
  return runAll(setup, partitionsOf(setup, scenario));
}

/**
 * Runs all scenarios that have the given partitions, of which some may be open. A run is split only
 * when a message is about to meet an open one.
 */
export function runAll(
  setup: TwinsSetup,
  partitions: readonly (number | undefined)[],
): TwinsSummary {
  const summary = emptySummary();
  const root = new TwinsRun(setup);
  for (const [place, partition] of partitions.entries()) root.partitions[place] = partition;
  explore(root, summary);
  return summary;
}

function explore(run: TwinsRun, summary: TwinsSummary): void {
  const outcome = advance(run);
  if (outcome.openPlace === undefined) {
    note(run, summary, outcome.reason);
    return;
  }
  const count = partitionCount(run.setup);
  for (let partition = 0; partition < count; partition += 1) {
    const branch = partition === count - 1 ? run : run.clone();
    branch.partitions[outcome.openPlace] = partition;
    explore(branch, summary);
  }
}

/** What is unsafe is thrown: by the checkers, or by the core about itself. */
function advance(run: TwinsRun): { openPlace: number | undefined; reason?: string } {
  try {
    return { openPlace: run.advance() };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { openPlace: undefined, reason: error.message };
  }
}

function note(run: TwinsRun, summary: TwinsSummary, reason: string | undefined): void {
  const openPlaces = run.partitions.filter((partition) => partition === undefined).length;
  const weight = partitionCount(run.setup) ** openPlaces;
  const decided = run.honest.flatMap((index) => run.decided[index] ?? []);
  const isUndecided = reason === undefined && decided.length < run.honest.length;
  summary.scenarios += weight;
  summary.runs += 1;
  if (hasEquivocation(run)) summary.equivocations += weight;
  if (reason !== undefined) summary.violations += weight;
  if (isUndecided) summary.undecided += weight;
  if (reason !== undefined || isUndecided) {
    const scenario = scenarioOf(run.setup, run.partitions);
    if (summary.failures.length < failuresKept)
      summary.failures.push({ scenario, reason: reason ?? "an honest node decided nothing" });
    return;
  }
  const round = Math.min(...decided.map(({ certificate }) => certificate.round));
  summary.byRound[round] = (summary.byRound[round] ?? 0) + weight;
  const atMs = Math.max(...decided.map((block) => block.atMs));
  summary.decidedMsMax = Math.max(summary.decidedMsMax, atMs);
  summary.healingMsMax = Math.max(summary.healingMsMax, atMs - (run.healedMs ?? atMs));
}

function hasEquivocation(run: TwinsRun): boolean {
  return run.setup.twins.some((validator, offset) => {
    const twin = run.claims[run.setup.validators + offset] ?? [];
    return (run.claims[validator] ?? []).some(
      (claim) =>
        claim.kind !== "roundChange" &&
        twin.some(
          (other) =>
            other.kind === claim.kind &&
            other.round === claim.round &&
            other.blockHash !== claim.blockHash,
        ),
    );
  });
}

/** Returns random scenarios, equal ones for equal seeds. */
export function sampleOf(setup: TwinsSetup, count: number, seed: number): readonly number[] {
  scenarioCount(setup);
  const random = new Random(seed);
  const partitions = () =>
    Array.from({ length: placeCount(setup) }, () => random.below(partitionCount(setup)));
  return Array.from({ length: count }, () => scenarioOf(setup, partitions()));
}

/** Splits all scenarios into parts that together are all: the partitions of the first places. */
export function partsOf(setup: TwinsSetup): readonly (readonly number[])[] {
  const base = partitionCount(setup);
  const places = Math.min(2, placeCount(setup));
  return Array.from({ length: base ** places }, (_, part) =>
    Array.from({ length: places }, (_, place) => Math.floor(part / base ** place) % base),
  );
}

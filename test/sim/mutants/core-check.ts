/**
 * Looks for what is wrong with the consensus core it is bundled with: `core-check twins 500` or
 * `core-check cluster 40`. Prints one line of JSON (`Verdict`).
 *
 * Bundled anew for each mutant; the healthy core must pass, too.
 */
import { runDisturbed } from "../disturbed-run.ts";
import { Random } from "../random.ts";
import { runScenario, sampleOf } from "../twins/explore.ts";
import type { TwinsSetup } from "../twins/scenario.ts";

/** What a checker found. */
export type Verdict = {
  /** Why the code is wrong; absent when nothing was found. */
  readonly caught?: string;
  /**
   * Nothing said what is wrong: a process never ended or broke down, a test took too long or its
   * file did not load. A machine that is busy with other things may look like that, too.
   */
  readonly isBreakdown?: boolean;
  /** Scenarios, seeds or tests looked at until then. */
  readonly after: number;
};

const four = { validators: 4, twins: [0], rounds: 3 } as const;
const setups: readonly TwinsSetup[] = [
  { ...four, rounds: 4, partitionsPerRound: 1, cut: "sets" },
  { ...four, partitionsPerRound: 3, cut: "sets" },
  { ...four, partitionsPerRound: 2, cut: "deaf" },
  { ...four, partitionsPerRound: 3, cut: "deaf" },
  { ...four, twins: [1], partitionsPerRound: 2, cut: "deaf" },
  { ...four, twins: [2], partitionsPerRound: 3, cut: "deaf" },
  { validators: 7, twins: [0, 1], rounds: 3, partitionsPerRound: 1, cut: "deaf" },
];

function checkTwins(count: number, seed: number): Verdict {
  const random = new Random(seed);
  for (let after = 1; after <= count; after += 1) {
    const setup = setups[random.below(setups.length)] as TwinsSetup;
    const [scenario = 0] = sampleOf(setup, 1, random.below(2 ** 31));
    const { failures } = runScenario(setup, scenario);
    if (failures[0] !== undefined) return { caught: failures[0].reason, after };
  }
  return { after: count };
}

function checkCluster(count: number, seed: number): Verdict {
  for (let after = 1; after <= count; after += 1) {
    const reason = reasonOf(seed + after);
    if (reason !== undefined) return { caught: reason, after };
  }
  return { after: count };
}

function reasonOf(seed: number): string | undefined {
  try {
    return runDisturbed(seed).isLive ? undefined : "not live after healing";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const [, , checker, count, seed = "1"] = process.argv;
const check = checker === "twins" ? checkTwins : checkCluster;
console.log(JSON.stringify(check(Number(count), Number(seed))));

/**
 * Twins, exhaustively: no scenario forks honest nodes or keeps them from deciding.
 *
 * Each run prints its counts. A failing scenario is printed with the command that replays it.
 */
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import type { TwinsSummary } from "../sim/twins/explore.ts";

type Failure = TwinsSummary["failures"][number] & { readonly command: string };
type Report = Omit<TwinsSummary, "failures"> & {
  readonly failures: readonly Failure[];
  readonly seconds: number;
};

const root = new URL("../..", import.meta.url).pathname;
/** Of virtual time, from start or from the end of partitions; see docs/TESTING.md. */
const decidedMsMax = 35_000;
const healingMsMax = 10_000;

function run(options: string) {
  const args = ["test/sim/twins/run.mjs", ...options.split(" ")];
  return spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
}

function twins(options: string): Report {
  const { stdout, stderr } = run(`--json ${options}`);
  if (stdout === "") throw new Error(`twins ${options}: ${stderr}`);
  const summary: Report = JSON.parse(stdout);
  const { scenarios, runs, violations, undecided, seconds } = summary;
  console.log(
    `twins ${options}: ${scenarios} scenarios in ${runs} runs, ${violations} unsafe, ` +
      `${undecided} not live, by round ${summary.byRound.join(" ")}, ${seconds.toFixed(1)} s`,
  );
  return summary;
}

function expectSound(summary: Report, scenarios: number): void {
  expect(summary.failures).toEqual([]);
  expect(summary).toMatchObject({ scenarios, violations: 0, undecided: 0 });
  expect(summary.decidedMsMax).toBeLessThan(decidedMsMax);
  expect(summary.healingMsMax).toBeLessThan(healingMsMax);
}

it("65,536 scenarios of four nodes whose first proposer lies, each run by itself", () => {
  const each = twins("--rounds 4 --each");
  expectSound(each, 65_536);
  expect(each.runs).toBe(65_536);
  expect(each.equivocations).toBe(65_536);
  // The same with common beginnings run once, which the other runs here rest on.
  const shared = twins("--rounds 4");
  expect({ ...shared, runs: 0, seconds: 0 }).toEqual({ ...each, runs: 0, seconds: 0 });
});

it.each([0, 1, 2, 3])(
  "1,048,576 scenarios of five rounds with the proposer of round %i",
  (leader) => {
    expectSound(twins(`--rounds 5 --leader ${leader}`), 1_048_576);
  },
);

it.each([
  ["sets", "--rounds 2 --partitions 2", 65_536],
  ["deaf nodes", "--rounds 3 --deaf", 32_768],
])("all scenarios that cut finer, by %s", (_, options, scenarios) => {
  expectSound(twins(options), scenarios);
});

it.each([
  "--rounds 4 --partitions 3 --leader 1",
  "--rounds 3 --partitions 3 --deaf",
  "--rounds 3 --partitions 3 --deaf --leader 2",
  "--validators 7 --twins 2",
  "--validators 7 --twins 2 --rounds 3 --deaf",
  "--validators 7 --twins 2 --rounds 3 --partitions 2 --leader 1",
])("1,500 random scenarios of %s", (options) => {
  expectSound(twins(`${options} --sample 1500`), 1_500);
});

it("more liars than may be faulty do fork, or this would find nothing", () => {
  const { failures, violations } = twins("--twins 2 --sample 1000");
  expect(violations).toBeGreaterThan(10);
  expect(failures.every(({ reason }) => reason.startsWith("fork"))).toBe(true);
  const [{ reason, command }] = failures as [Failure];
  const [before, options] = command.split(" -- ") as [string, string];
  expect(before).toBe("npm run twins");
  expect(run(options).stdout).toContain(reason);
});

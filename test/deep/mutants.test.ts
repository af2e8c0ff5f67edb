/**
 * A sample of the injected bugs is found, "quorum minus one" always: others at each commit, as the
 * draw follows from the commit's hash, unless `LOOPLEDGER_MUTANTS_SEED` says which one. All of
 * them: `npm run sim:mutants`.
 */
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { commitSeed } from "../helpers/commit-seed.ts";

const root = new URL("../..", import.meta.url).pathname;
const sampleCount = 5;

type Row = {
  readonly mutant: string;
  readonly checker: string;
  readonly isFound: boolean;
  readonly isBreakdown: boolean;
  readonly after: string;
  readonly reason: string;
};

it("bugs injected at random are found", () => {
  const seed = Number(process.env.LOOPLEDGER_MUTANTS_SEED ?? commitSeed());
  const args = ["--json", "--sample", String(sampleCount), "--seed", String(seed)];
  const { stdout, stderr } = spawnSync(process.execPath, ["test/sim/mutants/run.mjs", ...args], {
    cwd: root,
    encoding: "utf8",
  });
  if (stdout === "") throw new Error(stderr);
  const rows: readonly Row[] = JSON.parse(stdout);
  for (const { mutant, checker, isBreakdown, after, reason } of rows)
    console.log(`${mutant}: ${isBreakdown ? "breaks " : ""}${checker}, ${after}: ${reason}`);
  const missed = rows.filter(({ isFound }) => !isFound);
  expect(missed, `LOOPLEDGER_MUTANTS_SEED=${seed}`).toEqual([]);
  expect(rows).toHaveLength(sampleCount);
});

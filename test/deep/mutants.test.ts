/**
 * A sample of the injected bugs is found: others at each commit, "quorum minus one" always. All of
 * them: `npm run sim:mutants`.
 */
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const sampleCount = 7;

type Row = {
  readonly mutant: string;
  readonly checker: string;
  readonly isFound: boolean;
  readonly after: string;
  readonly reason: string;
};

/** Drawn from the commit, so each one tries others; `LOOPLEDGER_SIM_SEED` repeats a draw. */
function seedOfCommit(): number {
  const { stdout } = spawnSync("git", ["rev-parse", "HEAD"], { cwd: root, encoding: "utf8" });
  const commit = /^[0-9a-f]{8}/.exec(stdout ?? "")?.[0] ?? "1";
  return Number(process.env.LOOPLEDGER_SIM_SEED ?? Number.parseInt(commit, 16));
}

it("bugs injected at random are found", () => {
  const seed = seedOfCommit();
  const args = ["--json", "--sample", String(sampleCount), "--seed", String(seed)];
  const { stdout, stderr } = spawnSync(process.execPath, ["test/sim/mutants/run.mjs", ...args], {
    cwd: root,
    encoding: "utf8",
  });
  if (stdout === "") throw new Error(stderr);
  const rows: readonly Row[] = JSON.parse(stdout);
  for (const { mutant, checker, after, reason } of rows)
    console.log(`${mutant}: ${checker}, ${after}: ${reason}`);
  const missed = rows.filter(({ isFound }) => !isFound);
  expect(missed, `LOOPLEDGER_SIM_SEED=${seed}`).toEqual([]);
  expect(rows).toHaveLength(sampleCount);
});

/**
 * Each named failure comes back when its fix is removed: the product is built once more with one
 * change, and the golden logs of test/scenario/failures must no longer hold, nor the unit tests of
 * the halves that are in the shell.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { readGolden, removedFixes, runnerWithout } from "../scenario/removed-fixes.ts";
import { removedShellFixes } from "../scenario/removed-shell-fixes.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = fileURLToPath(new URL("../scenario/failures", import.meta.url));

/** What a script gives: its log, or what a checker of the simulator said. */
function outcome(runScript: (script: string) => string, script: string): string {
  try {
    return runScript(script);
  } catch (error) {
    return String(error);
  }
}

it("with every fix in place the built product gives the golden logs", async () => {
  const { runScript } = await runnerWithout({ edits: [] });
  for (const name of new Set(removedFixes.flatMap(({ symptoms }) => Object.keys(symptoms)))) {
    const { script, log } = readGolden(`${folder}/${name}.txt`);
    expect(outcome(runScript, script)).toBe(log);
  }
});

it.each(removedFixes)("comes back, $name", async ({ symptoms, edits }) => {
  const { runScript } = await runnerWithout({ edits });
  for (const [name, symptom] of Object.entries(symptoms)) {
    const { script, log } = readGolden(`${folder}/${name}.txt`);
    expect(log, `${name} is sound`).not.toContain(symptom);
    expect(outcome(runScript, script), name).toContain(symptom);
  }
});

/** Runs tests of the shell; with a bug of the table in the product if one is named. */
function testsOfShell(files: readonly string[], test: string, bug?: string) {
  const vitest = [`${root}/node_modules/vitest/vitest.mjs`, "run", "--reporter=json"];
  const args = [...vitest, "--config", "test/sim/mutants/vitest.config.ts", "-t", test];
  args.push(...files.map((file) => `test/unit/${file}.test.ts`));
  const env = { ...process.env, ...(bug === undefined ? {} : { MUTANT: bug }) };
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: "utf8",
    env,
  });
  const start = stdout.indexOf('{"num');
  if (start < 0) throw new Error(stderr);
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(stdout.slice(start));
  const isLoaded = testResults.every(({ message }: { message: string }) => message === "");
  return { passed: numPassedTests as number, failed: numFailedTests as number, isLoaded };
}

it("with every fix in place the tests of the shell pass", () => {
  const files = [...new Set(removedShellFixes.map(({ file }) => file))];
  const { passed, failed, isLoaded } = testsOfShell(files, "");
  expect([failed, isLoaded]).toEqual([0, true]);
  expect(passed).toBeGreaterThan(removedShellFixes.length);
});

it.each(removedShellFixes)("$failure comes back in the shell: $bug", ({ file, test, bug }) => {
  const { failed, isLoaded } = testsOfShell([file], test, bug);
  expect([failed > 0, isLoaded], test).toEqual([true, true]);
});

/**
 * Each named failure comes back when its fix is removed: the product is built once more with one
 * change, and the golden logs of test/scenario/failures must no longer hold.
 */
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { readGolden, removedFixes, runnerWithout } from "../scenario/removed-fixes.ts";

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

/**
 * `npm run mutation`: Stryker changes src/consensus in one place at a time, in a copy of the project
 * with Stryker in it (docs/TESTING.md). Ends with 0 when at least 90 % of the changes of each file
 * are noticed by a test.
 *
 *   --files NAME,...  files of src/consensus, without ".ts" (all): each takes one to ten minutes
 *   --workers N       at a time (1)
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { helpIfAsked, readOptions, refuseOptions } from "./options.mjs";

helpIfAsked(import.meta.url);
const root = fileURLToPath(new URL("..", import.meta.url));
const all = readdirSync(`${root}/src/consensus`)
  .filter((file) => file.endsWith(".ts") && file !== "event.ts")
  .map((file) => basename(file, ".ts"));
const { files, workers } = readOptions({
  files: { type: "text", default: all.join(",") },
  workers: { type: "count", min: 1, default: 1 },
});
for (const file of files.split(","))
  if (!all.includes(file)) refuseOptions(`--files ${file}: expected some of ${all.join(", ")}`);

/** No dependency of the project: it is large, and rarely run. */
const packages = ["@stryker-mutator/core@9.6.1", "@stryker-mutator/vitest-runner@9.6.1"];
const left = new Set(["dist", ".git", "demo-data", "coverage"]);
const folder = mkdtempSync(join(tmpdir(), "loopledger-mutation-"));
const run = (command, args) =>
  spawnSync(command, args, { cwd: folder, stdio: "inherit" }).status ?? 1;
try {
  for (const name of readdirSync(root))
    if (!left.has(name)) cpSync(join(root, name), join(folder, name), { recursive: true });
  if (run("npm", ["install", "--no-save", "--ignore-scripts", ...packages]) !== 0)
    throw new Error("Stryker could not be installed");
  const failed = files.split(",").filter((file) => {
    const path = `src/consensus/${file}.ts`;
    const args = ["stryker", "run", "--concurrency", `${workers}`, "--mutate", path];
    return run("npx", args) !== 0;
  });
  for (const file of failed) console.error(`under 90 %, or not run: ${file}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

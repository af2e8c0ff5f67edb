/** `npm run check`: types, lint and format, directions between parts, dead code, house rules. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const checks = [
  ["types", "tsc", ["--noEmit", "-p", "tsconfig.json"]],
  ["lint and format", "biome", ["ci", "."]],
  ["directions", "depcruise", ["src", "contracts", "--config", ".dependency-cruiser.cjs"]],
  ["dead code", "knip", []],
  ["house rules", "vitest", ["run", "test/tidy.test.ts"]],
];

let failed = 0;
for (const [name, command, args] of checks) {
  console.log(`--- ${name}`);
  const { status } = spawnSync(`${root}/node_modules/.bin/${command}`, args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) {
    failed += 1;
    console.log(`--- ${name}: FAILED`);
  }
}
console.log(failed === 0 ? "check: all good" : `check: ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

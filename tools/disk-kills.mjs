/**
 * `npm run disk:kills -- --points N` (10,000): test/deep/disk-kills.test.ts with so many points,
 * and test/deep/disk-damage.test.ts with a tenth of them. `SEED=...` tries the points of a failure.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { points: { type: "string", default: "10000" } } });
const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = ["node_modules/vitest/vitest.mjs", "run", "--config", "vitest.deep.config.ts"];
const { status } = spawnSync(process.execPath, [...vitest, "test/deep/disk-"], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, DISK_POINTS: values.points },
});
process.exit(status ?? 1);

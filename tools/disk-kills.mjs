/**
 * `npm run disk:kills`: kills at write boundaries of the store and reopens it, and a tenth as many
 * damaged directories (docs/TESTING.md). Ends with 0 when nothing is lost.
 *
 *   --points N     how many kills (10000; fewer than 240 do not meet all kinds)
 *   --seed S       the points of a failure, which prints this command; fewer points of a seed are
 *                  the first of more
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { helpIfAsked, readOptions } from "./options.mjs";

helpIfAsked(import.meta.url);
const { points, seed } = readOptions({
  points: { type: "count", min: 240, default: 10_000 },
  seed: { type: "count" },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = ["node_modules/vitest/vitest.mjs", "run", "--config", "vitest.deep.config.ts"];
const { status } = spawnSync(process.execPath, [...vitest, "test/deep/disk-"], {
  cwd: root,
  stdio: "inherit",
  env: {
    ...process.env,
    DISK_POINTS: `${points}`,
    ...(seed === undefined ? {} : { SEED: `${seed}` }),
  },
});
process.exit(status ?? 1);

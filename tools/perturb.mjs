/**
 * `npm run perturb`: runs plans of perturbations against four real nodes under load and audits what
 * is left (docs/TESTING.md). Ends with 0 when every plan passed.
 *
 *   --plans N      how many (24: every kind on every set of nodes)
 *   --minutes M    further plans until the time is over
 *   --seed S       of the plans (a new one)
 *   --from N       the first plan: `--seed 7 --from 3 --plans 1` is the plan 7.3
 *   --links KIND   how nodes are joined: namespaces (Linux, root) or proxy
 *   PERTURB_SLOWNESS=3 before the command: three times the time, where others use the machine
 */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { helpIfAsked, readOptions } from "./options.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
helpIfAsked(import.meta.url);
const values = readOptions({
  plans: { type: "count", min: 1, default: 24 },
  seed: { type: "count", default: randomInt(2 ** 31) },
  from: { type: "count", default: 0 },
  minutes: { type: "count", min: 1 },
  links: { type: "text", choices: ["namespaces", "proxy"] },
});
const env = { ...process.env };
for (const [name, value] of Object.entries(values))
  if (value !== undefined) env[`PERTURB_${name.toUpperCase()}`] = `${value}`;
const vitest = [`${root}/node_modules/vitest/vitest.mjs`, "run", "--disable-console-intercept"];
const args = [...vitest, "--config", "vitest.deep.config.ts", "test/deep/perturb.test.ts"];
const child = spawn(process.execPath, args, { cwd: root, env, stdio: "inherit" });
// Ended alone, it would leave the run behind.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});

/**
 * `npm run perturb`: runs plans of perturbations against four real nodes under load and audits what
 * is left. Needs a build. Exit code 0 when every plan passed.
 *
 *   npm run perturb -- --plans 24               24 plans of a new seed: every kind on every set of nodes
 *   npm run perturb -- --seed 7 --from 3 --plans 1    the plan 7.3 again
 *   npm run perturb -- --minutes 30             further plans until the time is over
 *   npm run perturb -- --links proxy            how nodes are joined: namespaces (Linux, root) or proxy
 *   PERTURB_SLOWNESS=3 npm run perturb          three times the time where others use the machine
 */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const text = { type: "string" };

function options() {
  const known = { plans: text, seed: text, from: text, minutes: text, links: text };
  const { values } = parseArgs({ options: known });
  for (const name of ["plans", "seed", "from", "minutes"])
    if (values[name] !== undefined && !/^\d+$/.test(values[name]))
      throw new Error(`--${name}: expected a whole number`);
  if (values.links !== undefined && !["namespaces", "proxy"].includes(values.links))
    throw new Error('--links: expected "namespaces" or "proxy"');
  return values;
}

try {
  const { plans = "24", seed = `${randomInt(2 ** 31)}`, from = "0", minutes, links } = options();
  const env = { ...process.env, PERTURB_SEED: seed, PERTURB_PLANS: plans, PERTURB_FROM: from };
  if (minutes !== undefined) env.PERTURB_MINUTES = minutes;
  if (links !== undefined) env.PERTURB_LINKS = links;
  const vitest = [`${root}/node_modules/vitest/vitest.mjs`, "run", "--disable-console-intercept"];
  const args = [...vitest, "--config", "vitest.deep.config.ts", "test/deep/perturb.test.ts"];
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: "inherit" });
  // Ended alone, it would leave the run behind.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"])
    process.on(signal, () => child.kill(signal));
  child.on("exit", (code) => {
    process.exitCode = code ?? 1;
  });
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}

/**
 * Looks for what is wrong with the whole node it is bundled with, in the simulator of
 * test/sim/world: `world-check 20` runs seeds 1 to 20. Prints one line of JSON (`Verdict`).
 */
import { planOf } from "../world/plan.ts";
import { runWorld } from "../world/world.ts";
import type { Verdict } from "./core-check.ts";

async function check(count: number): Promise<Verdict> {
  for (let seed = 1; seed <= count; seed += 1) {
    const { violation } = await runWorld(planOf(seed));
    if (violation !== undefined)
      return { caught: `${violation.checker}: ${violation.message}`, after: seed };
  }
  return { after: count };
}

console.log(JSON.stringify(await check(Number(process.argv[2]))));
process.exit(0);

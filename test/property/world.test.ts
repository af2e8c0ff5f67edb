/**
 * Property: a whole simulated network keeps its promises under faults, and a run is its seed and
 * nothing else. A few short runs; `npm run sim` and `test/deep/sim.test.ts` make many long ones.
 *
 * SEED=n npx vitest run test/property/world.test.ts runs others.
 */
import { describe, expect, it } from "vitest";
import { seedOf } from "../helpers/seed.ts";
import { planOf, reduced } from "../sim/world/plan.ts";
import { runWorld } from "../sim/world/world.ts";

const seed = seedOf(20_250);
/** Five seconds with faults, and the phase without. */
const shortPlan = (of: number) => reduced(planOf(of), { safetyMs: 5_000 });

describe("a simulated network of whole nodes", () => {
  it.each([0, 1, 2])("keeps its promises under the faults of seed + %i", async (offset) => {
    const outcome = await runWorld(shortPlan(seed + offset));
    expect(outcome.violation, `SEED=${seed + offset}`).toBeUndefined();
    expect(outcome.heights).toBeGreaterThan(2);
    expect(outcome.final).toBeGreaterThan(0);
  });

  it("gives the same trace for the same seed, also beside another run", async () => {
    const alone = await runWorld(shortPlan(seed));
    const [again, other] = await Promise.all([
      runWorld(shortPlan(seed)),
      runWorld(shortPlan(seed + 1)),
    ]);
    expect(again?.traceHash).toBe(alone.traceHash);
    expect(again?.events).toBe(alone.events);
    expect(other?.traceHash).not.toBe(alone.traceHash);
  });
});

/**
 * Property: whatever sets of validators follow each other, one or two keys at a time, the chain never
 * forks and goes on: each height is decided by the validators of that height and nobody else.
 *
 * Method: a cluster of consensus cores in virtual time (test/sim/cluster.ts) whose ledger has a
 * random plan of set changes; nodes outside the set follow. Loss, duplicates and a crash of one at a
 * time; then the faults end, and all must reach the last height of the plan. The fake ledger checks
 * every certificate against the set of its height, the cluster checks agreement.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PublicKey } from "../../src/base/keys.ts";
import { seedOf } from "../helpers/seed.ts";
import { Cluster } from "../sim/cluster.ts";
import { keyOf } from "../sim/fake-keys.ts";

const nodesMax = 7;
const heights = 24;

/** Adds or removes one or two; a set is never empty. */
type PlannedChange = { readonly after: number; readonly picks: readonly number[] };

/** The sets by height: a key that is in goes out, one that is out comes in. */
function setsOf(founders: number, changes: readonly PlannedChange[]): PublicKey[][] {
  let members = Array.from({ length: founders }, (_, index) => keyOf(index));
  const sets: PublicKey[][] = [[], [...members].sort()];
  for (let height = 2; height <= heights + 2; height += 1) {
    const change = changes.find(({ after }) => after === height - 1);
    for (const pick of change?.picks ?? []) {
      const key = keyOf(pick % nodesMax);
      const without = members.filter((member) => member !== key);
      if (without.length === members.length) members = [...members, key];
      else if (without.length > 0) members = without;
    }
    sets.push([...members].sort());
  }
  return sets;
}

const plan = fc.record({
  seed: fc.nat(),
  founders: fc.integer({ min: 1, max: 4 }),
  lossRate: fc.constantFrom(0, 0.05, 0.2),
  changes: fc.array(
    fc.record({
      after: fc.integer({ min: 1, max: heights - 4 }),
      picks: fc.array(fc.nat({ max: nodesMax - 1 }), { minLength: 1, maxLength: 2 }),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  crashed: fc.nat({ max: nodesMax - 1 }),
});

describe("sets of validators that follow each other", () => {
  it("never fork, and reach every height once the faults have ended", () => {
    let decided = 0;
    fc.assert(
      fc.property(plan, ({ seed, founders, lossRate, changes, crashed }) => {
        const sets = setsOf(founders, changes);
        const last = sets.at(-1) as PublicKey[];
        const keys = Array.from({ length: nodesMax }, (_, index) => keyOf(index));
        const validatorsAt = (height: number) => sets[height] ?? last;
        const cluster = new Cluster({ seed, count: founders, keys, validatorsAt });
        cluster.lossRate = lossRate;
        cluster.duplicateRate = 0.2;
        cluster.crash(crashed);
        for (let sent = 0; sent < heights; sent += 1) {
          cluster.submit(`t${sent}`);
          cluster.run(150);
        }
        cluster.restart(crashed);
        cluster.lossRate = 0;
        for (let sent = 0; sent < heights; sent += 1) {
          cluster.submit(`u${sent}`);
          const next = Math.min(heights, Math.max(...cluster.heights()) + 1);
          expect(cluster.runToHeight(next, 30_000)).toBe(true);
        }
        expect(Math.min(...cluster.heights())).toBeGreaterThanOrEqual(heights - 1);
        decided += Math.max(...cluster.heights());
      }),
      { numRuns: 30, seed: seedOf(20_261_123) },
    );
    expect(decided).toBeGreaterThan(30 * (heights - 1));
  }, 60_000);

  it("take up a validator at its first height: it votes there, and not before", () => {
    const [first, second, third, fourth] = [0, 1, 2, 3].map(keyOf) as [
      PublicKey,
      PublicKey,
      PublicKey,
      PublicKey,
    ];
    const small = [first, second, third].sort();
    const large = [...small, fourth].sort();
    const validatorsAt = (height: number) => (height < 4 ? small : large);
    const keys = [first, second, third, fourth];
    const cluster = new Cluster({ seed: 1, count: 3, keys, validatorsAt });
    for (let height = 1; height <= 6; height += 1) {
      cluster.submit(`t${height}`);
      expect(cluster.runToHeight(height, 10_000)).toBe(true);
    }
    const signed = cluster.node(3).signedClaims.map(({ height }) => height);
    expect(Math.min(...signed)).toBe(4);
  });

  it("let a validator go after its last height: it signs nothing above", () => {
    const keys = [0, 1, 2, 3].map(keyOf);
    const gone = keys[3] as PublicKey;
    const small = keys.filter((key) => key !== gone).sort();
    const validatorsAt = (height: number) => (height < 4 ? [...keys].sort() : small);
    const cluster = new Cluster({ seed: 2, count: 4, keys, validatorsAt });
    for (let height = 1; height <= 6; height += 1) {
      cluster.submit(`t${height}`);
      expect(cluster.runToHeight(height, 10_000)).toBe(true);
    }
    const signed = cluster.node(3).signedClaims.map(({ height }) => height);
    expect(Math.max(...signed)).toBe(3);
    expect(cluster.node(3).ledger.tip.height).toBe(6);
  });
});

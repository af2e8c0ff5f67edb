/**
 * Properties: no two nodes decide different blocks at one height, no validator signs two things in
 * one slot (both checked inside the simulator, which throws), and once faults end every node that
 * runs decides again and includes what was submitted.
 *
 * Method: the real core under a seeded network. Each run draws its own rates of loss, duplicates,
 * delay, partitions and crashes; then everything heals. A run is fixed by its seed, which a failure
 * prints; `SEED=n` runs that one alone.
 *
 * These tests can fail: mutations and what they catch are listed in test/mutations.md.
 */
import { describe, expect, it } from "vitest";
import { isOneSeed, withSeeds } from "../helpers/seed.ts";
import { Cluster } from "../sim/cluster.ts";
import { runDisturbed } from "../sim/disturbed-run.ts";
import { keyOf } from "../sim/fake-keys.ts";
import { Random } from "../sim/random.ts";

it("agreement and liveness hold under loss, duplicates, delay, partitions and crashes", () => {
  let laterRounds = 0;
  const runs = 50;
  withSeeds(runs, (seed) => {
    const { cluster, isLive, heightBefore } = runDisturbed(seed);
    expect(isLive, "is live").toBe(true);
    expect(Math.max(...cluster.heights()), "decides").toBeGreaterThanOrEqual(heightBefore);
    const decided = cluster.node(0).ledger.decided;
    laterRounds += decided.filter(({ certificate }) => certificate.round > 0).length;
  });
  // Faults that never force a round change would prove little.
  if (!isOneSeed()) expect(laterRounds).toBeGreaterThan(runs / 4);
});

/**
 * Twins: a liar modelled as a second unmodified node with the same key, its own transactions and
 * its own clock. In each round a partition of all instances is drawn; messages pass only within
 * the set of the sender's round.
 */
function runTwins(seed: number, twins: readonly number[]): { decided: number; forked: boolean } {
  const random = new Random(seed);
  const keys = [0, 1, 2, 3, ...twins].map(keyOf);
  const clockOffsetsMs = keys.map((_, index) => (index < 4 ? 0 : 7));
  const cluster = new Cluster({ count: 4, keys, seed, clockOffsetsMs, statusPolls: false });
  const sets = Array.from({ length: 5 }, () => keys.map(() => random.below(2)));
  cluster.passes = (message, from, to) => {
    const set = sets[message.round];
    return set === undefined || set[from] === set[to];
  };
  for (const { index } of cluster.nodes) cluster.submit(`of ${index}`, [index]);
  const honest = cluster.nodes.filter(({ key }) => keys.indexOf(key) === keys.lastIndexOf(key));
  try {
    cluster.run(20_000);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("fork"))
      return { decided: 1, forked: true };
    throw error;
  }
  const decided = honest.filter(({ ledger }) => ledger.tip.height > 0).length;
  return { decided, forked: false };
}

describe("twins", () => {
  it("one liar of four forks nobody, and honest nodes do decide", () => {
    let decided = 0;
    withSeeds(120, (seed) => {
      const outcome = runTwins(seed, [0]);
      expect(outcome.forked, "forks").toBe(false);
      decided += outcome.decided > 0 ? 1 : 0;
    });
    if (!isOneSeed()) expect(decided).toBeGreaterThan(60);
  });

  it("two liars of four do fork, or this method would find nothing", () => {
    let forks = 0;
    for (let seed = 0; seed < 200 && forks === 0; seed += 1)
      forks += runTwins(seed, [0, 1]).forked ? 1 : 0;
    expect(forks).toBeGreaterThan(0);
  });
});

/**
 * A cluster that is disturbed and then healed: each seed draws its own size, rates of loss,
 * duplicates and delay, partitions and crashes. The cluster throws when something unsafe happens.
 */
import { Cluster } from "./cluster.ts";
import { Random } from "./random.ts";

/** One fault or its end, at a random moment. */
function disturb(cluster: Cluster, random: Random): void {
  const index = random.below(cluster.nodes.length);
  const { up } = cluster.node(index);
  switch (random.below(6)) {
    case 0:
      cluster.groups = cluster.nodes.map(() => random.below(2));
      return;
    case 1:
      cluster.groups = cluster.nodes.map(() => 0);
      return;
    case 2:
    case 3:
      if (up) cluster.crash(index);
      else cluster.restart(index);
      return;
    case 4:
      if (!up) cluster.restart(index, { wipedLedger: random.chance(0.3) });
      return;
    default:
      cluster.lossRate = random.chance(0.5) ? 0 : random.next() * 0.4;
  }
}

function heal(cluster: Cluster): void {
  cluster.lossRate = 0;
  cluster.groups = cluster.nodes.map(() => 0);
  for (const { index, up } of cluster.nodes) if (!up) cluster.restart(index);
}

/** Disturbs, heals, and waits for a last transaction to be decided everywhere. */
export function runDisturbed(seed: number): {
  readonly cluster: Cluster;
  /** All nodes had the last transaction within 30 s. */
  readonly isLive: boolean;
  /** Highest one when the faults ended. */
  readonly heightBefore: number;
} {
  const random = new Random(seed);
  const count = [3, 4, 4, 5, 7][random.below(5)] as number;
  const cluster = new Cluster({ count, seed });
  cluster.duplicateRate = random.next() * 0.2;
  cluster.delayMsMax = 10 + random.below(400);
  for (let turn = 0; turn < 12; turn += 1) {
    cluster.submit(`${turn}`);
    cluster.run(100 + random.below(1_500));
    disturb(cluster, random);
  }
  heal(cluster);
  cluster.submit("last");
  const heightBefore = Math.max(...cluster.heights());
  const isDone = () => cluster.nodes.every(({ ledger }) => ledger.transactions.includes("last"));
  return { cluster, isLive: cluster.runUntil(isDone, 30_000), heightBefore };
}

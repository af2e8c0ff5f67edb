/**
 * A cluster that is disturbed and then healed: each seed draws its own size, rates of loss,
 * duplicates and delay, partitions and crashes. The cluster throws when something unsafe happens.
 */
import { Cluster } from "./cluster.ts";
import { Random } from "./random.ts";

/** What `disturbTurns` does. */
type Disturbance = {
  readonly turnCount: number;
  /** Signing records are lost as well: of so many that progress may end. */
  readonly losesRecords?: boolean;
};

/** Submits something each turn, lets time pass, and then lets one fault begin or end. */
export function disturbTurns(
  cluster: Cluster,
  random: Random,
  { turnCount, losesRecords = false }: Disturbance,
): void {
  for (let turn = 0; turn < turnCount; turn += 1) {
    cluster.submit(`${turn}`);
    cluster.run(100 + random.below(1_500));
    disturb(cluster, random, losesRecords);
  }
}

function disturb(cluster: Cluster, random: Random, losesRecords: boolean): void {
  const index = random.below(cluster.nodes.length);
  const { up } = cluster.node(index);
  switch (random.below(losesRecords ? 7 : 6)) {
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
    case 5:
      cluster.lossRate = random.chance(0.5) ? 0 : random.next() * 0.4;
      return;
    default:
      if (!up) cluster.restart(index, { abstainThroughHeight: Math.max(...cluster.heights()) + 2 });
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
  disturbTurns(cluster, random, { turnCount: 12 });
  heal(cluster);
  cluster.submit("last");
  const heightBefore = Math.max(...cluster.heights());
  const isDone = () => cluster.nodes.every(({ ledger }) => ledger.transactions.includes("last"));
  return { cluster, isLive: cluster.runUntil(isDone, 30_000), heightBefore };
}

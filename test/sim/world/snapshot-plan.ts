/** Who prunes, who begins with snapshots, and when that is interrupted: drawn with streams of its own. */
import { limits } from "../../../src/base/limits.ts";
import type { Random } from "../random.ts";

/** What the configuration of one node says of snapshots. */
export type NodeSnapshots = {
  readonly sync: "blocks" | "snapshot";
  /** `undefined`: it keeps all. */
  readonly keepBlocks: number | undefined;
  readonly chunkEntriesMax: number;
};

/** What a plan says of snapshots. */
export type SnapshotPlan = {
  readonly interval: number;
  /** By index. */
  readonly nodes: readonly NodeSnapshots[];
  /** Share of fetchings, installations and prunings in which the process is killed. */
  readonly strikeShare: number;
};

/** A node of a plan without snapshots. */
export const noSnapshots: NodeSnapshots = {
  sync: "blocks",
  keepBlocks: undefined,
  chunkEntriesMax: limits.snapshotChunkEntriesMax,
};

const planShare = 0.3;
const keptBlocks = [2, 4, 8, 16, 40];
const chunkEntries = [3, 8, 20, limits.snapshotChunkEntriesMax];

/** Draws whether and how a plan has snapshots; a node alone would wait for peers to ask. */
export function snapshotPlanOf(random: Random, count: number): SnapshotPlan | undefined {
  if (count < 2 || !random.chance(planShare)) return undefined;
  const prunes = random.chance(0.8);
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)] as T;
  return {
    interval: limits.snapshotIntervalMin,
    nodes: Array.from({ length: count }, () => ({
      sync: random.chance(0.6) ? "snapshot" : "blocks",
      keepBlocks: prunes && random.chance(0.7) ? pick(keptBlocks) : undefined,
      chunkEntriesMax: pick(chunkEntries),
    })),
    strikeShare: random.chance(0.7) ? random.next() * 0.6 : 0,
  };
}

/** Adds to a plan what its nodes do with their disks; all draws are from streams of their own. */
import type { Random } from "../random.ts";
import { fullActionsOf } from "./full-disk.ts";
import type { Action, Plan } from "./plan.ts";
import { type SnapshotPlan, snapshotPlanOf } from "./snapshot-plan.ts";

/** Snapshots need heights. */
const blockIntervalMs = 100;
const submitEveryMs = 300;
const safetyMsMin = 45_000;
const longMs = 200_000;
/** There is nothing to fetch before. */
const lateMs = 15_000;

/** Returns a plan with full disks, snapshots and pruning. */
export function withStorage(plan: Plan, streamOf: (purpose: string) => Random): Plan {
  const { count, safetyMs } = plan;
  const full = fullActionsOf(streamOf("full disk"), { count, safetyMs });
  const random = streamOf("snapshots");
  // Hours with snapshots are thousands of blocks.
  const snapshots = safetyMs > longMs ? undefined : snapshotPlanOf(random, count);
  const late = snapshots === undefined ? [] : lateActions(random, plan);
  const actions = [...plan.actions, ...full, ...late].sort((left, right) => left.atMs - right.atMs);
  if (snapshots === undefined) return { ...plan, actions };
  const liars = plan.liars.map((liar) => withSyncLies(liar, random));
  const long = { safetyMs: Math.max(safetyMs, safetyMsMin) };
  return { ...plan, ...long, ...{ actions, liars, snapshots, blockIntervalMs, submitEveryMs } };
}

function withSyncLies(liar: Plan["liars"][number], random: Random): Plan["liars"][number] {
  const { tricks } = liar;
  if (random.chance(0.4) || tricks.includes("syncLies")) return liar;
  return { ...liar, tricks: [...tricks, "syncLies"] };
}

/** Leaves out what a plan says of snapshots, but not that there are many heights. */
export function snapshotsOf(
  { snapshots }: Plan,
  without: ReadonlySet<string>,
): SnapshotPlan | undefined {
  return without.has("snapshots") ? undefined : snapshots;
}

/** Wiped nodes, and nodes that are away for so long that others may have pruned what they need. */
function lateActions(random: Random, { count, safetyMs }: Plan): Action[] {
  const endMs = Math.max(safetyMsMin, Math.min(safetyMs, 70_000));
  return Array.from({ length: 2 + random.below(4) }, () => {
    const atMs = lateMs + random.below(endMs - lateMs);
    const node = random.below(count);
    if (random.chance(0.6)) return { kind: "wipe", atMs, node, lastsMs: 200 + random.below(5_000) };
    const lastsMs = 8_000 + random.below(20_000);
    return { kind: "crash", atMs, node, lastsMs, power: random.chance(0.5) };
  });
}

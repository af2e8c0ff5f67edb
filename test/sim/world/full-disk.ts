/** Full disks in plans: which place of which node has no room, when, and for how long. */
import type { Random } from "../random.ts";
import type { Place } from "./disk.ts";

/** A disk that is full for a while. */
export type FullAction = {
  readonly kind: "full";
  readonly atMs: number;
  readonly lastsMs: number;
  readonly node: number;
  readonly places: readonly Place[];
  /** The system claims that there is room: a quota, or a disk with faults. */
  readonly saysRoom: boolean;
};

const planShare = 0.35;
const actionsMax = 4;
const placesOf: readonly (readonly Place[])[] = [["ledger"], ["record"], ["ledger", "record"]];

/** Draws the full disks of a plan. */
export function fullActionsOf(
  random: Random,
  { count, safetyMs }: { readonly count: number; readonly safetyMs: number },
): FullAction[] {
  if (!random.chance(planShare)) return [];
  const all = random.chance(0.2);
  return Array.from({ length: 1 + random.below(actionsMax) }, () => {
    const atMs = 1_000 + random.below(safetyMs);
    const lastsMs = random.chance(0.5) ? 200 + random.below(4_000) : 4_000 + random.below(20_000);
    const places = placesOf[random.below(placesOf.length)] as readonly Place[];
    const node = random.below(count);
    const saysRoom = random.chance(0.3);
    // Nodes of one machine room fill up together.
    const nodes = all ? Array.from({ length: count }, (_, index) => index) : [node];
    return nodes.map(
      (each): FullAction => ({ kind: "full", atMs, lastsMs, node: each, places, saysRoom }),
    );
  }).flat();
}

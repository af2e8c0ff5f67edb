/**
 * Kills processes in the middle of fetching a snapshot, of putting it into place, and of pruning:
 * moments that faults at random times seldom meet.
 */
import type { Random } from "../random.ts";
import type { WorldNode } from "./node.ts";
import type { Phase } from "./storage.ts";
import type { VirtualTime } from "./time.ts";
import type { CrashKind } from "./virtual-database.ts";

/** What strikes need. */
export type StrikeOptions = {
  readonly time: VirtualTime;
  readonly random: Random;
  /** Share of phases that are struck. */
  readonly share: number;
  isOver(): boolean;
  crash(node: WorldNode, kind: CrashKind): boolean;
};

/** Within this after its beginning a phase is struck, milliseconds. */
const withinMs = { fetching: 2_000, installing: 12, pruning: 150 } as const;
const downMsMax = 3_000;

/** Decides for each phase whether the process lives to see its end. */
export class Strikes {
  readonly #options: StrikeOptions;
  /** Kills that took effect. */
  count = 0;

  constructor(options: StrikeOptions) {
    this.#options = options;
  }

  onPhase(node: WorldNode, phase: Phase): void {
    const { time, random, share, isOver, crash } = this.#options;
    if (share === 0 || phase === "pruned") return;
    const isStruck = random.chance(share);
    const delayMs = random.below(withinMs[phase]);
    const kind: CrashKind = random.chance(0.5) ? "kill" : "power";
    const downMs = random.below(downMsMax);
    const { life } = node;
    if (!isStruck || isOver()) return;
    time.after(delayMs, () => {
      if (isOver() || node.life !== life || !crash(node, kind)) return;
      this.count += 1;
      time.after(downMs, () => node.start());
    });
  }
}

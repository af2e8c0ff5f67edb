/**
 * What faults really did in a run, counted where it happened: a plan that means to do something may
 * come at a moment when nothing comes of it.
 */

/** Every effect that a large number of seeds must have somewhere. */
export const effectKinds = [
  /** Frames that did not arrive, arrived twice, again after others, or after a long time. */
  "loss",
  "duplicate",
  "replay",
  "late",
  /** Frames and requests that met a direction that does not pass. */
  "partition",
  /** Processes that ended at once, by a kill or a power cut. */
  "kill",
  "power",
  /** Power cuts that took back writes, left part of a batch, or of a slot of the record. */
  "unsynced",
  "tornBatch",
  "tornRecord",
  /** Processes that stood still, and something waited for them. */
  "pause",
  /** Ledgers and signing records that were there, and were gone. */
  "wipe",
  "record",
  /** Jumps of the clock of a process that ran. */
  "clock",
  /** Outages that left no quorum. */
  "outage",
  /** Gates to a disk that closed. */
  "gateClosed",
  /** Ledgers without their first blocks, those that began with a snapshot, kills in between. */
  "pruned",
  "snapshotStart",
  "strike",
  /** Sets of validators that took effect. */
  "validators",
  /** Lies that were told (liar.ts). */
  "equivocate",
  "silence",
  "staleClaims",
  "wrongBlocks",
  "flood",
  "burst",
  "otherChain",
  "syncLies",
  /** Messages that an honest node dropped because their peer had used up its share of time. */
  "overBudget",
] as const;
/** One of them. */
export type EffectKind = (typeof effectKinds)[number];

/** Counts effects. */
export class Effects {
  readonly #counts = new Map<EffectKind, number>();

  note(kind: EffectKind, count = 1): void {
    if (count > 0) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count);
  }

  /** Counts by kind, without those that never came. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }
}

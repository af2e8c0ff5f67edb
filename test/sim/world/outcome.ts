/** What a run of the simulated world is given to be watched with, and what comes of it. */
import type { Log } from "../../../src/base/log.ts";
import type { Appended } from "../../../src/ledger/ledger-types.ts";
import type { CalmMeasures } from "./calm.ts";
import type { Running, WorldNode } from "./node.ts";

/** What came of a run. */
export type Outcome = {
  readonly seed: number;
  /** Set when something did not hold: which checker, what, and when. */
  readonly violation:
    | { readonly checker: string; readonly message: string; readonly atMs: number }
    | undefined;
  readonly traceHash: string;
  readonly nodes: number;
  readonly liars: number;
  readonly heights: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly sent: number;
  readonly final: number;
  /**
   * From the end of the faults until all nodes that must go on had the blocks of that moment, in
   * plans with snapshots; else 0.
   */
  readonly ledgersMs: number | undefined;
  /** From then to the first new block on all of them. */
  readonly firstBlockMs: number | undefined;
  /** Longest time to finality of a transaction sent after that. */
  readonly slowestMs: number;
  /** Absent when it did not end. */
  readonly calm: CalmMeasures | undefined;
  /** Faults that took effect, by kind. */
  readonly faults: Readonly<Record<string, number>>;
};

/** Sees what passes the nodes of a run; what it throws is a violation. */
export type WorldObserver = {
  /** What the trace hash covers, as it happens; virtual time in milliseconds. */
  onNote?(nowMs: number, what: string): void;
  onDeliver?(to: number, frame: Uint8Array): void;
  /** `record` is what is on disk at that moment. */
  onSign?(node: WorldNode, message: Uint8Array, record: Uint8Array | undefined): void;
  onAppended?(node: WorldNode, appended: Appended): void;
  /** A life begins; its ledger may hold a block whose append no life before lived to tell. */
  onOpened?(node: WorldNode, life: Running): void;
};

/** Options of a run. */
export type WorldOptions = {
  /** What nodes log, for a replay that is looked at. */
  readonly log?: ((node: number, nowMs: () => number) => Log) | undefined;
  readonly observer?: WorldObserver | undefined;
};

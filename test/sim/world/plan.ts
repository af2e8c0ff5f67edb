/**
 * What happens to a world, as plain data: drawn from a seed, and cut down by the search for a
 * shorter reproduction. Whether an action is possible at its time is looked at when it comes: one
 * that is not has no effect, so any part of a plan is a plan.
 */
import { quorumSize } from "../../../src/base/proof/certificate.ts";
import { Random } from "../random.ts";
import { type Bursts, withBursts } from "./burst-plan.ts";
import type { FullAction } from "./full-disk.ts";
import type { Trick } from "./liar.ts";
import type { Rates } from "./network.ts";
import { changingCount, type SetPlan, setPlanOf } from "./set-plan.ts";
import type { SnapshotPlan } from "./snapshot-plan.ts";
import { snapshotsOf, withStorage } from "./storage-plan.ts";

/** Kinds of faults; each can be left out of a run. */
export const faultKinds = [
  "loss",
  "duplicate",
  "replay",
  "late",
  "partition",
  "crash",
  "torn",
  "pause",
  "wipe",
  "record",
  "clock",
  "outage",
  "liar",
  "validators",
  "full",
  "snapshots",
] as const;
/** One of them. */
export type FaultKind = (typeof faultKinds)[number];

/** Something done to a world at a time, and undone after a while. */
export type Action = { readonly atMs: number; readonly lastsMs: number } & (
  | { readonly kind: "crash"; readonly node: number; readonly power: boolean }
  /** A power cut in the middle of the next write that leaves part of it. */
  | { readonly kind: "torn"; readonly node: number }
  | { readonly kind: "pause"; readonly node: number }
  /** Crash, and the ledger directory is gone. */
  | { readonly kind: "wipe"; readonly node: number }
  /** Crash, and the signing record is gone. */
  | { readonly kind: "record"; readonly node: number }
  | { readonly kind: "clock"; readonly node: number; readonly jumpMs: number }
  /** Directions that do not pass, as "from>to". */
  | { readonly kind: "partition"; readonly cut: readonly string[] }
  /** These all crash at once and come back one after the other; one may have lost its record. */
  | {
      readonly kind: "outage";
      readonly nodes: readonly number[];
      readonly lostRecord?: number | undefined;
    }
  | FullAction
);

/** A whole run. */
export type Plan = {
  readonly seed: number;
  readonly count: number;
  readonly liars: readonly {
    readonly index: number;
    readonly tricks: readonly Trick[];
    readonly bursts?: Bursts | undefined;
  }[];
  readonly rates: Readonly<Rates>;
  readonly blockIntervalMs: number;
  readonly heartbeatMs: number;
  readonly writeMsMax: number;
  readonly callMsMax: number;
  /** What checking one signature of a message costs a node; without it nothing. */
  readonly checkMs?: number | undefined;
  readonly submitEveryMs: number;
  readonly clockOffsetsMs: readonly number[];
  readonly startDelaysMs: readonly number[];
  readonly actions: readonly Action[];
  /** Length of the phase with faults. */
  readonly safetyMs: number;
  /** Honest nodes that stay faulty in the second phase. */
  readonly leftFaulty: number;
  /** How the validators change; without it all nodes vote from the first block on. */
  readonly sets?: SetPlan | undefined;
  /** Who prunes and who begins with snapshots; without it nobody does. */
  readonly snapshots?: SnapshotPlan | undefined;
};

/** Clocks of honest nodes are within this of the true time, unless a jump hits them. */
const clockOffsetMsMax = 1_200;

const counts = [1, 2, 3, 4, 4, 4, 4, 5, 5, 7];
const tricks: readonly Trick[] = [
  "equivocate",
  "silence",
  "staleClaims",
  "wrongBlocks",
  "flood",
  "otherChain",
  "syncLies",
];

/** Returns a generator for one purpose: drawing more for one leaves the others as they are. */
export function streamOf(seed: number, purpose: string): Random {
  let mixed = seed >>> 0;
  for (const letter of purpose) mixed = (Math.imul(mixed, 31) + letter.charCodeAt(0)) >>> 0;
  return new Random(Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> 0);
}

/** Draws the plan of a seed. */
export function planOf(seed: number): Plan {
  const random = streamOf(seed, "plan");
  const changes = streamOf(seed, "validators");
  const usualCount = counts[random.below(counts.length)] as number;
  const changing = changingCount(changes);
  const count = changing ?? usualCount;
  const spare = count - quorumSize(count);
  const faulty = Math.floor((count - 1) / 3);
  const liarCount = faulty > 0 && random.chance(0.5) ? 1 + random.below(faulty) : 0;
  const liarIndexes = drawn(random, count, liarCount);
  const safetyMs = between(random, 25_000, 70_000);
  const isLongOutage = random.chance(0.02);
  const actions = actionsOf(random, { count, safetyMs, isLongOutage });
  const world = { count, liars: liarIndexes, safetyMs };
  const plan: Plan = {
    seed,
    count,
    sets: changing === undefined ? undefined : setPlanOf(changes, world),
    liars: liarIndexes.map((index) => ({ index, tricks: tricksOf(random) })),
    rates: ratesOf(random),
    blockIntervalMs: pick(random, [100, 250, 500, 500, 500]),
    heartbeatMs: pick(random, [5_000, 10_000, 60_000]),
    writeMsMax: pick(random, [0, 2, 10, 40]),
    callMsMax: pick(random, [0, 0, 2, 10]),
    submitEveryMs: pick(random, [300, 600, 1_000, 2_000]),
    clockOffsetsMs: Array.from({ length: count }, () =>
      between(random, -clockOffsetMsMax, clockOffsetMsMax),
    ),
    startDelaysMs: Array.from({ length: count }, () =>
      random.chance(0.8) ? random.below(500) : random.below(10_000),
    ),
    actions,
    // After hours without a quorum the second phase begins at once.
    safetyMs: Math.max(safetyMs, ...actions.filter(isOutage).map(endOf)),
    leftFaulty: random.below(spare - liarCount + 1),
  };
  const bursting = withBursts(plan, streamOf(seed, "bursts"));
  return withStorage(bursting, (purpose) => streamOf(seed, purpose));
}

/** Nodes that vote on the first block, ascending. */
export function validatorsAtFirst({ sets, count }: Plan): readonly number[] {
  return sets?.initial ?? Array.from({ length: count }, (_, index) => index);
}

/** Leaves kinds of faults, actions and time out of a plan. */
export function reduced(
  plan: Plan,
  cuts: {
    readonly without?: ReadonlySet<FaultKind>;
    /** Places of the actions that stay; default all. */
    readonly actions?: readonly number[] | undefined;
    readonly safetyMs?: number | undefined;
  },
): Plan {
  const { without = new Set(), actions, safetyMs = plan.safetyMs } = cuts;
  const keptActions = plan.actions.filter(
    ({ kind }, index) => !without.has(kind) && (actions === undefined || actions.includes(index)),
  );
  const share = (kind: "loss" | "duplicate" | "replay" | "late") =>
    without.has(kind) ? 0 : plan.rates[kind];
  const [loss, duplicate, replay, late] = [
    share("loss"),
    share("duplicate"),
    share("replay"),
    share("late"),
  ];
  return {
    ...plan,
    safetyMs,
    actions: keptActions,
    liars: without.has("liar") ? [] : plan.liars,
    sets: without.has("validators") ? undefined : plan.sets,
    snapshots: snapshotsOf(plan, without),
    rates: { ...plan.rates, loss, duplicate, replay, late },
  };
}

function isOutage({ kind }: Action): boolean {
  return kind === "outage";
}

function endOf({ atMs, lastsMs }: Action): number {
  return atMs + lastsMs;
}

function ratesOf(random: Random): Rates {
  const share = (probability: number, most: number) =>
    random.chance(probability) ? random.next() * most : 0;
  const delayMsMin = between(random, 1, 10);
  return {
    loss: share(0.6, random.chance(0.5) ? 0.05 : 0.3),
    duplicate: share(0.5, 0.5),
    replay: share(0.4, 0.5),
    late: share(0.5, 0.3),
    delayMsMin,
    delayMsMax: delayMsMin + pick(random, [2, 20, 50, 200]),
  };
}

function tricksOf(random: Random): Trick[] {
  const count = 1 + random.below(3);
  return drawn(random, tricks.length, count).map((place) => tricks[place] as Trick);
}

function actionsOf(
  random: Random,
  options: { readonly count: number; readonly safetyMs: number; readonly isLongOutage: boolean },
): Action[] {
  const { count, safetyMs, isLongOutage } = options;
  // Each seed has its own mix: some kinds are frequent, most are absent.
  const kinds = (
    ["crash", "torn", "pause", "wipe", "record", "clock", "partition"] as const
  ).filter(() => random.chance(0.45));
  const everyMs = pick(random, [2_000, 5_000, 10_000, 20_000]);
  const actions: Action[] = [];
  for (
    let atMs = between(random, 1_000, 5_000);
    atMs < safetyMs;
    atMs += between(random, 1, 2 * everyMs)
  ) {
    const kind = kinds[random.below(kinds.length)];
    if (kind !== undefined) actions.push(actionOf(random, { kind, count, atMs }));
  }
  if (isLongOutage || random.chance(0.25)) {
    const nodes = drawn(random, count, count - random.below(quorumSize(count)));
    const lastsMs = isLongOutage
      ? between(random, 900_000, 7_200_000)
      : between(random, 5_000, 60_000);
    const atMs = between(random, 5_000, safetyMs);
    const lostRecord = random.chance(0.5) ? nodes[0] : undefined;
    actions.push({ kind: "outage", atMs, lastsMs, nodes, lostRecord });
  }
  return actions.sort((left, right) => left.atMs - right.atMs);
}

function actionOf(
  random: Random,
  where: {
    readonly kind: Exclude<Action["kind"], "outage" | "full">;
    readonly count: number;
    readonly atMs: number;
  },
): Action {
  const { kind, count, atMs } = where;
  const node = random.below(count);
  const lastsMs = random.chance(0.7) ? between(random, 50, 5_000) : between(random, 5_000, 30_000);
  switch (kind) {
    case "crash":
      return { kind, atMs, lastsMs, node, power: random.chance(0.5) };
    case "clock": {
      const jumpMs = between(random, -600_000, 600_000);
      return { kind, atMs, lastsMs, node, jumpMs };
    }
    case "partition":
      return { kind, atMs, lastsMs, cut: cutOf(random, count) };
    default:
      return { kind, atMs, lastsMs, node };
  }
}

/** Two groups that do not hear each other; or only in one direction; or single directions. */
function cutOf(random: Random, count: number): string[] {
  const groups = Array.from({ length: count }, () => random.below(2));
  const form = random.below(3);
  const cut: string[] = [];
  for (let from = 0; from < count; from += 1)
    for (let to = 0; to < count; to += 1) {
      if (from === to) continue;
      const crosses = groups[from] !== groups[to];
      const isCut =
        form === 0 ? crosses : form === 1 ? crosses && groups[from] === 0 : random.chance(0.3);
      if (isCut) cut.push(`${from}>${to}`);
    }
  return cut;
}

function between(random: Random, least: number, most: number): number {
  return least + random.below(most - least + 1);
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.below(values.length)] as T;
}

/** Draws some of 0..count-1. */
function drawn(random: Random, count: number, some: number): number[] {
  const left = Array.from({ length: count }, (_, index) => index);
  return Array.from({ length: some }, () => left.splice(random.below(left.length), 1)[0] as number);
}

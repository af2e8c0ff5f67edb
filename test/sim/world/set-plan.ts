/**
 * Plans in which the validators change: who they are at first, and how administrators let the set
 * grow and shrink, one or two at a time. No set ever has more liars than the rules bear.
 */
import { quorumSize } from "../../../src/base/proof/certificate.ts";
import type { Random } from "../random.ts";

/** A change of the set that is begun at a time, or once the one before is done. */
export type SetStep = {
  readonly kind: "add" | "remove";
  readonly nodes: readonly number[];
  readonly atMs: number;
};

/** How the validators change. */
export type SetPlan = {
  /** Nodes that are validators in the genesis, ascending. */
  readonly initial: readonly number[];
  /** Administrators in the genesis. */
  readonly administrators: number;
  readonly steps: readonly SetStep[];
  /** Share of looks at which an administrator approves something that does not fit. */
  readonly strays: number;
};

/** Seeds with changing validators. */
const share = 0.25;
const nodeCounts = [3, 4, 4, 5, 5, 6, 7, 7];
const stepsMax = 8;
const drawsMax = 8;

/** Returns how many nodes a seed with changing validators has; nothing for other seeds. */
export function changingCount(random: Random): number | undefined {
  const isChanging = random.chance(share);
  const count = nodeCounts[random.below(nodeCounts.length)];
  return isChanging ? count : undefined;
}

/** Draws how the validators change. */
export function setPlanOf(
  random: Random,
  world: {
    readonly count: number;
    readonly liars: readonly number[];
    readonly safetyMs: number;
  },
): SetPlan {
  const { count, liars, safetyMs } = world;
  const all = Array.from({ length: count }, (_, index) => index);
  const honest = all.filter((index) => !liars.includes(index));
  const size = Math.min([1, 1, 2, 3, 4][random.below(5)] as number, count - 1, honest.length);
  const initial = some(random, honest, size);
  const walk = new Walk(random, initial, liars);
  walk.grow(all, count - (random.chance(0.3) ? 1 : 0));
  if (random.chance(0.7)) walk.shrink(1 + random.below(count - 1));
  if (random.chance(0.3)) walk.grow(all, count);
  const steps = walk.steps.slice(0, stepsMax);
  const times = steps.map(() => 2_000 + random.below(safetyMs)).sort((left, right) => left - right);
  return {
    initial: ascending(initial),
    administrators: [1, 3, 4][random.below(3)] as number,
    steps: steps.map((step, index) => ({ ...step, atMs: times[index] as number })),
    strays: random.chance(0.5) ? random.next() * 0.1 : 0,
  };
}

/** All sets of a plan, in their order. */
export function setsOf({ initial, steps }: SetPlan): readonly (readonly number[])[] {
  const sets: (readonly number[])[] = [initial];
  for (const { kind, nodes } of steps) sets.push(changed(sets.at(-1) ?? [], kind, nodes));
  return sets;
}

/** Tells whether a quorum of a set is left when some nodes are faulty. */
export function bears(set: readonly number[], faulty: Iterable<number>): boolean {
  const among = [...new Set(faulty)].filter((index) => set.includes(index)).length;
  return among <= set.length - quorumSize(set.length);
}

/** Steps from one set to the next, none of which has too many liars. */
class Walk {
  readonly steps: Omit<SetStep, "atMs">[] = [];
  readonly #random: Random;
  readonly #liars: readonly number[];
  readonly #wasRemoved = new Set<number>();
  #set: readonly number[];

  constructor(random: Random, initial: readonly number[], liars: readonly number[]) {
    this.#random = random;
    this.#set = initial;
    this.#liars = liars;
  }

  grow(all: readonly number[], size: number): void {
    for (let draw = 0; draw < drawsMax && this.#set.length < size; draw += 1) {
      const outside = all.filter((index) => !this.#set.includes(index));
      this.#try("add", outside, size - this.#set.length);
    }
  }

  shrink(size: number): void {
    for (let draw = 0; draw < drawsMax && this.#set.length > size; draw += 1) {
      // Who came back once stays: what is approved late could then make no change of its own.
      const inside = this.#set.filter((index) => !this.#wasRemoved.has(index));
      this.#try("remove", inside, this.#set.length - size);
    }
  }

  #try(kind: SetStep["kind"], candidates: readonly number[], countMax: number): void {
    const count = Math.min(1 + this.#random.below(2), candidates.length, countMax);
    const nodes = ascending(some(this.#random, candidates, count));
    const next = changed(this.#set, kind, nodes);
    const liars = this.#liars.filter((index) => next.includes(index)).length;
    if (count === 0 || 3 * liars > next.length - 1) return;
    this.steps.push({ kind, nodes });
    this.#set = next;
    if (kind === "remove") for (const index of nodes) this.#wasRemoved.add(index);
  }
}

function changed(
  set: readonly number[],
  kind: SetStep["kind"],
  nodes: readonly number[],
): readonly number[] {
  if (kind === "remove") return set.filter((index) => !nodes.includes(index));
  return ascending([...set, ...nodes]);
}

function some(random: Random, from: readonly number[], count: number): number[] {
  const left = [...from];
  return Array.from(
    { length: count },
    () => left.splice(random.below(left.length), 1)[0] as number,
  );
}

function ascending(indexes: readonly number[]): number[] {
  return indexes.toSorted((left, right) => left - right);
}

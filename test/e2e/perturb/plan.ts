/**
 * Draws plans of perturbations. A plan is plain data that follows from (seed, index) and from
 * nothing else, so a failing one is run again by naming both.
 *
 * Method: each plan has two phases within f and three beyond it. Pairs of a kind and a set of
 * nodes are dealt from two decks, shuffled by the seed: 24 plans of one seed deal every pair there
 * is at least once. Half of the phases beyond f get a second perturbation on other nodes.
 *
 * It does not run anything: see run-plan.ts.
 */
import { Random } from "../../sim/random.ts";

/** What is done to nodes. */
export type Kind = (typeof kinds)[number];

/**
 * | kind | what happens | end of it |
 * |---|---|---|
 * | kill | SIGKILL | started again |
 * | restart | SIGTERM | started again as soon as it ended |
 * | pause | SIGSTOP: connections stand, nothing answers | SIGCONT |
 * | wipe | SIGKILL, ledger directory deleted; keys and signing record stay | started again |
 * | cut | no bytes between these nodes and any other, both ways | links let bytes through |
 * | oneway | no bytes from these nodes to others; they hear all | the same |
 */
export const kinds = ["kill", "restart", "pause", "wipe", "cut", "oneway"] as const;

/** One kind on some nodes. Times count from the beginning of its phase. */
export type Perturbation = {
  readonly kind: Kind;
  /** Indexes of nodes, ascending. */
  readonly nodes: readonly number[];
  readonly startMs: number;
  readonly holdMs: number;
  /** How cuts show; `reset` only where links can do that. */
  readonly manner: "silent" | "reset";
};

/** Perturbations that overlap in time, on different nodes. */
export type Phase = {
  readonly perturbations: readonly Perturbation[];
  /** Pause before it. */
  readonly gapMs: number;
  /** Begins although nodes may not have recovered from the phase before. */
  readonly isHurried: boolean;
};

/** What is done in one run of a cluster. */
export type Plan = {
  readonly seed: number;
  readonly index: number;
  readonly nodeCount: number;
  readonly phases: readonly Phase[];
  /** Delay of every byte between two nodes, where the links can do that. */
  readonly delayMs: number;
};

/** Nodes that may fail while the rest goes on: four nodes bear one. */
export const faultyMax = 1;

const phasesWithin = 2;
const phasesBeyond = 3;
const gapMs = { min: 0, max: 1_500 };
const startMs = { min: 0, max: 1_200 };
const holdMs = { min: 300, max: 4_500 };
/** Longer than the network waits until it takes a silent connection for dead. */
const longHoldMs = { min: 12_000, max: 22_000 };
const longHoldChance = 0.25;
/** Plans before it have no long hold: they are those that run with every commit. */
const longFromIndex = 4;
const secondChance = 0.5;
const resetChance = 0.3;
const hurryChance = 0.4;

type Card = { readonly kind: Kind; readonly nodes: readonly number[] };

/** Draws the plan of a seed and an index from 0 up. */
export function drawPlan(seed: number, index: number, nodeCount = 4): Plan {
  const subsets = subsetsOf(nodeCount);
  const isWithin = ({ nodes }: Card) => nodes.length <= faultyMax;
  const cards = kinds
    .flatMap((kind) => subsets.map((nodes): Card => ({ kind, nodes })))
    // Were all ledgers wiped at once, what was final would be gone: no rule could save it.
    .filter(({ kind, nodes }) => kind !== "wipe" || nodes.length < nodeCount);
  const deck = new Random(seed);
  const within = shuffled(cards.filter(isWithin), deck);
  const beyond = shuffled(
    cards.filter((card) => !isWithin(card)),
    deck,
  );
  const random = new Random(seed ^ Math.imul(index + 1, 0x9e3779b1));
  const chosen = shuffled(
    [...dealt(within, phasesWithin, index), ...dealt(beyond, phasesBeyond, index)],
    random,
  );
  const isLong = random.chance(longHoldChance) && index >= longFromIndex;
  const longAt = isLong ? random.below(chosen.length) : -1;
  return {
    seed,
    index,
    nodeCount,
    delayMs: random.chance(0.3) ? 5 + random.below(40) : 0,
    phases: chosen.map((card, place) =>
      phaseOf(card, { random, nodeCount, isLong: place === longAt }),
    ),
  };
}

/** A plan in words, one line a perturbation. */
export function planText({ seed, index, phases, delayMs }: Plan): string {
  const lines = phases.flatMap(({ perturbations, gapMs: gap, isHurried }, place) =>
    perturbations.map((perturbation, turn) => {
      const { kind, nodes, manner, startMs: start, holdMs: hold } = perturbation;
      const what = kind === "cut" ? `${manner} cut` : kind;
      const when = `${gap} ms after ${isHurried ? "the one before" : "recovery"}`;
      const head = turn === 0 ? `${place + 1}. ${when}` : "   together with";
      return `  ${head}: ${what} of ${nodes.join(" ")} from ${start} ms for ${hold} ms`;
    }),
  );
  return [`plan ${seed}.${index}, links delayed by ${delayMs} ms`, ...lines].join("\n");
}

function phaseOf(
  card: Card,
  drawing: { readonly random: Random; readonly nodeCount: number; readonly isLong: boolean },
): Phase {
  const { random, nodeCount, isLong } = drawing;
  const isWithin = card.nodes.length <= faultyMax;
  // A wipe needs the others whole, and so does who is to bear a fault.
  const isHurried = !isWithin && card.kind !== "wipe" && random.chance(hurryChance);
  const frame = { gapMs: between(random, gapMs), isHurried };
  const more = () => ({
    holdMs: between(random, isLong ? longHoldMs : holdMs),
    manner: random.chance(resetChance) ? ("reset" as const) : ("silent" as const),
  });
  const first = { ...card, startMs: 0, ...more() };
  const rest = Array.from({ length: nodeCount }, (_, node) => node).filter(
    (node) => !card.nodes.includes(node),
  );
  const isAlone = isWithin || !random.chance(secondChance);
  if (isAlone || rest.length === 0) return { perturbations: [first], ...frame };
  // Two wipes at once could take all ledgers there are.
  const others = kinds.filter((kind) => kind !== "wipe");
  const kind = others[random.below(others.length)] as Kind;
  const nodes = shuffled(rest, random)
    .slice(0, 1 + random.below(rest.length))
    .sort();
  const second = { kind, nodes, startMs: between(random, startMs), ...more() };
  return { perturbations: [first, second], ...frame };
}

/** The cards of one plan; the deck is dealt round and round. */
function dealt(deck: readonly Card[], count: number, index: number): Card[] {
  return Array.from(
    { length: count },
    (_, turn) => deck[(index * count + turn) % deck.length] as Card,
  );
}

function subsetsOf(nodeCount: number): number[][] {
  const nodes = Array.from({ length: nodeCount }, (_, node) => node);
  const masks = Array.from({ length: 2 ** nodeCount - 1 }, (_, mask) => mask + 1);
  return masks.map((mask) => nodes.filter((node) => (mask >> node) & 1));
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const left = [...list];
  return list.map(() => left.splice(random.below(left.length), 1)[0] as T);
}

/** Returns an integer within bounds, both included. */
export function between(random: Random, { min, max }: { min: number; max: number }): number {
  return min + random.below(max - min + 1);
}

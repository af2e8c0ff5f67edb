/**
 * Scenarios of Twins: for each round one or more partitions of all instances into at most two sets.
 * A liar is modelled as a second unmodified node with the same key (Bano et al., arXiv 2004.10617).
 *
 * A scenario is a number of one digit a partition, that of round 0 first.
 *
 * | cut | digits | meaning of a digit |
 * |---|---|---|
 * | sets | 2^(instances - 1) | bit i - 1: set of instance i; instance 0 is in set 0 |
 * | deaf | 2^instances | bit i: instance i hears nothing, though it may be heard |
 *
 * So 4 validators, one twin and 4 rounds of one partition into sets make 16^4 scenarios.
 *
 * With one partition a round, whoever is cut off misses all of it. Two let nodes prepare a block
 * together and then lose each other's commits, three also lose prepares of a proposal they heard.
 * Two sets are symmetric, so of four nodes whoever decides leaves no quorum behind that could decide
 * something else. With deaf instances one decides alone, and the others must not forget.
 */
import type { ConsensusMessage } from "../../../src/base/format/message.ts";
import type { PublicKey } from "../../../src/base/keys.ts";

/** Who takes part, and for how many rounds the network is partitioned. */
export type TwinsSetup = {
  readonly validators: number;
  /** Validators that run twice, by the round in which they propose first. */
  readonly twins: readonly number[];
  readonly rounds: number;
  /** 1: the round has one. 2: another one for commits. 3: also another one for prepares. */
  readonly partitionsPerRound: 1 | 2 | 3;
  readonly cut: "sets" | "deaf";
};

/** Which of up to three partitions of its round a message meets. */
const placeInRound = {
  1: { roundChange: 0, proposal: 0, prepare: 0, commit: 0 },
  2: { roundChange: 0, proposal: 0, prepare: 0, commit: 1 },
  3: { roundChange: 0, proposal: 0, prepare: 1, commit: 2 },
} as const;

/** Returns the place of the partition that a message meets; beyond the last the network is whole. */
export function placeOf(
  { partitionsPerRound }: TwinsSetup,
  { kind, round }: Pick<ConsensusMessage, "kind" | "round">,
): number {
  return round * partitionsPerRound + placeInRound[partitionsPerRound][kind];
}

/** Returns how many partitions a scenario has. */
export function placeCount({ rounds, partitionsPerRound }: TwinsSetup): number {
  return rounds * partitionsPerRound;
}

/** Returns the key of a validator: short, as nothing is hashed; they ascend with the index. */
export const keyAt = (validator: number): PublicKey => `v${validator}`;

/** Returns the key of each instance: the validators first, then the twins. */
export function instanceKeys({ validators, twins }: TwinsSetup): readonly PublicKey[] {
  return [...Array.from({ length: validators }, (_, index) => index), ...twins].map(keyAt);
}

/** Returns the names of the instances: A, B, C, ... and A' for the twin of A. */
export function instanceNames({ validators, twins }: TwinsSetup): readonly string[] {
  const letter = (index: number) => String.fromCharCode(65 + index);
  const originals = Array.from({ length: validators }, (_, index) => letter(index));
  return [...originals, ...twins.map((index) => `${letter(index)}'`)];
}

/** Returns how many partitions there are to choose from, each time. */
export function partitionCount({ validators, twins, cut }: TwinsSetup): number {
  return 2 ** (validators + twins.length - (cut === "sets" ? 1 : 0));
}

/** Returns how many scenarios there are. @throws {Error} when a number cannot name each. */
export function scenarioCount(setup: TwinsSetup): number {
  const count = partitionCount(setup) ** placeCount(setup);
  if (!Number.isSafeInteger(count)) throw new Error("too many scenarios to number");
  return count;
}

/** Returns the partitions of a scenario, in the order of rounds. */
export function partitionsOf(setup: TwinsSetup, scenario: number): readonly number[] {
  const base = partitionCount(setup);
  const places = placeCount(setup);
  return Array.from({ length: places }, (_, place) => {
    return Math.floor(scenario / base ** (places - 1 - place)) % base;
  });
}

/** Returns the number of the first scenario with these partitions; an open one counts as 0. */
export function scenarioOf(setup: TwinsSetup, partitions: readonly (number | undefined)[]): number {
  const base = partitionCount(setup);
  return partitions.reduce<number>((number, partition) => number * base + (partition ?? 0), 0);
}

/** Tells whether a partition lets a message pass. */
export function passes(
  cut: TwinsSetup["cut"],
  partition: number,
  { from, to }: { readonly from: number; readonly to: number },
): boolean {
  if (cut === "deaf") return ((partition >> to) & 1) === 0;
  return setOf(partition, from) === setOf(partition, to);
}

function setOf(partition: number, index: number): number {
  return index === 0 ? 0 : (partition >> (index - 1)) & 1;
}

/** Writes a partition such as `A B | C D A'`, or `all hear but C`. */
export function partitionText(setup: TwinsSetup, partition: number): string {
  const names = instanceNames(setup);
  if (setup.cut === "deaf") {
    const deaf = names.filter((_, to) => !passes("deaf", partition, { from: 0, to }));
    return deaf.length === 0 ? "all hear" : `all hear but ${deaf.join(" ")}`;
  }
  const near = names.filter((_, index) => setOf(partition, index) === 0);
  const far = names.filter((_, index) => setOf(partition, index) === 1);
  return far.length === 0 ? near.join(" ") : `${near.join(" ")} | ${far.join(" ")}`;
}

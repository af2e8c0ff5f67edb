/**
 * Runs of the simulated cluster whose traces are held against the model, each fixed by its seed:
 * crashes, restarts with and without ledger or record, partitions and loss; a twin of a validator;
 * a validator that signs at random; a validator set that changes.
 */
import type { Block } from "../../src/base/format/block.ts";
import type {
  Claim,
  ConsensusMessage,
  RoundChangeClaim,
  Signed,
} from "../../src/base/format/message.ts";
import { disturbTurns } from "../sim/disturbed-run.ts";
import { claimOnly, keyOf, signedBy } from "../sim/fake-keys.ts";
import { Random } from "../sim/random.ts";
import { TracedCluster } from "./traced-cluster.ts";

/** Kinds of runs. */
export const runKinds = ["disturbed", "twin", "liar", "growing"] as const;

/** Runs a cluster of some kind to its end. */
export function tracedRun(kind: (typeof runKinds)[number], seed: number): TracedCluster {
  switch (kind) {
    case "disturbed":
      return disturbedRun(seed);
    case "twin":
      return twinRun(seed);
    case "liar":
      return liarRun(seed);
    case "growing":
      return growingRun(seed);
  }
}

function disturbedRun(seed: number): TracedCluster {
  const random = new Random(seed);
  const count = [1, 2, 3, 4, 4, 4, 5, 7][random.below(8)] as number;
  const cluster = new TracedCluster({ count, seed });
  cluster.duplicateRate = random.next() * 0.2;
  cluster.delayMsMax = 10 + random.below(400);
  disturbTurns(cluster, random, { turnCount: 12, losesRecords: true });
  return cluster;
}

/** Validator 0 runs twice; in each round messages pass within a random half only. */
function twinRun(seed: number): TracedCluster {
  const random = new Random(seed);
  const keys = [0, 1, 2, 3, 0].map(keyOf);
  const clockOffsetsMs = [0, 0, 0, 0, 7];
  const options = { count: 4, keys, seed, clockOffsetsMs, statusPolls: false };
  const cluster = new TracedCluster(options);
  const sets = Array.from({ length: 5 }, () => keys.map(() => random.below(2)));
  cluster.passes = (message, from, to) => {
    const set = sets[message.round];
    return set === undefined || set[from] === set[to];
  };
  for (const { index } of cluster.nodes) cluster.submit(`of ${index}`, [index]);
  cluster.run(20_000);
  return cluster;
}

/**
 * Validator 3 never runs; somebody with its key signs what comes to mind. In most rounds
 * the others do not all hear each other.
 */
function liarRun(seed: number): TracedCluster {
  const random = new Random(seed);
  const cluster = new TracedCluster({ count: 4, seed });
  cluster.crash(3);
  cluster.delayMsMax = 10 + random.below(800);
  cluster.lossRate = random.next() * 0.2;
  const deaf = Array.from({ length: 64 }, () => random.below(6));
  const isHard = random.chance(0.5);
  const proposers = new Map<number, number>();
  cluster.passes = (message, from, to) => {
    const { height, round, kind } = message;
    if (kind === "proposal") proposers.set(10_000 * height + round, from);
    const proposerAt = (of: number) => proposers.get(10_000 * height + of);
    if (isHard) return passesHardRounds(message, { from, to, proposerAt });
    const hears = deaf[(7 * height + round) % deaf.length];
    return kind === "roundChange" || hears !== to;
  };
  for (let turn = 0; turn < 80; turn += 1) {
    cluster.submit(`${turn >> 2}`);
    cluster.run(100 + random.below(400));
    for (let lie = 0; lie < 8; lie += 1) cluster.inject(random.below(3), lieOf(cluster, random));
  }
  return cluster;
}

/**
 * In rounds 0 and 1 the proposer alone hears prepares and nobody hears commits; in round 1 the
 * proposer of round 0 is not heard. So two blocks can be prepared, and the later must bind.
 */
function passesHardRounds(
  { round, kind }: Claim,
  way: { from: number; to: number; proposerAt: (round: number) => number | undefined },
): boolean {
  if (round > 1) return true;
  if (kind === "roundChange") return way.from !== way.proposerAt(0);
  return kind === "proposal" || (kind === "prepare" && way.to === way.proposerAt(round));
}

/** Some message of validator 3 about a block that was proposed, in a round that others are in. */
function lieOf(cluster: TracedCluster, random: Random): ConsensusMessage {
  const height = Math.max(...cluster.heights()) + 1;
  const sent = cluster.trace
    .slice(-400)
    .flatMap((entry) =>
      entry.kind === "send" && entry.message.height === height ? [entry.message] : [],
    );
  const blocks = sent.flatMap((message) => (message.kind === "proposal" ? [message.block] : []));
  const near = sent[random.below(sent.length)]?.round ?? 0;
  const round = near + random.below(2);
  const block = blocks[random.below(blocks.length)];
  const liar = keyOf(3);
  if (block === undefined || random.chance(0.3)) {
    const to = Math.max(1, random.chance(0.8) ? near : near + 1);
    const claim = { kind: "roundChange", height, round: to, prepared: undefined } as const;
    return { ...signedBy(liar, claim), preparedBlock: undefined, prepares: [] };
  }
  if (random.chance(0.5)) return proposeAnything(sent, { block, round }, random);
  const kind = random.chance(0.5) ? "prepare" : "commit";
  return signedBy(liar, { kind, height, round, blockHash: block.hash });
}

/** A proposal with round changes and prepares that were seen, and one of its own, true or not. */
function proposeAnything(
  sent: readonly ConsensusMessage[],
  { block, round }: { readonly block: Block; readonly round: number },
  random: Random,
): ConsensusMessage {
  const { height } = block.header;
  const blockHash = block.hash;
  const honest = new Map<string, Signed<RoundChangeClaim>>();
  for (const message of sent)
    if (message.kind === "roundChange" && message.round === round && random.chance(0.9))
      honest.set(message.validator, claimOnly(message));
  const claimed = { round: Math.max(0, round - 1 - random.below(2)), blockHash };
  const prepared = random.chance(0.5) ? undefined : claimed;
  const own = signedBy(keyOf(3), { kind: "roundChange", height, round, prepared } as const);
  const prepares = sent.flatMap((message) =>
    message.kind === "prepare" && message.blockHash === blockHash ? [message] : [],
  );
  return {
    ...signedBy(keyOf(3), { kind: "proposal", height, round, blockHash } as const),
    block,
    roundChanges: round === 0 ? [] : [...honest.values(), own],
    prepares: prepared === undefined ? [] : prepares,
  };
}

/** Four validators become five at height 4 and four others at height 8. */
function growingRun(seed: number): TracedCluster {
  const random = new Random(seed);
  const all = [0, 1, 2, 3, 4].map(keyOf);
  const validatorsAt = (height: number) =>
    height < 4 ? all.slice(0, 4) : height < 8 ? all : all.slice(1);
  const cluster = new TracedCluster({ count: 4, keys: all, validatorsAt, seed });
  cluster.delayMsMax = 10 + random.below(200);
  disturbTurns(cluster, random, { turnCount: 16, losesRecords: true });
  return cluster;
}

/**
 * Properties of passing over the dead (docs/CONSENSUS.md, "Who proposes"), over more heights than
 * other runs have: k grows to its cap only after 127 heights, and all begins anew after 1,024.
 *
 * Method: the rule stands in the product, in the model and in the simulator, each apart from the
 * others. They are held against each other on headers that are drawn, and against a traced run of
 * real cores, which is a behaviour of the model as well.
 *
 * SEED=n npx vitest run test/property/proposer-order.test.ts draws others.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { validatorsHash } from "../../src/base/format/block.ts";
import { zeroHash } from "../../src/base/hash.ts";
import { freshSchedule, nextSchedule } from "../../src/base/proposer-schedule.ts";
import { seedOf } from "../helpers/seed.ts";
import { firstOrder, nextOrder } from "../model/proposer-order.ts";
import { TracedCluster } from "../model/traced-cluster.ts";
import { keyOf } from "../sim/fake-keys.ts";
import { Random } from "../sim/random.ts";
import { expectedOrder, orderAfter, orderAtStart } from "../sim/world/order.ts";

const seed = seedOf(0);
const epochHeights = 1_024;

describe(`three statements of the rule agree (seed ${seed})`, () => {
  const keys = Array.from({ length: 7 }, (_, index) => keyOf(index));

  /** Some of all, in order, and one at least. */
  const someOf = (random: Random) => keys.filter((key) => key === keys[3] || random.chance(0.6));

  /** Follows headers some of which were proposed late, of validators that seldom change or never. */
  function compare(random: Random): void {
    const isChanging = random.chance(0.5);
    const dead = new Set(keys.filter(() => random.chance(0.3)));
    let validators = someOf(random);
    let model = firstOrder(validators);
    let world = orderAtStart(validators);
    let schedule = freshSchedule(1, validators, zeroHash);
    for (let height = 1; height <= epochHeights + 90; height += 1) {
      const order = expectedOrder(world);
      for (const other of [model.order, schedule.proposers])
        if (other.join() !== order.join()) expect(other, `height ${height}`).toEqual(order);
      if (random.chance(0.01)) toggle(dead, keys[random.below(keys.length)] as string);
      const living = order.filter((key) => !dead.has(key));
      const late = random.chance(0.05) ? random.below(order.length) : 0;
      const proposer = living[late] ?? (order[late] as string);
      const next = isChanging && random.chance(0.004) ? someOf(random) : validators;
      schedule = nextSchedule(schedule, headerOf(height, proposer, [validators, next]), next);
      model = nextOrder(model, proposer, next);
      world = orderAfter(world, proposer, next);
      validators = next;
    }
  }

  it("on headers that are drawn", () => {
    for (let run = 0; run < 6; run += 1) compare(new Random(10 * seed + run));
  });
});

function headerOf(height: number, proposer: string, sets: readonly (readonly string[])[]) {
  const [own = "", next = ""] = sets.map((set) => validatorsHash(set));
  return { height, proposer, validatorsHash: own, nextValidatorsHash: next };
}

function toggle(set: Set<string>, key: string): void {
  if (!set.delete(key)) set.add(key);
}

describe("a validator of four that is dead for long", () => {
  const mortal = 3;
  const back = 600;
  const deadAgain = 760;
  const last = epochHeights + 76;
  const cluster = new TracedCluster({ count: 4, heartbeatMs: 1 });
  let blocks: readonly { height: number; proposer: string; round: number }[] = [];

  beforeAll(() => {
    const goTo = (height: number) =>
      expect(cluster.runToHeight(height, 1_000 * height), `to ${height}`).toBe(true);
    cluster.crash(mortal);
    goTo(back);
    cluster.restart(mortal);
    goTo(deadAgain);
    cluster.crash(mortal);
    goTo(last);
    blocks = cluster.node(0).ledger.decided.map(({ block: { header }, certificate }) => {
      return { height: header.height, proposer: header.proposer, round: certificate.round };
    });
  }, 60_000);

  it("leaves a trace that the model allows at every height", () => {
    // The run throws at the first step that it does not allow.
    const { append, proposal } = cluster.checker.counts;
    expect(proposal).toBeGreaterThanOrEqual(last);
    expect(append).toBeGreaterThanOrEqual(3 * last + deadAgain);
  });

  it("leaves every block to the first in the order that lives", () => {
    let order = orderAtStart(cluster.node(0).ledger.nextValidators);
    for (const { height, proposer, round } of blocks) {
      const turn = expectedOrder(order);
      const isAlive = (key: string) =>
        key !== keyOf(mortal) || (height > back && height <= deadAgain);
      const first = turn.find(isAlive) as string;
      expect({ height, proposer, round }).toEqual({
        ...{ height, proposer: first },
        round: turn.indexOf(first),
      });
      order = orderAfter(order, proposer, order.validators);
    }
  });

  it("costs a time-out more and more seldom, up to every 66 heights, and anew each epoch", () => {
    const late = blocks.filter(({ round }) => round > 0).map(({ height }) => height);
    const expected = [...missedTurns(4, back), ...missedTurns(764, epochHeights)];
    expect(late).toEqual([...expected, ...missedTurns(epochHeights + 1, last)]);
    expect(late.slice(0, 8)).toEqual([4, 7, 10, 16, 25, 43, 76, 142]);
  });

  it("proposes at every fourth height once it is back, as if nothing had been", () => {
    const own = blocks.filter(({ proposer }) => proposer === keyOf(mortal));
    const heights = own.map(({ height }) => height);
    const [first = 0] = heights;
    // Its last missed turn was at 538.
    expect(first).toBeGreaterThan(538 + 64);
    expect(first).toBeLessThanOrEqual(538 + 64 + 4);
    expect(heights).toEqual(Array.from({ length: 40 }, (_, turn) => first + 4 * turn));
  });
});

/**
 * Heights at which the dead one of four misses its turn: after 2^k heights at which it is passed
 * over, once the three others have taken turns to its end again.
 */
function missedTurns(first: number, until: number): number[] {
  const heights: number[] = [];
  for (let height = first, k = 0; height <= until; k = Math.min(k + 1, 6)) {
    heights.push(height);
    height += 3 * Math.ceil((2 ** k + 1) / 3);
  }
  return heights;
}

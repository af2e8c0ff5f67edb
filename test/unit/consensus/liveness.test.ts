/** Networks of every size decide, bear what they should, and stop where they must. */
import { describe, expect, it } from "vitest";
import { quorumSize } from "../../../src/base/proof/certificate.ts";
import { Cluster } from "../../sim/cluster.ts";
import { keyOf } from "../../sim/fake-keys.ts";
import { keysOf } from "../../sim/probe.ts";

const sizes = [1, 2, 3, 4, 5, 7];

describe("networks of every size", () => {
  it.each(sizes)("%i validators decide block after block", (count) => {
    const cluster = new Cluster({ count });
    for (let height = 1; height <= 5; height += 1) {
      cluster.submit(`transaction ${height}`);
      expect(cluster.runToHeight(height, 900)).toBe(true);
    }
    expect(cluster.nodes.every(({ ledger }) => ledger.transactions.length === 5)).toBe(true);
  });

  it.each(sizes)("%i validators go on with all but a quorum down, whoever it is", (count) => {
    const down = count - quorumSize(count);
    for (let first = 0; first < count && down > 0; first += 1) {
      const cluster = new Cluster({ count, seed: first });
      for (let index = 0; index < down; index += 1) cluster.crash((first + index) % count);
      for (let height = 1; height <= 3; height += 1) {
        cluster.submit(`transaction ${height}`);
        expect(cluster.runToHeight(height, 8_000)).toBe(true);
      }
    }
  });

  it.each(sizes)("%i validators decide nothing with one fewer, and resume", (count) => {
    const cluster = new Cluster({ count });
    const down = count - quorumSize(count) + 1;
    for (let index = 0; index < down; index += 1) cluster.crash(index);
    cluster.submit("a");
    cluster.run(60_000);
    expect(Math.max(...cluster.heights())).toBe(0);
    cluster.restart(0);
    cluster.submit("a");
    expect(cluster.runToHeight(1, 10_000)).toBe(true);
  });
});

it("one dead validator of four costs few time-outs, and is among the proposers once it is back", () => {
  const cluster = new Cluster({ count: 4 });
  const decide = (heights: number) => {
    const first = cluster.node(0).ledger.tip.height + 1;
    for (let height = first; height < first + heights; height += 1) {
      cluster.submit(`transaction ${height}`);
      expect(cluster.runToHeight(height, 5_000)).toBe(true);
    }
    return cluster.node(0).ledger.decided.slice(-heights);
  };
  cluster.crash(2);
  const slow = decide(140).filter(({ certificate }) => certificate.round > 0);
  expect(slow.length).toBeGreaterThanOrEqual(5);
  expect(slow.length).toBeLessThanOrEqual(8);
  cluster.restart(2);
  cluster.run(2_000);
  const back = decide(80);
  expect(back.every(({ certificate }) => certificate.round === 0)).toBe(true);
  expect(back.slice(-8).filter(({ block }) => block.header.proposer === keyOf(2))).toHaveLength(2);
});

it("makes empty blocks only when the heartbeat is due", () => {
  const cluster = new Cluster({ count: 4, heartbeatMs: 60_000 });
  cluster.run(59_000);
  expect(cluster.heights()).toEqual([0, 0, 0, 0]);
  cluster.run(300_000);
  const times = cluster.node(0).ledger.decided.map(({ block }) => block.header.timestampMs);
  expect(times.length).toBeGreaterThanOrEqual(4);
  const gaps = times.slice(1).map((time, index) => time - (times[index] as number));
  expect(gaps.every((gap) => gap >= 60_000 && gap < 62_000)).toBe(true);
});

it("an observer follows a lossy network by itself", () => {
  const keys = [...keysOf(4), keyOf(9)];
  const cluster = new Cluster({ count: 4, keys, seed: 3 });
  cluster.lossRate = 0.1;
  for (let height = 1; height <= 5; height += 1) {
    cluster.submit(`${height}`, [0, 1, 2, 3]);
    expect(cluster.runToHeight(height, 10_000)).toBe(true);
  }
  expect(cluster.node(4).signedClaims).toEqual([]);
});

it("validators that join and leave take over at their height", () => {
  const sets = [keysOf(3), keysOf(4), [1, 2, 3, 4].map(keyOf)];
  const validatorsAt = (height: number) =>
    (height < 3 ? sets[0] : height < 5 ? sets[1] : sets[2]) ?? [];
  const cluster = new Cluster({ count: 3, keys: keysOf(5), validatorsAt });
  for (let height = 1; height <= 8; height += 1) {
    cluster.submit(`${height}`);
    expect(cluster.runToHeight(height, 5_000)).toBe(true);
  }
  const heights = (index: number) => cluster.node(index).signedClaims.map(({ height }) => height);
  expect(Math.max(...heights(0))).toBe(4);
  expect(Math.min(...heights(3))).toBe(3);
  expect(Math.min(...heights(4))).toBe(5);
});

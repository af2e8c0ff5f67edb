/**
 * Claims about catching up: a lying peer costs time, never blocks; another one is asked
 * (cometbft CVE-2025-24371 among them: a peer that lowers its height in the middle).
 */
import { describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { blockOf, encodeBlock, type Header } from "../../../src/base/format/block.ts";
import { type Certificate, encodeCertificate } from "../../../src/base/format/message.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { silentLog } from "../../../src/base/log.ts";
import {
  type BlockSource,
  ChainFollower,
  decodeDecided,
  encodeDecided,
} from "../../../src/node/chain-follower.ts";
import { VirtualTimers } from "./virtual-timers.ts";

const header = (height: number): Header => ({
  chainId: zeroHash,
  height,
  parentHash: zeroHash,
  timestampMs: height,
  proposer: zeroHash,
  transactionsRoot: zeroHash,
  receiptsRoot: zeroHash,
  stateRoot: zeroHash,
  validatorsHash: zeroHash,
  nextValidatorsHash: zeroHash,
  gasUsed: 0,
});
const decided = (height: number) => {
  const block = blockOf(header(height), []);
  const certificate: Certificate = { height, round: 0, blockHash: block.hash, signatures: [] };
  return encodeDecided(encodeBlock(block), encodeCertificate(certificate));
};

type Blocks = Uint8Array[] | Promise<Uint8Array[]>;
type FakePeer = { height: number; blocks(from: number, countMax: number): Blocks };
const honest = (height: number): FakePeer => ({
  height,
  blocks: (from, countMax) =>
    Array.from({ length: Math.min(countMax, height - from + 1) }, (_, index) =>
      decided(from + index),
    ),
});

function follow(
  peers: Record<string, FakePeer>,
  divergesAt = -1,
  tickMs = 0,
  members: readonly string[] = ["self"],
) {
  const appended: number[] = [];
  const sink = {
    tip: { height: 0 },
    async append(block: { header: Header }) {
      if (block.header.height === divergesAt)
        throw new LedgerError("LEDGER_DIVERGENCE", {
          height: divergesAt,
          field: "",
          own: "",
          certified: "",
        });
      if (block.header.height !== sink.tip.height + 1) throw new Error("not the next height");
      sink.tip = { height: block.header.height };
      appended.push(block.header.height);
    },
  };
  const asked: string[] = [];
  const source: BlockSource = {
    connectedPeers: () => Object.keys(peers),
    requestStatus: async (peer) => {
      const { height } = peers[peer] as FakePeer;
      return Number.isNaN(height) ? new Promise<never>(() => {}) : { height };
    },
    requestBlocks: async (peer, from, countMax) => {
      asked.push(peer);
      return (peers[peer] as FakePeer).blocks(from, countMax);
    },
  };
  let nowMs = 0;
  const clock = {
    nowMs() {
      nowMs += tickMs;
      return nowMs;
    },
  };
  const faults: string[] = [];
  const exhausted: string[][] = [];
  const follower = new ChainFollower({
    source,
    sink,
    clock,
    log: silentLog,
    onAppended() {},
    onFault: (reason) => faults.push(reason),
    patienceMs: 50,
    onCaughtUp: (names) => exhausted.push([...names]),
    members: () => members,
  });
  return { follower, sink, appended, asked, faults, exhausted };
}

async function untilHeight(sink: { tip: { height: number } }, height: number): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (sink.tip.height < height) {
    if (Date.now() > deadline) throw new Error(`stuck at height ${sink.tip.height}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const syncFacts = { peer: "", request: "blocks", height: 1 };

/** A follower in virtual time whose peers answer for their height after so many milliseconds. */
function followSlow(
  heightMs: Readonly<Record<string, number>>,
  others: Readonly<Record<string, FakePeer>> = {},
) {
  const timers = new VirtualTimers();
  const sink = { tip: { height: 0 } };
  const rounds: { readonly atMs: number; readonly peers: readonly string[] }[] = [];
  const requests: string[] = [];
  const pruned: { readonly peers: number; readonly tip: number }[] = [];
  const peerOf = (peer: string) => others[peer] ?? honest(20);
  const follower = new ChainFollower({
    source: {
      connectedPeers: () => Object.keys(heightMs),
      requestStatus: (peer) =>
        new Promise((resolve) =>
          timers.after(heightMs[peer] ?? 0, () => resolve({ height: peerOf(peer).height })),
        ),
      requestBlocks: async (peer, from, countMax) => {
        requests.push(peer);
        return peerOf(peer).blocks(from, countMax);
      },
    },
    sink: {
      ...sink,
      get tip() {
        return sink.tip;
      },
      append: async (block) => {
        sink.tip = { height: block.header.height };
      },
    },
    clock: timers,
    timers,
    log: silentLog,
    onAppended() {},
    onFault() {},
    onCaughtUp: (peers) => rounds.push({ atMs: timers.nowMs(), peers: [...peers].sort() }),
    onPruned: (peers) => pruned.push({ peers: peers.length, tip: sink.tip.height }),
    members: () => ["self", ...Object.keys(heightMs)],
  });
  return { follower, timers, sink, rounds, requests, pruned };
}

describe("a node that is behind", () => {
  it("fetches in ranges up to the height of its peers", async () => {
    const { follower, sink, appended } = follow({ a: honest(150) });
    follower.start();
    await untilHeight(sink, 150);
    await follower.stop();
    expect(appended).toEqual(Array.from({ length: 150 }, (_, index) => index + 1));
  });

  it.each<[string, FakePeer]>([
    ["claims blocks and sends none", { height: 900, blocks: () => [] }],
    [
      "sends a range with a hole",
      { height: 900, blocks: (from) => [decided(from), decided(from + 2)] },
    ],
    ["sends bytes that are no block", { height: 900, blocks: () => [Uint8Array.of(1, 2, 3)] }],
    [
      "lowers its height in the middle",
      { height: 900, blocks: (from) => (from > 5 ? [] : [decided(from)]) },
    ],
  ])("asks another peer when one %s", async (_, liar) => {
    const { follower, sink, asked } = follow({ liar, honest: honest(20) });
    follower.start();
    await untilHeight(sink, 20);
    await follower.stop();
    expect(asked[0]).toBe("liar");
    expect(sink.tip.height).toBe(20);
  });

  it("blames itself, not the peer, when its own state differs from a certified block", async () => {
    const { follower, sink, faults } = follow({ a: honest(9) }, 5);
    follower.start();
    const deadline = Date.now() + 5_000;
    while (faults.length === 0 && Date.now() < deadline)
      await new Promise((resolve) => setImmediate(resolve));
    await follower.stop();
    expect(faults[0]).toContain("LEDGER_DIVERGENCE");
    expect(sink.tip.height).toBe(4);
  });

  it.each<[string, FakePeer]>([
    ["says nothing at all", { height: Number.NaN, blocks: () => [] }],
    ["never sends the blocks", { height: 900, blocks: () => new Promise(() => {}) }],
  ])("(3) is not held up by a peer that %s, and stops at once", async (_, mute) => {
    const { follower, sink } = follow({ mute, honest: honest(20) });
    follower.start();
    await untilHeight(sink, 20);
    follower.poke();
    const before = performance.now();
    await follower.stop();
    expect(performance.now() - before).toBeLessThan(500);
  });

  it("(3) looks on after 300 ms more when one told its height and others keep silent", async () => {
    const { follower, timers, sink } = followSlow({ quick: 20, mute: 1e9, other: 1e9 });
    follower.start();
    await timers.advance(330);
    expect(sink.tip.height).toBe(20);
    await follower.stop();
  });

  it("(3) asks who connects while those who were there keep silent", async () => {
    const heightMs: Record<string, number> = { mute: 1e9 };
    const { follower, timers, sink } = followSlow(heightMs);
    follower.start();
    await timers.advance(500);
    heightMs.late = 20;
    await timers.advance(1_000);
    expect(sink.tip.height).toBe(20);
    await follower.stop();
  });

  it("tells of pruned blocks when those who say so were asked and nobody else has them", async () => {
    const gone = {
      height: 900,
      blocks: () => Promise.reject(new LedgerError("P2P_SYNC_PRUNED", syncFacts)),
    };
    const none = { height: 0, blocks: () => [] };
    const told = async (others: Readonly<Record<string, FakePeer>>) => {
      const { follower, timers, pruned } = followSlow({ a: 1, b: 1, c: 1 }, others);
      follower.start();
      await timers.advance(8_000);
      await follower.stop();
      return pruned[0];
    };
    expect(await told({ a: none, b: none, c: none })).toBeUndefined();
    expect(await told({ a: gone, b: none, c: none })).toEqual({ peers: 1, tip: 0 });
    expect(await told({ a: gone, b: gone, c: none })).toEqual({ peers: 2, tip: 0 });
    expect(await told({ a: gone })).toEqual({ peers: 1, tip: 20 });
  });

  it("forgets who pruned a block that came meanwhile, and who is gone", async () => {
    const heightMs: Record<string, number> = { a: 1, b: 1 };
    const gone = {
      height: 900,
      blocks: () => Promise.reject(new LedgerError("P2P_SYNC_PRUNED", syncFacts)),
    };
    const { follower, timers, sink } = followSlow(heightMs, { a: gone, b: gone });
    follower.start();
    await timers.advance(500);
    expect(follower.prunedPeers).toBe(2);
    delete heightMs.b;
    expect(follower.prunedPeers).toBe(1);
    const { block, certificate } = decodeDecided(decided(1));
    await follower.append(block, certificate);
    expect(sink.tip.height).toBe(1);
    expect(follower.prunedPeers).toBe(0);
    await follower.stop();
  });

  it("counts those who take longer than others in the next look", async () => {
    const { follower, timers, rounds } = followSlow({ quick: 20, slow: 800, slower: 900 });
    follower.start();
    await timers.advance(3_000);
    await follower.stop();
    expect(rounds[0]).toEqual({ atMs: 320, peers: ["quick"] });
    // A lost signing record is made good for by a quorum in one look.
    expect(rounds.some(({ peers }) => peers.length === 3)).toBe(true);
  });

  it("(2) does not ask a peer for blocks that was passed over while it told its height", async () => {
    const { follower, timers, sink, requests } = followSlow(
      { quick: 20, liar: 400 },
      { liar: { height: 900, blocks: () => [] } },
    );
    follower.start();
    await timers.advance(12_000);
    await follower.stop();
    expect(sink.tip.height).toBe(20);
    // At most one each 5 s.
    expect(requests.filter((peer) => peer === "liar").length).toBeLessThanOrEqual(3);
  });

  it("does not count a peer as exhausted that has more and could not be asked", async () => {
    const unreachable = () => Promise.reject(new LedgerError("P2P_PEER_UNREACHABLE", { peer: "" }));
    const { follower, exhausted } = follow({
      away: { height: 100, blocks: unreachable },
      liar: { height: 90, blocks: () => [] },
      level: honest(0),
    });
    follower.start();
    const deadline = Date.now() + 5_000;
    while (exhausted.length === 0 && Date.now() < deadline)
      await new Promise((resolve) => setImmediate(resolve));
    await follower.stop();
    // The rule for a lost record rests on it: only who has shown all it has may be counted.
    expect(exhausted[0]).toEqual(["liar", "level"]);
  });

  it("does not call itself behind for what a proven liar claims", async () => {
    const { follower, exhausted } = follow({ liar: { height: 900, blocks: () => [] } }, -1, 6_000);
    follower.start();
    const deadline = Date.now() + 5_000;
    while (exhausted.length < 1 && Date.now() < deadline)
      await new Promise((resolve) => setImmediate(resolve));
    while (exhausted.length < 2 && Date.now() < deadline) {
      follower.poke();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(follower.status.catchingUp).toBe(false);
    await follower.stop();
  });

  it("leaves its peers in peace after a fault of its own", async () => {
    const { follower, asked, faults } = follow({ a: honest(9) }, 1);
    follower.start();
    const deadline = Date.now() + 5_000;
    while (faults.length === 0 && Date.now() < deadline)
      await new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 20; turn += 1) {
      follower.poke();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await follower.stop();
    expect(asked).toEqual(["a"]);
  });

  it("(1) appends one after the other when consensus and a peer bring the same block", async () => {
    const { follower, sink, appended } = follow({});
    const block = blockOf(header(1), []);
    const certificate = { height: 1, round: 0, blockHash: block.hash, signatures: [] };
    await Promise.all([follower.append(block, certificate), follower.append(block, certificate)]);
    expect(appended).toEqual([1]);
    expect(sink.tip.height).toBe(1);
    await follower.stop();
  });
});

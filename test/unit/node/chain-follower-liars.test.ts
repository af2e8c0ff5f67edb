/**
 * What a lying peer costs, over a minute of virtual time, with the ledger's own answers to blocks
 * that do not fit: named failure 10 (cometbft CVE-2025-24371), the half that is in the shell.
 */
import { describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { type Block, blockOf, encodeBlock } from "../../../src/base/format/block.ts";
import { encodeCertificate } from "../../../src/base/format/message.ts";
import type { Log } from "../../../src/base/log.ts";
import { ChainFollower, encodeDecided } from "../../../src/node/chain-follower.ts";
import { blockAt } from "./driver-fixture.ts";
import { VirtualTimers } from "./virtual-timers.ts";

const penaltyMs = 5_000;
/** Far more than are right: a follower that asks without end must come to one. */
const requestsMax = 200;

const decided = (height: number) => {
  const block = blockOf(blockAt(height, "22".repeat(32)).header, []);
  const certificate = { height, round: 0, blockHash: block.hash, signatures: [] };
  return encodeDecided(encodeBlock(block), encodeCertificate(certificate));
};

/** Late: empty, after longer than the follower waits. */
type Answer = readonly Uint8Array[] | LedgerError | "late" | "never" | Promise<Uint8Array[]>;
type Peer = { readonly height: number; answer(from: number): Answer };

/** A node at height 5, whose ledger refuses what it cannot append as the real one does. */
function follow(peers: Readonly<Record<string, Peer>>) {
  const timers = new VirtualTimers();
  const clock = { nowMs: () => timers.nowMs() };
  const appended: number[] = [];
  const requests: { readonly peer: string; readonly atMs: number }[] = [];
  const statusRequests: string[] = [];
  const warnings: string[] = [];
  const faults: string[] = [];
  const sink = {
    tip: { height: 5 },
    async append({ header: { height } }: Block) {
      if (height > sink.tip.height + 1)
        throw new LedgerError("BLOCK_INVALID", { height, reason: "the one before is missing" });
      if (height <= sink.tip.height) return;
      sink.tip = { height };
      appended.push(height);
    },
  };
  const source = {
    connectedPeers: () => Object.keys(peers),
    requestStatus: async (peer: string) => {
      statusRequests.push(peer);
      return { height: (peers[peer] as Peer).height };
    },
    requestBlocks: async (peer: string, from: number) => {
      requests.push({ peer, atMs: timers.nowMs() });
      const answer = requests.length > requestsMax ? "never" : (peers[peer] as Peer).answer(from);
      if (answer === "never") return new Promise<never>(() => {});
      if (answer === "late") await new Promise<void>((resolve) => timers.after(3_500, resolve));
      if (answer instanceof LedgerError) throw answer;
      return answer === "late" ? [] : answer;
    },
  };
  const warn = (facts: object) => warnings.push(JSON.stringify(facts));
  const follower = new ChainFollower({
    ...{ source, sink, timers, clock },
    log: { debug() {}, info() {}, warn, error: warn } as unknown as Log,
    onAppended() {},
    onFault: (reason) => faults.push(reason),
    members: () => ["self", ...Object.keys(peers)],
  });
  return { follower, timers, sink, appended, requests, statusRequests, warnings, faults };
}

const liars: Readonly<Record<string, Peer["answer"]>> = {
  "sends nothing": () => [],
  "sends an old block": () => [decided(1)],
  "sends the block of this node's tip again": (from) => [decided(from - 1)],
  "leaves a hole": (from) => [decided(from + 1)],
  "leaves a hole after a block that fits": (from) => [decided(from), decided(from + 2)],
  "sends a range whose end is cut off": (from) => [decided(from), decided(from + 1).slice(0, -1)],
  "sends one block twice": (from) => [decided(from), decided(from)],
  "sends bytes that are no block": () => [Uint8Array.of(1, 2, 3)],
  "sends nothing, and late": () => "late",
  "breaks off": () =>
    new LedgerError("P2P_SYNC_FAILED", { peer: "liar", request: "blocks", reason: "" }),
  "has pruned it": () =>
    new LedgerError("P2P_SYNC_PRUNED", { peer: "liar", request: "blocks", height: 800 }),
};

describe("a peer that claims 900 blocks", () => {
  it.each(Object.entries(liars))("(2) and %s costs one request in 5 s", async (_, answer) => {
    const { follower, timers, requests, statusRequests, faults } = follow({
      liar: { height: 900, answer },
    });
    follower.start();
    await timers.advance(60_000);
    const stopped = follower.stop();
    await timers.advance(5_000);
    await stopped;
    const times = requests.map(({ atMs }) => atMs);
    // It is asked again, or a lie of once would be held against it for ever.
    expect(times.length).toBeGreaterThan(5);
    for (const [index, atMs] of times.entries())
      if (index > 0) expect(atMs - (times[index - 1] as number)).toBeGreaterThanOrEqual(penaltyMs);
    expect(statusRequests.length).toBeLessThanOrEqual(times.length + 1);
    expect(faults).toEqual([]);
  });

  it.each(Object.entries(liars))(
    "and %s does not keep the others' blocks away",
    async (_, answer) => {
      const { follower, timers, sink, requests } = follow({
        liar: { height: 900, answer },
        honest: { height: 40, answer: (from) => [decided(from), decided(from + 1)] },
      });
      follower.start();
      await timers.advance(10_000);
      const stopped = follower.stop();
      await timers.advance(5_000);
      await stopped;
      expect(sink.tip.height).toBeGreaterThanOrEqual(40);
      expect(requests.filter(({ peer }) => peer === "liar").length).toBeLessThanOrEqual(3);
    },
  );

  it("and a lower height each time it is asked does not keep the others' blocks away", async () => {
    let told = 900;
    const lowering: Peer = {
      get height() {
        told = Math.max(0, told - 290);
        return told;
      },
      answer: (from) => (from <= told && from < 8 ? [decided(from)] : []),
    };
    const { follower, timers, sink } = follow({
      liar: lowering,
      honest: { height: 40, answer: (from) => [decided(from), decided(from + 1)] },
    });
    follower.start();
    await timers.advance(10_000);
    const stopped = follower.stop();
    await timers.advance(5_000);
    await stopped;
    expect(told).toBeLessThan(900);
    expect(sink.tip.height).toBeGreaterThanOrEqual(40);
  });

  it.each(["leaves a hole", "sends an old block"])(
    "and %s is found to lie, and nothing of it is appended",
    async (lie) => {
      const { follower, timers, appended, warnings } = follow({
        liar: { height: 900, answer: liars[lie] as Peer["answer"] },
      });
      follower.start();
      await timers.advance(1_000);
      await follower.stop();
      expect(warnings).toEqual([expect.stringMatching(/"peer":"liar".*SYNC_PEER_LIED/)]);
      expect(appended).toEqual([]);
    },
  );
});

it("(4) appends nothing that arrives after the stop", async () => {
  let send: (blocks: Uint8Array[]) => void = () => {};
  const answer = new Promise<Uint8Array[]>((resolve) => {
    send = resolve;
  });
  const { follower, timers, appended, requests } = follow({
    slow: { height: 9, answer: () => answer },
  });
  follower.start();
  await timers.advance(100);
  expect(requests).toHaveLength(1);
  await follower.stop();
  send([decided(6)]);
  await timers.advance(100);
  expect(appended).toEqual([]);
});

/**
 * Claims about members whose gossip keeps to the form and means harm: back-offs of any length,
 * topics without end, silence. Mutations seen to fail: back-off not capped, no bound on topics, a
 * flood told to nobody, consensus frames that rely on others to pass them on.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Multiaddr } from "@multiformats/multiaddr";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { concatBytes } from "../../../src/base/bytes.ts";
import { limits } from "../../../src/base/limits.ts";
import { Gate } from "../../../src/p2p/gate.ts";
import { createHost, type Host } from "../../../src/p2p/host.ts";
import { privateKeyOf } from "../../../src/p2p/identity.ts";
import { fullAddress, keyOf, seedOf, startNode, startRaw, stopAll, until } from "./helpers.ts";
import { graft, prune, RawGossip, subscription, topic } from "./raw-gossip.ts";

afterEach(stopAll);

/** The parts of gossipsub that its public type leaves out. */
type Inside = { getMeshPeers(topic: string): string[]; heartbeat(): Promise<void> };

describe("a host", () => {
  let host: Host;
  let floods = 0;
  beforeEach(async () => {
    floods = 0;
    host = await createHost({
      privateKey: await privateKeyOf(seedOf(0)),
      listen: ["/ip4/127.0.0.1/tcp/0"],
      gate: new Gate([await keyOf(1)]),
      topic,
      onTopicFlood: () => {
        floods += 1;
      },
    });
    await host.start();
    host.services.pubsub.subscribe(topic);
  });
  afterEach(async () => {
    vi.useRealTimers();
    await host.stop();
  });
  const address = () => host.getMultiaddrs()[0] as Multiaddr;
  const mesh = () => (host.services.pubsub as unknown as Inside).getMeshPeers(topic);

  /** Sends a message and waits until the host has handled it. */
  const heard = (peer: RawGossip, rpc: Uint8Array) => {
    const { pubsub } = host.services;
    const change = new Promise<void>((resolve) => {
      pubsub.addEventListener("subscription-change", function listener({ detail }) {
        if (!detail.subscriptions.some((each) => each.topic === topic)) return;
        pubsub.removeEventListener("subscription-change", listener);
        resolve();
      });
    });
    peer.send(rpc);
    peer.send(subscription(topic));
    return change;
  };
  const afterTheBound = () => {
    const nowMs = Date.now() + limits.gossipBackoffMsMax + 2_000;
    vi.useFakeTimers({ toFake: ["Date"], now: nowMs });
  };

  it.each<[string, bigint]>([
    ["the longest that the library reads", 2n ** 53n - 1n],
    ["one second over the bound", BigInt(limits.gossipBackoffMsMax / 1_000) + 1n],
    ["0 seconds", 0n],
  ])("has a peer in its mesh again within the bound after a back-off of %s", async (_, backoff) => {
    const peer = await RawGossip.connect(address());
    await until(() => mesh().length === 1, "the peer is in the mesh");
    peer.send(prune(backoff));
    await until(() => mesh().length === 0, "it left the mesh");
    const before = peer.bytesReceived;
    await host.services.pubsub.publish(topic, new Uint8Array(1_000));
    await until(() => peer.bytesReceived >= before + 1_000, "it gets what is published meanwhile");
    afterTheBound();
    peer.send(graft);
    await until(() => mesh().length === 1, "it may come back", 3_000);
  });

  it.each<[string, bigint]>([
    ["2^64 - 1 seconds, or -1", 2n ** 64n - 1n],
    ["2^63 seconds, or the least negative number", 2n ** 63n],
    ["2^53 seconds", 2n ** 53n],
    ["the bits of a NaN", 0x7ff8_0000_0000_0000n],
    ["the bits of infinity", 0x7ff0_0000_0000_0000n],
    ["more bits than there are", 2n ** 70n],
  ])("drops a message with a back-off of %s", async (_, backoff) => {
    const peer = await RawGossip.connect(address());
    await until(() => mesh().length === 1, "the peer is in the mesh");
    await heard(peer, prune(backoff));
    expect(mesh()).toHaveLength(1);
    await heard(peer, prune(1n));
    expect(mesh()).toHaveLength(0);
  });

  it("takes a peer into the mesh by itself when the longest back-off is over", async () => {
    const peer = await RawGossip.connect(address());
    await until(() => mesh().length === 1, "the peer is in the mesh");
    await heard(peer, prune(2n ** 53n - 1n));
    expect(mesh()).toEqual([]);
    afterTheBound();
    // Back-offs are looked through at every fifteenth heartbeat only.
    for (let beat = 0; beat < 15; beat += 1) {
      await (host.services.pubsub as unknown as Inside).heartbeat();
    }
    expect(mesh()).toEqual([`${peer.raw.peerId}`]);
  });

  it("keeps nothing of 100,000 topics of one peer, and tells of them", async () => {
    const { pubsub } = host.services;
    const peer = await RawGossip.connect(address());
    const nameOf = (index: number) => `loopledger/${"0".repeat(200)}/${index}`;
    const batchSize = limits.gossipRpcPartsMax;
    const send = async (from: number, to: number) => {
      for (let start = from; start < to; start += batchSize) {
        const count = Math.min(batchSize, to - start);
        const parts = Array.from({ length: count }, (_, index) => nameOf(start + index));
        await heard(peer, concatBytes(...parts.map(subscription)));
      }
    };
    // What the first few leave behind is code and buffers, not topics.
    await send(0, 5_000);
    const before = heldBytes();
    await send(5_000, 105_000);
    expect(heldBytes() - before).toBeLessThan(20_000_000);
    expect(pubsub.getSubscribers(topic)).toHaveLength(1);
    for (let index = 0; index < 105_000; index += 997) {
      expect(pubsub.getSubscribers(nameOf(index))).toEqual([]);
    }
    expect(floods).toBe(Math.floor(105_000 / (limits.gossipForeignTopicsMax + batchSize)));
  });
});

it("a member that announces topics without end is cut off for a while, and no other", async () => {
  const node = await startNode(0, []);
  const honest = await startNode(2, [node]);
  const peer = await RawGossip.connect(fullAddress(node));
  await until(() => node.network.connectedPeers().length === 2, "both are connected");
  const topics = (from: number, to: number) =>
    concatBytes(
      ...Array.from({ length: to - from }, (_, index) => subscription(`${from + index}`)),
    );
  for (let sent = 0; sent < limits.gossipForeignTopicsMax; sent += 256) {
    peer.send(topics(sent, sent + 256));
  }
  await peer.mark(node, 1);
  expect(node.network.metrics().peersSuspended).toBe(0);
  peer.send(topics(0, 1));
  await until(() => peer.raw.getConnections().length === 0, "the peer is cut off");
  const again = await startRaw(1);
  await again.dial(fullAddress(node)).catch(() => undefined);
  await until(() => node.network.metrics().connectionsRefused > 0, "it stays out");
  expect(node.network.metrics().peersSuspended).toBe(1);
  expect(node.network.connectedPeers()).toEqual([honest.key]);
});

/** Bytes that are in use after everything unused was collected. */
function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

it("a member in the mesh that forwards nothing keeps no block from the others for 2 s", async () => {
  const honest = [await startNode(0, [])];
  for (const index of [2, 3]) honest.push(await startNode(index, honest));
  const silent = await Promise.all(honest.map((node) => RawGossip.connect(fullAddress(node))));
  // One key, so one member: it has a connection to each, takes what comes, and says nothing more.
  await until(
    () => honest.every(({ network }) => network.connectedPeers().length === 3),
    "all are connected",
  );
  // Subscriptions travel after the connection stands.
  await until(() => {
    for (const [index, { network }] of honest.entries())
      network.publishTransactions([Buffer.alloc(200, 100 + index)]);
    return honest.every(({ recorder, network }) =>
      honest.every(
        (other, index) =>
          other.network === network ||
          recorder.transactions.some((each) => each[0] === 100 + index),
      ),
    );
  }, "subscriptions are known");
  for (let block = 1; block <= 12; block += 1) {
    const from = honest[block % 3] as (typeof honest)[0];
    const others = honest.filter((node) => node !== from);
    const bytes = Buffer.alloc(100_000, block);
    from.network.publishTransactions([Buffer.alloc(200, block)]);
    from.network.broadcast(bytes);
    const arrived = () =>
      others.every(
        ({ recorder }) =>
          recorder.messages.some((message) => bytes.equals(message.bytes)) &&
          recorder.transactions.some((each) => each[0] === block),
      );
    await until(arrived, `block ${block} and its transactions are everywhere`, 2_000);
  }
  expect(silent.every(({ raw }) => raw.getConnections().length > 0)).toBe(true);
});

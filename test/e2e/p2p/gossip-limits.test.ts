/**
 * Claims that the limits of gossip are applied and not only written down: an option under a wrong
 * name is ignored in silence (js-libp2p #3520). A raw member speaks the protocol by hand.
 * Mutations seen to fail: misspell one of the limits (all nine), `allowedTopics` or
 * `maxInboundDataLength` in host.ts, give invalid frames no weight, accept a frame with a reject.
 */
import type { Libp2p, Stream } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";
import { afterEach, describe, expect, it } from "vitest";
import { concatBytes, utf8 } from "../../../src/base/bytes.ts";
import { limits } from "../../../src/base/limits.ts";
import { Gate } from "../../../src/p2p/gate.ts";
import { createHost } from "../../../src/p2p/host.ts";
import { privateKeyOf } from "../../../src/p2p/identity.ts";
import { encodeGossipFrame } from "../../../src/p2p/transactions.ts";
import {
  chainId,
  fullAddress,
  keyOf,
  type Node,
  seedOf,
  startNode,
  startNodes,
  startRaw,
  stopAll,
  until,
} from "./helpers.ts";

afterEach(stopAll);

const protocol = "/meshsub/1.2.0";
const topic = `loopledger/${chainId}/transactions`;

// --- protobuf by hand: every field here is length-delimited (wire type 2) or a small varint ---
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}
const field = (tag: number, bytes: Uint8Array) =>
  concatBytes(varint(tag * 8 + 2), varint(bytes.length), bytes);
const subscription = (name: string) =>
  field(1, concatBytes(Uint8Array.of(8, 1), field(2, utf8(name))));
const message = (data: Uint8Array, name = topic) =>
  field(2, concatBytes(field(2, data), field(4, utf8(name))));
const control = (parts: Uint8Array) => field(3, parts);
const graft = control(field(3, field(1, utf8(topic))));
let nextId = 1_000_000;
/** Message ids, each another one, as a repeated field. */
const named = (tag: number, count: number) =>
  concatBytes(
    ...Array.from({ length: count }, () => {
      nextId += 1;
      return field(tag, concatBytes(utf8("id"), varint(nextId)));
    }),
  );
const ids = (count: number) => named(2, count);
const repeated = (count: number, part: Uint8Array) =>
  concatBytes(...Array.from({ length: count }, () => part));
const onTopic = field(1, utf8(topic));
const peers = (count: number) => repeated(count, field(2, field(1, utf8("peer"))));
const ihave = (count: number) => control(field(1, concatBytes(field(1, utf8(topic)), ids(count))));

/** A member that speaks gossip by hand. */
class RawGossip {
  readonly raw: Libp2p;
  readonly stream: Stream;
  /** Bytes of gossip that the node sent. */
  bytesReceived = 0;

  constructor(raw: Libp2p, stream: Stream) {
    this.raw = raw;
    this.stream = stream;
  }

  static async connect(target: Multiaddr): Promise<RawGossip> {
    const raw = await startRaw(1);
    let bytes = 0;
    await raw.handle(protocol, (stream) => {
      stream.addEventListener("message", (event) => {
        bytes += event.data.byteLength;
      });
    });
    await raw.dial(target);
    const self = new RawGossip(raw, await raw.dialProtocol(target, protocol));
    Object.defineProperty(self, "bytesReceived", { get: () => bytes });
    self.send(subscription(topic));
    await until(() => bytes > 0, "the node sent its subscription");
    self.send(graft);
    return self;
  }

  send(rpc: Uint8Array): void {
    this.stream.send(concatBytes(varint(rpc.length), rpc));
  }

  /** Publishes a transaction and waits until the node has heard it, and so all that went before. */
  async mark(node: Node, mark: number): Promise<void> {
    const marker = Buffer.from([200, mark]);
    this.send(message(encodeGossipFrame([marker])));
    const heard = () => node.recorder.transactions.some((each) => marker.equals(each));
    await until(heard, "the marker arrived");
  }
}

describe("gossip", () => {
  it("asks for as many announced ids as the limit, and drops a message with one more", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(fullAddress(node));
    peer.send(ihave(limits.gossipMessageIdsMax + 1));
    peer.send(ihave(1));
    const before = peer.bytesReceived;
    await until(() => peer.bytesReceived > before, "the node asked for the single id");
    await peer.mark(node, 1);
    expect(peer.bytesReceived - before).toBeLessThan(200);
    peer.send(ihave(limits.gossipMessageIdsMax));
    const all = before + limits.gossipMessageIdsMax * 5;
    await until(() => peer.bytesReceived > all, "the node asked for all ids of the other");
  });

  it("drops a message with more parts than the limit, and hears one with as many", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(fullAddress(node));
    const frames = (count: number, base: number) =>
      concatBytes(
        ...Array.from({ length: count }, (_, index) =>
          message(encodeGossipFrame([Uint8Array.of(base, index >> 8, index & 255)])),
        ),
      );
    peer.send(frames(limits.gossipRpcPartsMax, 1));
    peer.send(frames(limits.gossipRpcPartsMax + 1, 2));
    await peer.mark(node, 1);
    const heard = (base: number) =>
      node.recorder.transactions.filter((each) => each[0] === base && each.length === 3).length;
    expect([heard(1), heard(2)]).toEqual([limits.gossipRpcPartsMax, 0]);
  });

  it.each<[string, number, (count: number) => Uint8Array]>([
    ["wanted ids", limits.gossipMessageIdsMax, (count) => control(field(2, named(1, count)))],
    ["unwanted ids", limits.gossipMessageIdsMax, (count) => control(field(5, named(1, count)))],
    ["grafts", limits.gossipRpcPartsMax, (count) => control(repeated(count, field(3, onTopic)))],
    ["prunes", limits.gossipRpcPartsMax, (count) => control(repeated(count, field(4, onTopic)))],
    ["subscriptions", limits.gossipRpcPartsMax, (count) => repeated(count, subscription("x"))],
    ["peers to try", 0, (count) => control(field(4, concatBytes(onTopic, peers(count))))],
  ])("drops a message with one too many %s, and hears one with as many", async (_, max, part) => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(fullAddress(node));
    const beside = (mark: number) => message(encodeGossipFrame([Uint8Array.of(7, mark)]));
    peer.send(concatBytes(part(max), beside(1)));
    peer.send(concatBytes(part(max + 1), beside(2)));
    await peer.mark(node, 1);
    const heard = node.recorder.transactions.filter((each) => each[0] === 7);
    expect(heard.map((each) => each[1])).toEqual([1]);
  });

  it("knows one topic only, whatever a peer subscribes to", async () => {
    const host = await createHost({
      privateKey: await privateKeyOf(seedOf(0)),
      listen: ["/ip4/127.0.0.1/tcp/0"],
      gate: new Gate([await keyOf(1)]),
      topic,
    });
    await host.start();
    try {
      const { pubsub } = host.services;
      pubsub.subscribe(topic);
      const peer = await RawGossip.connect(host.getMultiaddrs()[0] as Multiaddr);
      const names = Array.from({ length: 10_000 }, (_, index) => `topic ${index}`);
      for (let start = 0; start < names.length; start += 250) {
        peer.send(concatBytes(...names.slice(start, start + 250).map(subscription)));
      }
      const change = new Promise((resolve) => {
        pubsub.addEventListener("subscription-change", (event) => {
          if (event.detail.subscriptions.some((each) => each.topic === topic)) resolve(true);
        });
      });
      peer.send(subscription(topic));
      await change;
      expect(pubsub.getSubscribers(topic)).toHaveLength(1);
      expect(names.filter((name) => pubsub.getSubscribers(name).length > 0)).toEqual([]);
    } finally {
      await host.stop();
    }
  });

  it("hears nothing that is published on another topic", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(fullAddress(node));
    peer.send(message(encodeGossipFrame([Uint8Array.of(5)]), "other"));
    await peer.mark(node, 1);
    expect(node.recorder.transactions.map((each) => [...each])).toEqual([[200, 1]]);
  });

  it("closes and remakes a connection whose gossip died of a message over the limit", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(fullAddress(node));
    peer.send(new Uint8Array(limits.gossipRpcBytesMax + 1));
    await until(() => peer.raw.getConnections().length === 0, "the connection is closed", 15_000);
    expect(node.network.metrics().gossipRepairs).toBe(1);
  });

  it("stops hearing a peer that goes on sending transactions to reject", async () => {
    const node = await startNode(0, []);
    node.recorder.verdict = "reject";
    const peer = await RawGossip.connect(fullAddress(node));
    let sent = 0;
    await until(() => {
      sent += 1;
      peer.send(message(encodeGossipFrame([Uint8Array.of(1, sent & 255, sent >> 8)])));
      return sent - node.recorder.transactions.length >= 50;
    }, "the node has not heard the last fifty");
    expect(node.network.metrics().gossipFramesRejected).toBeGreaterThanOrEqual(3);
  });

  it("rejects a malformed frame without a word to the handler", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(fullAddress(node));
    peer.send(message(Uint8Array.of(0, 1, 2)));
    await peer.mark(node, 1);
    expect(node.recorder.transactions).toHaveLength(1);
    expect(node.network.metrics().gossipFramesRejected).toBe(1);
  });

  it("passes on what is accepted, and not what is rejected or ignored", async () => {
    // A line 0 - 1 - 2: what 2 hears of 0 went through 1.
    const [first, middle] = (await startNodes(2)) as [Node, Node];
    const last = await startNode(2, [middle]);
    const heard = (node: Node, mark: number) =>
      node.recorder.transactions.some((each) => each[0] === mark);
    const publish = (mark: number) => first.network.publishTransactions([Uint8Array.of(mark)]);
    await until(() => {
      publish(1);
      return heard(last, 1);
    }, "the line passes on what is accepted");
    middle.recorder.verdict = "ignore";
    publish(2);
    await until(() => heard(middle, 2), "the middle heard what it ignores");
    middle.recorder.verdict = "reject";
    publish(3);
    await until(() => heard(middle, 3), "the middle heard what it rejects");
    middle.recorder.verdict = "accept";
    publish(4);
    await until(() => heard(last, 4), "the line passes on again");
    expect([heard(last, 2), heard(last, 3)]).toEqual([false, false]);
  });
});

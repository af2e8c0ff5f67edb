/**
 * Claims that the limits of gossip are applied and not only written down: an option under a wrong
 * name is ignored in silence (js-libp2p #3520). A raw member speaks the protocol by hand. Mutation:
 * misspell any option of `gossipOptions` in host.ts and the test of that limit fails.
 */
import type { Libp2p, Stream } from "@libp2p/interface";
import { afterEach, describe, expect, it } from "vitest";
import { concatBytes, utf8 } from "../../../src/base/bytes.ts";
import { limits } from "../../../src/base/limits.ts";
import { encodeGossipFrame } from "../../../src/p2p/transactions.ts";
import {
  chainId,
  fullAddress,
  type Node,
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
const ids = (count: number) =>
  concatBytes(
    ...Array.from({ length: count }, (_, index) =>
      field(2, concatBytes(utf8("id"), varint(index + 1e6))),
    ),
  );
const ihave = (count: number) => control(field(1, concatBytes(field(1, utf8(topic)), ids(count))));

/** A member that speaks gossip by hand. */
class RawGossip {
  readonly raw: Libp2p;
  readonly stream: Stream;
  /** Bytes the node sent, RPC by RPC. */
  bytesReceived = 0;

  constructor(raw: Libp2p, stream: Stream) {
    this.raw = raw;
    this.stream = stream;
  }

  static async connect(node: Node): Promise<RawGossip> {
    const raw = await startRaw(1);
    let self: RawGossip | undefined;
    let early = 0;
    await raw.handle(protocol, (stream) => {
      stream.addEventListener("message", (event) => {
        if (self === undefined) early += event.data.byteLength;
        else self.bytesReceived += event.data.byteLength;
      });
    });
    await raw.dial(fullAddress(node));
    self = new RawGossip(raw, await raw.dialProtocol(fullAddress(node), protocol));
    self.bytesReceived += early;
    self.send(subscription(topic));
    await until(() => (self?.bytesReceived ?? 0) > 0, "the node sent its subscription");
    self.send(graft);
    return self;
  }

  send(rpc: Uint8Array): void {
    this.stream.send(concatBytes(varint(rpc.length), rpc));
  }

  /** Sends and tells how many bytes came back before a marker message was handled. */
  async answerBytes(node: Node, rpc: Uint8Array, mark: number): Promise<number> {
    const before = this.bytesReceived;
    this.send(rpc);
    const marker = Uint8Array.of(200, mark);
    this.send(message(encodeGossipFrame([marker])));
    const seen = () => node.recorder.transactions.some((each) => Buffer.from(marker).equals(each));
    await until(seen, "the marker arrived");
    await new Promise((resolve) => setTimeout(resolve, 50));
    return this.bytesReceived - before;
  }
}

/** Gossipsub's own view of a node, which no public method of ours shows. */
function pubsubOf(node: Node): { topics: Map<string, unknown>; mesh: Map<string, Set<string>> } {
  const host = Reflect.get(node.network, "hostForTests") as
    | { services: { pubsub: object } }
    | undefined;
  return host?.services.pubsub as never;
}

describe("gossip", () => {
  it("asks for as many announced ids as the limit, and drops a message with one more", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(node);
    const most = await peer.answerBytes(node, ihave(limits.gossipMessageIdsMax), 1);
    expect(most).toBeGreaterThan(limits.gossipMessageIdsMax * 5);
    const over = await peer.answerBytes(node, ihave(limits.gossipMessageIdsMax + 1), 2);
    expect(over).toBeLessThan(200);
  });

  it("drops a message with more parts than the limit, and hears one with as many", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(node);
    const frames = (count: number, base: number) =>
      concatBytes(
        ...Array.from({ length: count }, (_, index) =>
          message(encodeGossipFrame([Uint8Array.of(base, index >> 8, index & 255)])),
        ),
      );
    await peer.answerBytes(node, frames(limits.gossipRpcPartsMax, 1), 1);
    await peer.answerBytes(node, frames(limits.gossipRpcPartsMax + 1, 2), 2);
    const heard = (base: number) =>
      node.recorder.transactions.filter((each) => each[0] === base && each.length === 3).length;
    expect([heard(1), heard(2)]).toEqual([limits.gossipRpcPartsMax, 0]);
  });

  it("knows one topic only, whatever a peer subscribes to or publishes", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(node);
    for (let round = 0; round < 40; round += 1) {
      const many = Array.from({ length: 250 }, (_, index) => subscription(`t${round}/${index}`));
      peer.send(concatBytes(...many));
    }
    const foreign = message(encodeGossipFrame([Uint8Array.of(5)]), "other");
    await peer.answerBytes(node, foreign, 1);
    expect(node.recorder.transactions.map((each) => [...each])).toEqual([[200, 1]]);
    expect([...pubsubOf(node).topics.keys()]).toEqual([topic]);
  });

  it("closes and remakes a connection whose gossip died of a message over the limit", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(node);
    peer.send(new Uint8Array(limits.gossipRpcBytesMax + 1));
    await until(() => peer.raw.getConnections().length === 0, "the connection is closed");
    expect(node.network.metrics().gossipRepairs).toBe(1);
  }, 15_000);

  it("stops hearing a peer that goes on sending transactions to reject", async () => {
    const node = await startNode(0, []);
    node.recorder.verdict = "reject";
    const peer = await RawGossip.connect(node);
    let sent = 0;
    const send = () => {
      sent += 1;
      peer.send(message(encodeGossipFrame([Uint8Array.of(1, sent & 255, sent >> 8)])));
    };
    // A short burst is heard before the score is looked at again, hence the count of 128.
    for (let index = 0; index < 200; index += 1) send();
    await until(() => node.network.metrics().gossipFramesRejected >= 3, "frames were rejected");
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const heard = node.recorder.transactions.length;
    for (let index = 0; index < 20; index += 1) send();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(node.recorder.transactions.length).toBe(heard);
    expect(heard).toBeLessThan(200);
  });

  it("rejects a malformed frame without a word to the handler", async () => {
    const node = await startNode(0, []);
    const peer = await RawGossip.connect(node);
    await peer.answerBytes(node, message(Uint8Array.of(0, 1, 2)), 1);
    expect(node.recorder.transactions).toHaveLength(1);
    expect(node.network.metrics().gossipFramesRejected).toBe(1);
  });

  it("does not pass on what is rejected or ignored", async () => {
    // A line 0 - 1 - 2: what 2 hears of 0 went through 1.
    const nodes = await startNodes(2);
    const [first, middle] = nodes as [Node, Node];
    const last = await startNode(2, [middle]);
    await until(() => {
      first.network.publishTransactions([Uint8Array.of(1)]);
      return last.recorder.transactions.length > 0;
    }, "the line passes on what is accepted");
    for (const verdict of ["ignore", "reject"] as const) {
      middle.recorder.verdict = verdict;
      const seen = middle.recorder.transactions.length;
      await new Promise((resolve) => setTimeout(resolve, 100));
      last.recorder.transactions.length = 0;
      first.network.publishTransactions([Uint8Array.of(2)]);
      await until(() => middle.recorder.transactions.length > seen, "the middle heard it");
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(last.recorder.transactions).toEqual([]);
    }
  });
});

/**
 * Claims that the limits of gossip are applied and not only written down: an option under a wrong
 * name is ignored in silence (js-libp2p #3520). A raw member speaks the protocol by hand.
 * Mutations seen to fail: misspell one of the limits (all nine) or
 * `maxInboundDataLength` in host.ts, give invalid frames no weight, accept a frame with a reject.
 */
import { afterEach, describe, expect, it } from "vitest";
import { concatBytes } from "../../../src/base/bytes.ts";
import { limits } from "../../../src/base/limits.ts";
import { encodeGossipFrame } from "../../../src/p2p/transactions.ts";
import { fullAddress, type Node, startNode, startNodes, stopAll, until } from "./helpers.ts";
import {
  control,
  field,
  ihave,
  message,
  named,
  onTopic,
  peers,
  RawGossip,
  repeated,
  subscription,
} from "./raw-gossip.ts";

afterEach(stopAll);

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

/**
 * Claims about members that break the rules on direct streams and sync: they are disconnected or
 * refused, memory stays bounded, honest traffic goes on. Mutations seen to fail: no `onAbuse` call
 * (oversize), no drop in `#enqueue` (slow reader), no `#takeToken` (sync flood).
 */
import type { Stream } from "@libp2p/interface";
import { afterEach, expect, it } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import { encodeFrame, FrameReader } from "../../../src/p2p/frame.ts";
import { encodeSyncRequest } from "../../../src/p2p/sync-format.ts";
import {
  chainId,
  fullAddress,
  startNode,
  startNodes,
  startRaw,
  stopAll,
  until,
} from "./helpers.ts";

afterEach(stopAll);

const consensus = `/loopledger/${chainId}/consensus/0`;
const sync = `/loopledger/${chainId}/sync/0`;

function lengthOf(bytes: number): Uint8Array {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, bytes);
  return head;
}

/** Reads one frame of a stream. */
function frameOf(stream: Stream): Promise<Uint8Array> {
  const reader = new FrameReader("test", limits.syncBytesMax * 2);
  return new Promise((resolve, reject) => {
    stream.addEventListener("close", () => reject(new Error("closed")));
    stream.addEventListener("message", (event) => {
      const frame = reader.read(event.data.subarray())[0];
      if (frame !== undefined) resolve(frame);
    });
  });
}

it.each([
  ["one byte over the limit", lengthOf(limits.consensusFrameBytesMax + 1)],
  ["of 4 GiB", lengthOf(2 ** 32 - 1)],
  ["of no bytes", lengthOf(0)],
])("a consensus frame %s disconnects its sender for a while", async (_name, bytes) => {
  const node = await startNode(0, []);
  const raw = await startRaw(1, node);
  const stream = await raw.dialProtocol(fullAddress(node), consensus);
  stream.send(encodeFrame(Uint8Array.of(7)));
  await until(() => node.recorder.messages.length === 1, "the good frame arrived");
  stream.send(bytes);
  await until(() => node.network.connectedPeers().length === 0, "the peer is gone");
  await raw.dial(fullAddress(node)).catch(() => undefined);
  await until(() => node.network.metrics().connectionsRefused > 0, "it stays out");
  expect(node.network.metrics().peersSuspended).toBe(1);
  expect(node.recorder.messages).toHaveLength(1);
});

it("a peer that does not read costs a bounded queue and gets the newest later", async () => {
  const node = await startNode(0, []);
  const raw = await startRaw(1);
  const reader = new FrameReader("test", limits.consensusFrameBytesMax);
  const received: number[] = [];
  let inbound: Stream | undefined;
  await raw.handle(consensus, (stream) => {
    inbound = stream;
    stream.addEventListener("message", (event) => {
      for (const frame of reader.read(event.data.subarray())) received.push(frame[0] as number);
    });
    stream.pause();
  });
  await raw.dial(fullAddress(node));
  await until(() => inbound !== undefined, "the node opened its stream");
  for (let index = 0; index < 60; index += 1) {
    node.network.broadcast(new Uint8Array(1 << 20).fill(index));
  }
  const held = node.network.metrics();
  expect(held.consensusQueueBytes).toBeLessThanOrEqual(limits.consensusQueueBytesMax);
  expect(held.consensusFramesDropped).toBeGreaterThan(20);
  inbound?.resume();
  await until(() => received.at(-1) === 59, "the newest arrived");
  expect(received).toEqual([...received].sort((left, right) => left - right));
  expect(received.length + held.consensusFramesDropped).toBe(60);
});

it("a broken stream is opened again on the same connection", async () => {
  const nodes = await startNodes(2);
  const raw = await startRaw(2);
  const received: number[] = [];
  const inbound: Stream[] = [];
  await raw.handle(consensus, (stream) => {
    inbound.push(stream);
    const reader = new FrameReader("test", 100);
    stream.addEventListener("message", (event) => {
      for (const frame of reader.read(event.data.subarray())) received.push(frame[0] as number);
    });
  });
  await raw.dial(fullAddress(nodes[0] as (typeof nodes)[0]));
  await until(() => inbound.length === 1, "the node opened its stream");
  inbound[0]?.abort(new Error("broken"));
  await until(() => inbound.length === 2, "the node opened another");
  nodes[0]?.network.broadcast(Uint8Array.of(5));
  await until(() => received.length === 1, "it carries messages");
  expect(raw.getConnections()).toHaveLength(1);
});

it("malformed sync requests and floods are refused, honest ones answered", async () => {
  const node = await startNode(0, []);
  const raw = await startRaw(1, node);
  const ask = async (bytes: Uint8Array): Promise<number> => {
    const stream = await raw.dialProtocol(fullAddress(node), sync);
    const answer = frameOf(stream);
    stream.send(bytes);
    const first = (await answer)[0] as number;
    await stream.close();
    return first;
  };
  const tooMany = encodeSyncRequest({
    kind: "blocks",
    from: 0,
    countMax: limits.syncBlocksMax + 1,
  });
  for (const bytes of [Uint8Array.of(9), tooMany, new Uint8Array(13)]) {
    expect(await ask(encodeFrame(bytes))).toBe(1);
  }
  expect(await ask(lengthOf(1_000_000))).toBe(1);
  const status = encodeFrame(encodeSyncRequest({ kind: "status" }));
  expect(await ask(status)).toBe(0);
  const atOnce = await Promise.all(
    Array.from({ length: 30 }, () => ask(status).catch(() => "reset" as const)),
  );
  expect(atOnce.some((answer) => answer !== 0)).toBe(true);
  const startMs = performance.now();
  let answered = 0;
  for (let count = 0; count < 60; count += 1) answered += (await ask(status)) === 0 ? 1 : 0;
  const seconds = (performance.now() - startMs) / 1_000;
  expect(answered).toBeLessThanOrEqual((1 + seconds) * limits.syncRequestsPerSecondMax + 1);
  const honest = await startNode(2, [node]);
  await until(() => honest.network.connectedPeers().length === 1, "another member is connected");
  expect(await honest.network.requestStatus(node.key)).toMatchObject({ height: 0 });
});

it("a sync answer that lies in its lengths or says too much ends as a failure", async () => {
  const node = await startNode(0, []);
  const raw = await startRaw(1);
  const answers = [
    encodeFrame(Uint8Array.of(0, 0, 0, 0, 9, 1)),
    encodeFrame(Uint8Array.of(0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 2)),
    lengthOf(2 ** 31),
    encodeFrame(Uint8Array.of(7)),
    Uint8Array.of(0, 0),
  ];
  await raw.handle(sync, (stream) => {
    stream.send(answers.shift() as Uint8Array);
    void stream.close();
  });
  await raw.dial(fullAddress(node));
  await until(() => node.network.connectedPeers().length === 1, "connected");
  const peer = node.network.connectedPeers()[0] as string;
  while (answers.length > 0) {
    await expect(node.network.requestBlocks(peer, 0, 1)).rejects.toMatchObject({
      code: "P2P_SYNC_FAILED",
    });
  }
});

it("a peer that does not tell its height is asked anew after seconds", async () => {
  const node = await startNode(0, []);
  const raw = await startRaw(1);
  await raw.handle(sync, () => {});
  await raw.dial(fullAddress(node));
  await until(() => node.network.connectedPeers().length === 1, "connected");
  const peer = node.network.connectedPeers()[0] as string;
  const startMs = performance.now();
  await expect(node.network.requestStatus(peer)).rejects.toMatchObject({ code: "P2P_SYNC_FAILED" });
  // Half of what a request for blocks may take.
  expect(performance.now() - startMs).toBeLessThan(limits.syncTimeoutMs / 2);
});

it("peers that ask for nothing or read nothing keep nobody else from being answered", async () => {
  const node = await startNode(0, []);
  node.recorder.blocks.push(new Uint8Array(4 * 1024 * 1024));
  const liars = [await startRaw(1, node), await startRaw(2, node)];
  const silent = liars.flatMap((raw) =>
    [0, 1, 2].map(() => raw.dialProtocol(fullAddress(node), sync)),
  );
  const streams = await Promise.all(silent);
  // Each also asks for blocks and never takes them.
  const blocks = encodeSyncRequest({ kind: "blocks", from: 0, countMax: limits.syncBlocksMax });
  for (const [index, stream] of streams.entries())
    if (index % 3 === 0) {
      stream.pause();
      stream.send(encodeFrame(blocks));
    }
  const honest = await startNode(3, [node]);
  await until(() => honest.network.connectedPeers().length === 1, "another member is connected");
  for (let count = 0; count < 3; count += 1) {
    expect(await honest.network.requestStatus(node.key)).toMatchObject({ height: 1 });
    expect(await honest.network.requestBlocks(node.key, 0, 1)).toHaveLength(1);
  }
});

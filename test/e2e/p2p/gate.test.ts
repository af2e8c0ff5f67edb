/**
 * Claims about who may be connected: strangers are refused before a muxer exists, half-open
 * handshakes take no place from members. Mutations seen to fail: false from
 * `denyInboundEncryptedConnection` (muxer), no limits on pending connections, surplus not closed.
 */
import { connect, type Socket } from "node:net";
import type { StreamMuxerFactory } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { afterEach, expect, it } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import { Gate } from "../../../src/p2p/gate.ts";
import { createHost } from "../../../src/p2p/host.ts";
import { privateKeyOf } from "../../../src/p2p/identity.ts";
import {
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

const pendingMax = limits.connectionsPendingMax;

it("an unknown peer is refused before a muxer exists, a member gets one", async () => {
  const gate = new Gate([await keyOf(1)]);
  let muxers = 0;
  const host = await createHost({
    privateKey: await privateKeyOf(seedOf(0)),
    listen: ["/ip4/127.0.0.1/tcp/0"],
    gate,
    topic: "topic",
    wrapMuxer: (factory: StreamMuxerFactory) => ({
      protocol: factory.protocol,
      createStreamMuxer: (connection) => {
        muxers += 1;
        return factory.createStreamMuxer(connection);
      },
    }),
  });
  await host.start();
  try {
    const opened: string[] = [];
    host.addEventListener("connection:open", (event) => opened.push(`${event.detail.remotePeer}`));
    const address = host.getMultiaddrs()[0] as ReturnType<typeof multiaddr>;
    const stranger = await startRaw(9);
    // The handshake tells the stranger its key was proven; then it finds the socket closed.
    await stranger.dial(address).catch(() => undefined);
    await until(() => gate.refusedCount === 1, "the stranger was refused");
    await until(() => stranger.getConnections().length === 0, "the stranger's socket is closed");
    expect({ muxers, opened }).toEqual({ muxers: 0, opened: [] });
    const member = await startRaw(1);
    await member.dial(address);
    await until(() => opened.length === 1, "the member is connected");
    expect({ muxers, opened }).toEqual({ muxers: 1, opened: [`${member.peerId}`] });
  } finally {
    await host.stop();
  }
});

it("an unknown peer is not dialed either", async () => {
  const outsider = await startNode(8, [], { allowedPeerKeys: [await keyOf(0), await keyOf(8)] });
  const node = await startNode(0, [{ key: outsider.key, address: outsider.address }]);
  const other = await startNode(1, [node]);
  await until(() => node.network.connectedPeers().length === 1, "members are connected");
  expect(node.network.connectedPeers()).toEqual([other.key]);
  expect(outsider.recorder.changes).toEqual([]);
});

it("a suspended peer is refused until its time is over", async () => {
  let nowMs = 0;
  const gate = new Gate(["a"], () => nowMs);
  gate.suspend("a", 100);
  gate.suspend("b", 100);
  expect([gate.allows("a"), gate.allows("b"), gate.allows(undefined)]).toEqual([
    false,
    false,
    false,
  ]);
  nowMs = 100;
  expect([gate.allows("a"), gate.allows("b")]).toEqual([true, false]);
});

/** A stranger that begins a noise handshake, and says nothing more once its turn has come. */
class HalfOpen {
  readonly #socket: Socket;
  isOpen = false;
  isCut = false;
  bytesReceived = 0;

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("connect", () => {
      this.isOpen = true;
      for (const name of ["/multistream/1.0.0", "/noise"]) {
        this.#socket.write(Buffer.from(`${String.fromCharCode(name.length + 1)}${name}\n`));
      }
      // The first message of the pattern XX is an ephemeral key.
      this.#socket.write(Buffer.concat([Buffer.from([0, 32]), Buffer.alloc(32, 9)]));
    });
    this.#socket.on("data", ({ length }) => {
      this.bytesReceived += length;
    });
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      this.isOpen = false;
      this.isCut = true;
    });
  }

  end(): void {
    this.#socket.destroy();
  }
}

it("1,000 half-open handshakes cost little, and known peers come and talk meanwhile", async () => {
  const [first, second] = (await startNodes(2)) as [Node, Node];
  const third = await startNode(2, []);
  const port = Number(/tcp\/(\d+)/.exec(first.address)?.[1]);
  const beforeBytes = process.memoryUsage().rss;
  const strangers = Array.from({ length: 1_000 }, () => new HalfOpen(port));
  try {
    const held = () => strangers.filter(({ isOpen }) => isOpen);
    // Well before the time-out of a handshake, which cuts the few.
    await until(
      () => strangers.every(({ isOpen, isCut }) => isOpen || isCut) && held().length <= pendingMax,
      "all but a few are cut",
      3_000,
    );
    await until(() => held().every((each) => each.bytesReceived > 96), "their turn has come");
    expect(process.memoryUsage().rss - beforeBytes).toBeLessThan(40 * 1024 * 1024);
    first.network.setPeers([{ peerKey: third.key, address: third.address }]);
    await until(() => first.network.connectedPeers().length === 2, "a known peer is connected");
    second.network.broadcast(Uint8Array.of(1));
    await until(() => first.recorder.messages.length === 1, "members talk");
    // All this was while strangers hung on.
    expect(held().length).toBeGreaterThan(0);
  } finally {
    for (const stranger of strangers) stranger.end();
  }
});

it("a member cannot pile up connections", async () => {
  const node = await startNode(0, []);
  const raw = await startRaw(1);
  const address = multiaddr(node.address);
  for (let count = 0; count < 5; count += 1) await raw.dial(address, { force: true });
  await until(
    () => node.network.metrics().connections === limits.peerConnectionsMax,
    "the oldest are closed",
  );
  expect(node.network.connectedPeers()).toEqual([await keyOf(1)]);
});

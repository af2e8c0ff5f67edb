/**
 * Claims about real nodes on loopback: transactions reach all, consensus bytes arrive intact and in
 * order, sync answers, connections heal by themselves. Mutations seen to fail: `queue.pop`
 * for `queue.shift`, pumping at once on "idle" (order), no `wake` of the dialer (restart), no
 * `withinBounds` (byte limit of sync).
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { isLedgerError } from "../../../src/base/errors.ts";
import { hashOf } from "../../../src/base/hash.ts";
import { limits } from "../../../src/base/limits.ts";
import { Network } from "../../../src/p2p/network.ts";
import { chainId, keyOf, Recorder, startNode, startNodes, stopAll, until } from "./helpers.ts";

afterEach(stopAll);

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Finds a port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (error) => (isLedgerError(error) ? error.code : `not a LedgerError: ${error}`),
  );
}

describe("transactions", () => {
  it("published on any of four nodes reach the other three, in frames of many", async () => {
    const nodes = await startNodes(4);
    await until(
      () => nodes.every(({ network }) => network.metrics().peersConnected === 3),
      "connected",
    );
    // Subscriptions travel after the connection stands: publish until the first one arrives.
    for (const node of nodes) {
      const others = nodes.filter((other) => other !== node);
      const probe = randomBytes(40);
      const arrived = () =>
        others.every(({ recorder }) => recorder.transactions.some((each) => probe.equals(each)));
      await until(() => {
        node.network.publishTransactions([probe]);
        return arrived();
      }, "subscriptions are known");
    }
    for (const { recorder } of nodes) recorder.transactions.length = 0;
    const before = nodes[0]?.network.metrics().gossipFramesSent as number;
    const sent = Array.from({ length: 1_000 }, () => randomBytes(200));
    nodes[0]?.network.publishTransactions(sent);
    const want = new Set(sent.map(digest));
    for (const { recorder } of nodes.slice(1)) {
      const all = () => {
        const got = new Set(recorder.transactions.map(digest));
        return [...want].every((each) => got.has(each));
      };
      await until(all, "all transactions arrived");
    }
    const frames = (nodes[0]?.network.metrics().gossipFramesSent as number) - before;
    expect(frames).toBeLessThanOrEqual(5);
  });

  it("of the greatest size pass", async () => {
    const [first, second] = await startNodes(2);
    const large = randomBytes(limits.transactionBytesMax);
    await until(() => {
      first?.network.publishTransactions([large]);
      return second?.recorder.transactions.some((each) => large.equals(each)) ?? false;
    }, "the transaction arrived");
    expect(second?.recorder.gossipSenders[0]).toBe(first?.key);
  });
});

describe("consensus messages", () => {
  it("of 4 MiB and of a few bytes arrive intact and in order at every peer", async () => {
    const nodes = await startNodes(3);
    const sender = nodes[0] as (typeof nodes)[0];
    const sizes = [1, 4 << 20, 300, 5 << 20, 7, 70_000, limits.consensusFrameBytesMax, 2];
    const sent = sizes.map((size) => randomBytes(size));
    for (const bytes of sent) sender.network.broadcast(bytes);
    for (const { recorder } of nodes.slice(1)) {
      await until(() => recorder.messages.length === sent.length, "all messages arrived");
      expect(recorder.messages.map(({ bytes }) => digest(bytes))).toEqual(sent.map(digest));
      expect(new Set(recorder.messages.map(({ from }) => from))).toEqual(new Set([sender.key]));
    }
    nodes[1]?.network.send(sender.key, Uint8Array.of(9));
    await until(() => sender.recorder.messages.length === 1, "the answer arrived");
    expect(nodes[2]?.recorder.messages).toHaveLength(sent.length);
  });

  it("to a peer that is away are dropped and counted, not kept", async () => {
    const node = await startNode(0, []);
    node.network.send(await keyOf(1), Uint8Array.of(1));
    expect(node.network.metrics()).toMatchObject({
      consensusFramesDropped: 1,
      consensusQueueBytes: 0,
    });
  });
});

describe("sync", () => {
  it("gives the status and blocks of 4 MiB, within the count", async () => {
    const [asking, giving] = await startNodes(2);
    const source = giving?.recorder as Recorder;
    source.blocks = [randomBytes(100), randomBytes(limits.blockBytesMax), randomBytes(50)];
    const peer = giving?.key as string;
    const status = await asking?.network.requestStatus(peer);
    const hash = hashOf(source.blocks[2] as Uint8Array);
    expect(status).toEqual({ height: 3, hash, clockMs: source.clockMs });
    const blocks = await asking?.network.requestBlocks(peer, 1, 10);
    expect(blocks?.map(digest)).toEqual(source.blocks.slice(1).map(digest));
    expect(await asking?.network.requestBlocks(peer, 0, 1)).toHaveLength(1);
    expect(await asking?.network.requestBlocks(peer, 9, 1)).toEqual([]);
  });

  it("gives fewer blocks when more would pass the byte limit", async () => {
    const [asking, giving] = await startNodes(2);
    (giving?.recorder as Recorder).blocks = Array.from({ length: 5 }, () =>
      randomBytes(limits.blockBytesMax),
    );
    const blocks = await asking?.network.requestBlocks(giving?.key as string, 0, 5);
    expect(blocks).toHaveLength(limits.syncBytesMax / limits.blockBytesMax);
  });

  it("ends with a code when the peer is away or its store fails", async () => {
    const [asking, giving] = await startNodes(2);
    const peer = giving?.key as string;
    expect(
      await codeOf((asking as { network: Network }).network.requestStatus(await keyOf(3))),
    ).toBe("P2P_PEER_UNREACHABLE");
    (giving?.recorder as Recorder).readBlocks = () => Promise.reject(new Error("disk"));
    expect(await codeOf((asking as { network: Network }).network.requestBlocks(peer, 0, 1))).toBe(
      "P2P_SYNC_FAILED",
    );
  });
});

describe("connections", () => {
  it("stand between four nodes that start at once and all dial each other", async () => {
    const ports = await Promise.all([0, 1, 2, 3].map(freePort));
    const peers = await Promise.all(
      ports.map(async (port, index) => ({
        key: await keyOf(index),
        address: `/ip4/127.0.0.1/tcp/${port}`,
      })),
    );
    const nodes = await Promise.all(
      peers.map(({ address }, index) => startNode(index, peers, { listen: [address] })),
    );
    await until(
      () => nodes.every(({ network }) => network.connectedPeers().length === 3),
      "all are connected",
    );
    await until(() => {
      for (const { network } of nodes) network.publishTransactions([Buffer.from(network.ownKey)]);
      return nodes.every(
        ({ recorder }) => new Set(recorder.transactions.map((each) => `${each}`)).size === 3,
      );
    }, "each heard the other three");
    for (const { network } of nodes) {
      expect(network.metrics().connections).toBeLessThanOrEqual(3 * limits.peerConnectionsMax);
    }
  });

  it("come back when a peer restarts, and consensus and gossip with them", async () => {
    const nodes = await startNodes(3);
    const [first, second, third] = nodes as [
      (typeof nodes)[0],
      (typeof nodes)[0],
      (typeof nodes)[0],
    ];
    await first.network.stop();
    await until(() => third.network.connectedPeers().length === 1, "the loss was seen");
    // It dials nobody: the others must find it at its old address.
    const again = await startNode(0, [], { listen: [first.address] });
    await until(() => again.network.connectedPeers().length === 2, "both came back", 5_000);
    await until(() => {
      second.network.broadcast(Uint8Array.of(1));
      return again.recorder.messages.length > 0;
    }, "consensus goes on");
    await until(() => {
      third.network.publishTransactions([randomBytes(10)]);
      return again.recorder.transactions.length > 0;
    }, "gossip goes on");
    expect(second.recorder.changes.filter((each) => each.endsWith(first.key))).toEqual([
      `+${first.key}`,
      `-${first.key}`,
      `+${first.key}`,
    ]);
  });

  it("with a member found at another member's address are refused", async () => {
    const target = await startNode(0, []);
    const deceived = await startNode(1, [{ key: await keyOf(2), address: target.address }]);
    await until(() => deceived.network.metrics().dialFailures > 0, "the dial failed");
    expect(deceived.network.connectedPeers()).toEqual([]);
    expect(target.network.connectedPeers()).toEqual([]);
  });

  it("end when the peer's key is no longer allowed, and come back when it is", async () => {
    const nodes = await startNodes(2);
    const [first, second] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
    first.network.setAllowedPeerKeys([first.key]);
    await until(() => first.network.connectedPeers().length === 0, "the peer is gone");
    await until(() => first.network.metrics().connectionsRefused > 0, "the peer is refused");
    expect(first.network.connectedPeers()).toEqual([]);
    first.network.setAllowedPeerKeys([first.key, second.key]);
    await until(() => first.network.connectedPeers().length === 1, "the peer is back");
  });

  it("between ledgers of another chain id carry nothing", async () => {
    const first = await startNode(0, []);
    const other = await startNode(1, [first], { chainId: "c2".repeat(32) });
    await until(() => other.network.connectedPeers().length === 1, "connected");
    other.network.publishTransactions([randomBytes(10)]);
    other.network.broadcast(Uint8Array.of(1));
    expect(await codeOf(other.network.requestStatus(first.key))).toBe("P2P_SYNC_FAILED");
    expect(first.recorder.messages).toEqual([]);
    expect(first.recorder.transactions).toEqual([]);
  });
});

describe("start", () => {
  const options = {
    chainId,
    peerSeed: new Uint8Array(32),
    listen: ["/ip4/127.0.0.1/tcp/0"],
    peers: [],
    allowedPeerKeys: [],
    handlers: new Recorder(),
    log: { debug() {}, info() {}, warn() {}, error() {} },
  };

  it("says what is wrong with an address, a key or a port", async () => {
    const key = await keyOf(1);
    const start = (changes: object) => codeOf(Network.start({ ...options, ...changes }));
    expect(await start({ listen: ["127.0.0.1:80"] })).toBe("P2P_ADDRESS_INVALID");
    expect(await start({ listen: ["/ip4/127.0.0.1/udp/80"] })).toBe("P2P_ADDRESS_INVALID");
    const peers = [
      {
        peerKey: key,
        address: `/ip4/127.0.0.1/tcp/1/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8`,
      },
    ];
    expect(await start({ peers })).toBe("P2P_ADDRESS_INVALID");
    expect(await start({ peers: [{ peerKey: "xy", address: "/ip4/127.0.0.1/tcp/1" }] })).toBe(
      "KEY_INVALID",
    );
    expect(await start({ peerSeed: new Uint8Array(31) })).toBe("KEY_INVALID");
    const node = await startNode(0, []);
    expect(await start({ listen: [node.address] })).toBe("P2P_LISTEN_FAILED");
  });
});

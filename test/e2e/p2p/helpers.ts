/** What the tests of p2p share: real networks on loopback, handlers that record, raw members. */
import "../../../src/p2p/polyfill.ts";
import { identify } from "@libp2p/identify";
import type { Libp2p } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { hashOf } from "../../../src/base/hash.ts";
import { silentLog } from "../../../src/base/log.ts";
import { peerIdOf, peerKeyOf, privateKeyOf } from "../../../src/p2p/identity.ts";
import { Network, type NetworkHandlers, type NetworkOptions } from "../../../src/p2p/network.ts";
import type { TransactionVerdict } from "../../../src/p2p/transactions.ts";

export const chainId = "c1".repeat(32);

export function seedOf(index: number): Uint8Array {
  return new Uint8Array(32).fill(index + 1);
}

export async function keyOf(index: number): Promise<string> {
  return peerKeyOf(await peerIdFromSeed(index)) as string;
}

async function peerIdFromSeed(index: number) {
  const { publicKey } = await privateKeyOf(seedOf(index));
  return peerIdOf(Buffer.from(publicKey.raw).toString("hex"));
}

/** Handlers that remember what they heard. */
export class Recorder implements NetworkHandlers {
  readonly transactions: Uint8Array[] = [];
  readonly gossipSenders: string[] = [];
  readonly messages: { from: string; bytes: Uint8Array }[] = [];
  readonly changes: string[] = [];
  verdict: TransactionVerdict = "accept";
  blocks: Uint8Array[] = [];
  clockMs = 1_700_000_000_000;

  readonly onTransactions = (from: string, transactions: readonly Uint8Array[]) => {
    this.transactions.push(...transactions);
    this.gossipSenders.push(from);
    return transactions.map(() => this.verdict);
  };

  onConsensusMessage(from: string, bytes: Uint8Array): void {
    this.messages.push({ from, bytes });
  }

  onPeerChange(peer: string, connected: boolean): void {
    this.changes.push(`${connected ? "+" : "-"}${peer}`);
  }

  status() {
    const hash = hashOf(this.blocks.at(-1) ?? new Uint8Array(0));
    return { height: this.blocks.length, hash, clockMs: this.clockMs };
  }

  async readBlocks(from: number, countMax: number): Promise<readonly Uint8Array[]> {
    return this.blocks.slice(from, from + countMax);
  }
}

export type Node = { network: Network; recorder: Recorder; key: string; address: string };

const running = new Set<{ stop(): unknown }>();

/** Stops all that the test started. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((each) => each.stop()));
  running.clear();
}

/** Starts the member of this index; it dials the given nodes. */
export async function startNode(
  index: number,
  peers: readonly { key: string; address: string }[],
  options: Partial<NetworkOptions> = {},
): Promise<Node> {
  const recorder = new Recorder();
  const allowedPeerKeys = await Promise.all([0, 1, 2, 3].map(keyOf));
  const network = await Network.start({
    chainId,
    peerSeed: seedOf(index),
    listen: ["/ip4/127.0.0.1/tcp/0"],
    peers: peers.map(({ key, address }) => ({ peerKey: key, address })),
    allowedPeerKeys,
    handlers: recorder,
    log: silentLog,
    ...options,
  });
  running.add(network);
  return { network, recorder, key: network.ownKey, address: network.listenAddresses[0] as string };
}

/** Starts nodes 0 to count - 1, each connected to each. */
export async function startNodes(count: number): Promise<Node[]> {
  const nodes: Node[] = [];
  for (let index = 0; index < count; index += 1) nodes.push(await startNode(index, nodes));
  await until(
    () => nodes.every(({ network }) => network.connectedPeers().length === count - 1),
    "all nodes are connected",
  );
  return nodes;
}

/** Starts a libp2p node with a member's key and none of our code on top, connected to a node. */
export async function startRaw(index: number, target?: Node): Promise<Libp2p> {
  const raw = await createLibp2p({
    privateKey: await privateKeyOf(seedOf(index)),
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    services: { identify: identify() },
  });
  running.add(raw);
  if (target !== undefined) await raw.dial(fullAddress(target));
  return raw;
}

export function fullAddress(node: Node) {
  return multiaddr(`${node.address}/p2p/${peerIdOf(node.key)}`);
}

/** Waits until the condition holds, and says what was waited for when it does not come. */
export async function until(
  condition: () => boolean,
  claim: string,
  timeoutMs = 8_000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`did not come within ${timeoutMs} ms: ${claim}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

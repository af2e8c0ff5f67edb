/**
 * The network as the composition root sees it: opaque bytes to and from members, named by their
 * peer keys. It fits the libp2p host, the gate, gossip, direct streams, sync and the dialer
 * together, and does not decode what the ledger or consensus mean.
 *
 * Invariants:
 *
 * (1) Handlers hear only of peers whose key was allowed when they connected.
 * (2) At most `peerConnectionsMax` connections stand with one peer; the oldest is closed first.
 * (3) A connection whose gossip died is closed and made anew after `gossipStrikesMax` heartbeats:
 *     gossipsub itself forgets the peer and leaves the connection open for good (lodestar #10079).
 *     One whose gossip never came up gets `gossipStartStrikesMax`: a busy machine is slow.
 */
import "./polyfill.ts";
import type { Connection, PeerId } from "@libp2p/interface";
import { assert } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { type Counters, zeroCounters } from "./counters.ts";
import { Dialer, type PeerAddress, parseAddress } from "./dial.ts";
import { Gate } from "./gate.ts";
import { createHost, type Host } from "./host.ts";
import { peerIdOf, peerKeyOf, privateKeyOf } from "./identity.ts";
import { ConsensusStreams } from "./streams.ts";
import { Sync } from "./sync.ts";
import type { SyncSource } from "./sync-answer.ts";
import type { SyncStatus } from "./sync-format.ts";
import { type OnTransactions, TransactionGossip } from "./transactions.ts";

/** What the network calls. Handlers must not throw on any bytes: they validate. */
export interface NetworkHandlers extends SyncSource {
  /** Judges gossiped transactions; accepted ones are passed on by the network. */
  readonly onTransactions: OnTransactions;
  onConsensusMessage(from: PublicKey, bytes: Uint8Array): void;
  /** A peer came or went. Its consensus stream opens by itself; `send` may be called at once. */
  onPeerChange?(peer: PublicKey, connected: boolean): void;
}

/** What a network is made of. */
export type NetworkOptions = {
  /** Part of every protocol name, so that two ledgers never talk to each other. */
  readonly chainId: Hash;
  /** The 32 bytes this member's peer key is made from. */
  readonly peerSeed: Uint8Array;
  /** Multiaddrs to listen on; port 0 picks one. */
  readonly listen: readonly string[];
  /** Peers to stay connected to. This node itself may be among them. */
  readonly peers: readonly PeerAddress[];
  /** Who may be connected at all. */
  readonly allowedPeerKeys: readonly PublicKey[];
  readonly handlers: NetworkHandlers;
  readonly log: Log;
};

/** What the network counts and holds at the moment. */
export type NetworkMetrics = Readonly<Counters> & {
  readonly peersConnected: number;
  readonly connections: number;
  readonly connectionsRefused: number;
  readonly consensusQueueBytes: number;
};

const gossipStrikesMax = 3;
const gossipStartStrikesMax = 15;

type Parts = {
  readonly host: Host;
  readonly gate: Gate;
  readonly counters: Counters;
  readonly ownKey: PublicKey;
};

/** This node's place among its peers. */
export class Network {
  readonly #options: NetworkOptions;
  readonly #host: Host;
  readonly #gate: Gate;
  readonly #counters: Counters;
  readonly #topic: string;
  readonly #streams: ConsensusStreams;
  readonly #gossip: TransactionGossip;
  readonly #sync: Sync;
  readonly #dialer: Dialer;
  readonly #connected = new Map<PublicKey, PeerId>();
  /** Heartbeats without gossip until the connection is closed, by peer. */
  readonly #gossipStrikesLeft = new Map<PublicKey, number>();
  #stopped = false;

  /** The peer key of this node. */
  readonly ownKey: PublicKey;

  /**
   * Starts to listen, dial, gossip and answer.
   *
   * @throws {LedgerError} KEY_INVALID, P2P_ADDRESS_INVALID, P2P_LISTEN_FAILED
   */
  static async start(options: NetworkOptions): Promise<Network> {
    const privateKey = await privateKeyOf(options.peerSeed);
    for (const address of options.listen) parseAddress(address);
    const gate = new Gate(options.allowedPeerKeys);
    const { listen } = options;
    const topic = topicOf(options.chainId);
    const onTopicFlood = (peerId: PeerId): void => {
      const peer = peerKeyOf(peerId);
      if (peer !== undefined) network.suspendPeer(peer, "flood of gossip topics");
    };
    const host = await createHost({ privateKey, listen, gate, topic, onTopicFlood });
    const ownKey = peerKeyOf(host.peerId) as PublicKey;
    const counters = zeroCounters();
    const network: Network = new Network(options, { host, gate, counters, ownKey });
    await network.#start();
    return network;
  }

  private constructor(options: NetworkOptions, parts: Parts) {
    const { chainId, handlers, log } = options;
    const { host, counters, ownKey, gate } = parts;
    const shared = { host, counters, log };
    this.#options = options;
    this.#host = host;
    this.#gate = gate;
    this.#counters = counters;
    this.ownKey = ownKey;
    this.#topic = topicOf(chainId);
    this.#streams = new ConsensusStreams({
      ...shared,
      protocol: `/loopledger/${chainId}/consensus/0`,
      onMessage: (from, bytes) => {
        if (!this.#stopped) handlers.onConsensusMessage(from, bytes);
      },
      onAbuse: (peer, error) => this.#suspend(peer, error),
    });
    this.#gossip = new TransactionGossip({
      ...shared,
      topic: this.#topic,
      onTransactions: (from, transactions) => handlers.onTransactions(from, transactions),
    });
    this.#sync = new Sync({
      ...shared,
      protocol: `/loopledger/${chainId}/sync/0`,
      source: handlers,
    });
    const allows = (peer: PublicKey): boolean => gate.allows(peer);
    this.#dialer = new Dialer({ ...shared, peers: options.peers, ownKey, allows });
  }

  async #start(): Promise<void> {
    const host = this.#host;
    host.addEventListener("peer:connect", (event) => this.#onConnect(event.detail));
    host.addEventListener("peer:disconnect", (event) => this.#onDisconnect(event.detail));
    host.addEventListener("connection:open", (event) => this.#onConnection(event.detail));
    const { pubsub } = host.services;
    pubsub.addEventListener("gossipsub:heartbeat", () => this.#repairGossip());
    pubsub.addEventListener("subscription-change", (event) => {
      const peer = peerKeyOf(event.detail.peerId);
      if (peer !== undefined) this.#gossipStrikesLeft.set(peer, gossipStrikesMax);
    });
    await this.#streams.start();
    await this.#sync.start();
    try {
      await host.start();
    } catch (cause) {
      await Promise.resolve(host.stop()).catch(() => undefined);
      const facts = { addresses: this.#options.listen.join(" "), reason: listenFailure(cause) };
      throw new LedgerError("P2P_LISTEN_FAILED", facts, { cause });
    }
    this.#gossip.start();
    this.#dialer.start();
  }

  /** Publishes what waits and closes everything. Handlers hear nothing afterwards. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#dialer.stop();
    this.#gossip.stop();
    this.#stopped = true;
    await this.#streams.stop();
    await this.#sync.stop();
    await this.#host.stop();
  }

  /** The addresses this node listens on, with the port it got. */
  get listenAddresses(): readonly string[] {
    return this.#host
      .getMultiaddrs()
      .map((address) => address.toString().replace(/\/p2p\/.*$/, ""));
  }

  /**
   * Gossips transactions to all peers, in frames of many, within `gossipDelayMs`.
   *
   * @param transactions - Each 1 to `transactionBytesMax` bytes; must not be changed afterwards.
   */
  publishTransactions(transactions: readonly Uint8Array[]): void {
    this.#gossip.publish(transactions);
  }

  /**
   * Sends a consensus message to one peer, or drops it when the peer is not connected.
   *
   * @param bytes - 1 to `consensusFrameBytesMax` bytes; must not be changed afterwards.
   */
  send(peer: PublicKey, bytes: Uint8Array): void {
    this.#send([peer], bytes);
  }

  /** Sends a consensus message to all connected peers, as `send` does. */
  broadcast(bytes: Uint8Array): void {
    this.#send(this.#connected.keys(), bytes);
  }

  #send(peers: Iterable<PublicKey>, bytes: Uint8Array): void {
    assert(
      bytes.length > 0 && bytes.length <= limits.consensusFrameBytesMax,
      "a consensus message is within its limit",
    );
    this.#streams.send(peers, bytes);
  }

  /**
   * Asks a peer where its chain ends, and for its clock.
   *
   * @throws {LedgerError} P2P_PEER_UNREACHABLE, P2P_SYNC_FAILED
   */
  async requestStatus(peer: PublicKey): Promise<SyncStatus> {
    return this.#sync.requestStatus(peer, peerIdOf(peer));
  }

  /**
   * Asks a peer for blocks from a height on. What comes is bounded, and not checked at all.
   *
   * @param countMax - At most this many blocks; `syncBlocksMax` when larger.
   * @throws {LedgerError} P2P_PEER_UNREACHABLE, P2P_SYNC_FAILED
   */
  async requestBlocks(
    peer: PublicKey,
    from: number,
    countMax: number,
  ): Promise<readonly Uint8Array[]> {
    return this.#sync.requestBlocks(peer, peerIdOf(peer), { from, countMax });
  }

  /** Asks a peer for a manifest: see Sync.requestManifest. */
  async requestManifest(peer: PublicKey, height: number): Promise<Uint8Array> {
    return this.#sync.requestManifest(peer, peerIdOf(peer), height);
  }

  /** Asks a peer for a chunk: see Sync.requestChunk. */
  async requestChunk(peer: PublicKey, height: number, from: string): Promise<Uint8Array> {
    return this.#sync.requestChunk(peer, peerIdOf(peer), { height, from });
  }

  /** Peers with a connection at this moment, in no order. */
  connectedPeers(): readonly PublicKey[] {
    return [...this.#connected.keys()];
  }

  /** Replaces the keys that may be connected, and disconnects who is no longer among them. */
  setAllowedPeerKeys(keys: readonly PublicKey[]): void {
    this.#gate.setAllowed(keys);
    for (const connection of this.#host.getConnections()) {
      if (!this.#gate.allows(peerKeyOf(connection.remotePeer))) {
        connection.abort(new Error("peer is no member"));
      }
    }
  }

  /** Replaces the peers to stay connected to; one whose address is no address is left out. */
  setPeers(peers: readonly PeerAddress[]): void {
    this.#dialer.setPeers(peers);
  }

  /** Disconnects a peer for a while, because what it sent proves that it is broken or lies. */
  suspendPeer(peer: PublicKey, reason: string): void {
    this.#suspend(peer, new Error(reason));
  }

  /** Counts since start, and what is held now. */
  metrics(): NetworkMetrics {
    return {
      ...this.#counters,
      peersConnected: this.#connected.size,
      connections: this.#host.getConnections().length,
      connectionsRefused: this.#gate.refusedCount,
      consensusQueueBytes: this.#streams.queueBytes,
    };
  }

  #suspend(peer: PublicKey, error: Error): void {
    this.#counters.peersSuspended += 1;
    this.#options.log.warn({ peer, reason: error.message }, "peer suspended");
    this.#gate.suspend(peer, limits.peerSuspensionMs);
    this.#closeAll(peer, error);
  }

  #closeAll(peer: PublicKey, error: Error): void {
    for (const connection of this.#host.getConnections(peerIdOf(peer))) connection.abort(error);
  }

  #onConnect(peerId: PeerId): void {
    const peer = peerKeyOf(peerId);
    if (peer === undefined || this.#stopped || this.#connected.has(peer)) return;
    this.#connected.set(peer, peerId);
    this.#options.log.info({ peer }, "peer connected");
    this.#streams.onConnect(peer, peerId);
    this.#options.handlers.onPeerChange?.(peer, true);
  }

  #onDisconnect(peerId: PeerId): void {
    const peer = peerKeyOf(peerId);
    if (peer === undefined || !this.#connected.delete(peer)) return;
    this.#gossipStrikesLeft.delete(peer);
    this.#streams.onDisconnect(peer);
    this.#sync.forget(peer);
    if (this.#stopped) return;
    this.#options.log.info({ peer }, "peer disconnected");
    this.#options.handlers.onPeerChange?.(peer, false);
    this.#dialer.wake(peer);
  }

  /** Keeps invariant (2). */
  #onConnection(connection: Connection): void {
    const others = this.#host
      .getConnections(connection.remotePeer)
      .filter((other) => other !== connection && other.status === "open")
      .sort((left, right) => right.timeline.open - left.timeline.open);
    for (const surplus of others.slice(limits.peerConnectionsMax - 1)) {
      surplus.abort(new Error("too many connections with this peer"));
    }
  }

  /** Keeps invariant (3): on each heartbeat a peer without gossip gets a strike. */
  #repairGossip(): void {
    const { pubsub } = this.#host.services;
    const subscribed = new Set(pubsub.getSubscribers(this.#topic).map((peerId) => `${peerId}`));
    for (const [peer, peerId] of this.#connected) {
      const alive = subscribed.has(`${peerId}`) && this.#hasGossipStream(peerId);
      const before = this.#gossipStrikesLeft.get(peer) ?? gossipStartStrikesMax;
      this.#gossipStrikesLeft.set(peer, alive ? gossipStrikesMax : before - 1);
      if (this.#gossipStrikesLeft.get(peer) === 0) {
        this.#gossipStrikesLeft.delete(peer);
        this.#counters.gossipRepairs += 1;
        this.#options.log.warn({ peer }, "gossip with peer is dead, connecting anew");
        this.#closeAll(peer, new Error("gossip is dead"));
      }
    }
  }

  #hasGossipStream(peerId: PeerId): boolean {
    const protocols = this.#host.services.pubsub.protocols;
    return this.#host
      .getConnections(peerId)
      .flatMap((connection) => connection.streams)
      .some((stream) => stream.direction === "outbound" && protocols.includes(stream.protocol));
  }
}

function topicOf(chainId: Hash): string {
  return `loopledger/${chainId}/transactions`;
}

/** The one line that says why: the library's message lists stack traces of every address. */
function listenFailure(cause: unknown): string {
  const lines = String(cause).split("\n");
  return (lines.find((line) => line.includes("listen E")) ?? lines[0] ?? "").trim();
}

/**
 * Gossipsub, so that what members say in its control messages stays within bounds the library does
 * not have: it obeys any back-off of a PRUNE, up to 2^64 - 1 seconds and beyond the connection, and
 * passes over subscriptions to unknown topics, but for nothing and for ever.
 *
 * Invariants:
 *
 * (1) A peer is back in reach of the mesh `gossipBackoffMsMax` after its PRUNE, whatever it said.
 * (2) A peer that announces more than `gossipForeignTopicsMax` topics other than the ledger's is
 *     told of once, and counted anew.
 */
import type { GossipSub } from "@libp2p/gossipsub";
import { gossipsub } from "@libp2p/gossipsub";
import type { RPC } from "@libp2p/gossipsub/message";
import type { PeerId } from "@libp2p/interface";
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";

/** What the guard watches. */
type GossipGuard = {
  /** The only topic there is. */
  readonly topic: string;
  /** A peer announced more other topics than any honest one does. */
  onTopicFlood(peer: PeerId): void;
};

type Receiving = GossipSub & { handleReceivedRpc(from: PeerId, rpc: RPC): Promise<void> };

/** Returns what makes the gossip service of a host. */
export function guardedGossip(
  options: Parameters<typeof gossipsub>[0],
  guard: GossipGuard,
): ReturnType<typeof gossipsub> {
  const makeService = gossipsub(options);
  return (components) => {
    const service = makeService(components) as Receiving;
    assert(typeof service.handleReceivedRpc === "function", "gossipsub receives where we look");
    const receive = service.handleReceivedRpc.bind(service);
    const countForeign = foreignTopicCounter(guard);
    service.handleReceivedRpc = (from, rpc) => {
      countForeign(from, rpc);
      capBackoffs(rpc);
      return receive(from, rpc);
    };
    return service;
  };
}

/** Keeps invariant (2). The map holds members only: nobody else has a connection. */
function foreignTopicCounter(guard: GossipGuard): (from: PeerId, rpc: RPC) => void {
  const counts = new Map<string, number>();
  return (from, { subscriptions }) => {
    const foreign = subscriptions.filter(({ topic }) => topic !== guard.topic).length;
    if (foreign === 0) return;
    const peer = `${from}`;
    const count = (counts.get(peer) ?? 0) + foreign;
    counts.set(peer, count);
    if (count <= limits.gossipForeignTopicsMax) return;
    counts.delete(peer);
    guard.onTopicFlood(from);
  };
}

/** Keeps invariant (1). What is not even a number is capped, too. */
function capBackoffs(rpc: RPC): void {
  const secondsMax = limits.gossipBackoffMsMax / 1_000;
  for (const prune of rpc.control?.prune ?? []) {
    if (prune.backoff !== undefined && !(prune.backoff <= secondsMax)) prune.backoff = secondsMax;
  }
}

/**
 * The libp2p host: which modules run and under which limits. TCP, noise, yamux, identify (gossipsub
 * learns from it which peers speak its protocol) and gossipsub; no discovery, relay or DHT, because
 * the members of a ledger know each other.
 *
 * Gossip: published frames go to every connected peer at once (`floodPublish`), so a validator
 * hears of a transaction even when no other forwards it; the small mesh carries frames past links
 * that are down. Messages are unsigned: a transaction carries its own signature, and blame goes to
 * the peer that passed the frame on.
 *
 * Every limit is written out, because a limit under a wrong name is ignored in silence
 * (js-libp2p #3520); test/e2e/p2p/gossip-limits.test.ts shows of message size, messages and
 * announced ids that they hold, gossip-abuse.test.ts of topics and back-offs.
 */
import "./polyfill.ts";
import { type GossipSub, type gossipsub, StrictNoSign } from "@libp2p/gossipsub";
import { type Identify, identify } from "@libp2p/identify";
import type { Libp2p, PeerId, PrivateKey, StreamMuxerFactory } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { tcp } from "@libp2p/tcp";
import { createLibp2p } from "libp2p";
import { limits } from "../base/limits.ts";
import type { Gate } from "./gate.ts";
import { guardedGossip } from "./guarded-gossip.ts";
import { guardedYamux } from "./muxer.ts";

/** The services of the host. */
type HostServices = { readonly identify: Identify; readonly pubsub: GossipSub };

/** The libp2p node of this process. */
export type Host = Libp2p<HostServices>;

/** What a host is made of. */
type HostOptions = {
  readonly privateKey: PrivateKey;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  readonly gate: Gate;
  /** The only topic there is. */
  readonly topic: string;
  /** A peer announced more other topics than any honest one does. */
  readonly onTopicFlood?: (peer: PeerId) => void;
  /** Wraps the muxer, so that a test sees when one is made. */
  readonly wrapMuxer?: (factory: StreamMuxerFactory) => StreamMuxerFactory;
};

/** Returns a host that is built but not started. */
export async function createHost(options: HostOptions): Promise<Host> {
  const wrap = options.wrapMuxer ?? ((factory: StreamMuxerFactory) => factory);
  const makeMuxer = guardedYamux(muxerLimits);
  const { topic, onTopicFlood = () => undefined } = options;
  return createLibp2p<HostServices>({
    start: false,
    privateKey: options.privateKey,
    nodeInfo: { name: "loopledger", version: "0", userAgent: "loopledger/0" },
    addresses: { listen: [...options.listen] },
    transports: [tcp({ maxConnections: limits.connectionsMax, backlog: limits.connectionsMax })],
    connectionEncrypters: [noise()],
    streamMuxers: [() => wrap(makeMuxer())],
    connectionGater: options.gate.hooks(),
    connectionManager: connectionLimits,
    // Notices a peer whose machine is gone without a word. A busy one gets ten seconds to answer.
    connectionMonitor: { pingInterval: 10_000, pingTimeout: { minTimeout: 10_000 } },
    services: {
      identify: identify({ timeout: limits.handshakeTimeoutMs, maxMessageSize: 8_192 }),
      pubsub: guardedGossip(gossipOptions(topic), { topic, onTopicFlood }),
    },
  });
}

const connectionLimits = {
  maxConnections: limits.connectionsMax,
  maxIncomingPendingConnections: limits.connectionsPendingMax,
  inboundConnectionThreshold: limits.connectionsPerSecondMax,
  inboundUpgradeTimeout: limits.handshakeTimeoutMs,
  inboundStreamProtocolNegotiationTimeout: limits.handshakeTimeoutMs,
  outboundStreamProtocolNegotiationTimeout: limits.handshakeTimeoutMs,
  dialTimeout: limits.handshakeTimeoutMs,
  addressDialTimeout: limits.handshakeTimeoutMs,
  maxParallelDials: limits.validatorsMax,
  maxDialQueueLength: limits.connectionsMax,
  maxPeerAddrsToDial: 1,
  reconnectRetries: 0,
};

const muxerLimits = {
  maxInboundStreams: limits.streamsMax,
  maxOutboundStreams: limits.streamsMax,
  maxEarlyStreams: 8,
  streamOptions: {
    // Streams for consensus and gossip may be silent for longer than any time-out.
    inactivityTimeout: Number.POSITIVE_INFINITY,
    maxReadBufferLength: 4 * 1024 * 1024,
    maxStreamWindowSize: 4 * 1024 * 1024,
  },
};

/** Returns the options of gossipsub. */
function gossipOptions(topic: string): Parameters<typeof gossipsub>[0] {
  return {
    allowedTopics: [topic],
    globalSignaturePolicy: StrictNoSign,
    fallbackToFloodsub: false,
    floodPublish: true,
    doPX: false,
    emitSelf: false,
    tagMeshPeers: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    D: 3,
    Dlo: 2,
    Dhi: 4,
    Dout: 1,
    Dscore: 1,
    Dlazy: 3,
    heartbeatInterval: 1_000,
    seenTTL: 60_000,
    pruneBackoff: limits.gossipBackoffMsMax,
    maxInboundStreams: 2,
    maxOutboundStreams: 2,
    maxInboundDataLength: limits.gossipRpcBytesMax,
    maxOutboundBufferSize: limits.gossipOutboundBytesMax,
    maxTopicBytesPerPeer: 4_096,
    idontwantMaxMessages: 512,
    decodeRpcLimits: {
      maxSubscriptions: limits.gossipRpcPartsMax,
      maxMessages: limits.gossipRpcPartsMax,
      maxControlMessages: limits.gossipRpcPartsMax,
      maxIhaveMessageIDs: limits.gossipMessageIdsMax,
      maxIwantMessageIDs: limits.gossipMessageIdsMax,
      maxIdontwantMessageIDs: limits.gossipMessageIdsMax,
      maxPeerInfos: 0,
    },
    scoreParams: scoreParams(topic),
  };
}

/**
 * Scores count rejected frames and floods only. Nodes of one machine share an address and quiet
 * members are honest, so neither may cost anything. Three rejected frames are -90, below the
 * graylist at -80; after a hundred a peer is heard again in about three minutes.
 */
function scoreParams(topic: string) {
  return {
    IPColocationFactorWeight: 0,
    behaviourPenaltyWeight: -1,
    behaviourPenaltyThreshold: 6,
    topics: {
      [topic]: {
        topicWeight: 1,
        timeInMeshWeight: 0,
        timeInMeshQuantum: 1,
        timeInMeshCap: 1,
        firstMessageDeliveriesWeight: 0,
        firstMessageDeliveriesDecay: 0.5,
        firstMessageDeliveriesCap: 1,
        meshMessageDeliveriesWeight: 0,
        meshMessageDeliveriesDecay: 0.5,
        meshMessageDeliveriesCap: 1,
        meshMessageDeliveriesThreshold: 1,
        meshMessageDeliveriesWindow: 10,
        meshMessageDeliveriesActivation: 5_000,
        meshFailurePenaltyWeight: 0,
        meshFailurePenaltyDecay: 0.5,
        invalidMessageDeliveriesWeight: -10,
        invalidMessageDeliveriesDecay: 0.98,
      },
    },
  };
}

/**
 * Begins a ledger with a snapshot: before the ledger is opened, with a network of its own that
 * answers nothing. Afterwards the node starts as any other, from the base on.
 *
 * When a node does so: docs/OPERATING.md, "Snapshots and pruning".
 */
import { startApi } from "../api/server.ts";
import type { Header } from "../base/format/block.ts";
import { publicKeyOf } from "../base/format/did.ts";
import { type Genesis, genesisBlock } from "../base/format/genesis.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Log } from "../base/log.ts";
import { openDatabase } from "../ledger/database.ts";
import type { SnapshotContext } from "../ledger/snapshot-verify.ts";
import { Network } from "../p2p/network.ts";
import { steadyClock } from "./clock.ts";
import { checkpointOf, type NodeConfig } from "./config.ts";
import { fetchingNodeOf } from "./fetching-node.ts";
import { nativeVerifier } from "./native-crypto.ts";
import type { NodeKeys } from "./open-keys.ts";
import { isFresh, settle } from "./snapshot-directory.ts";
import {
  type DownloadPlace,
  dropPassedDownload,
  emptyHandlers,
  type FetchingNetwork,
  type FetchingProgress,
  replaceByFetched,
} from "./snapshot-replacement.ts";

/** What the node knows before its ledger is open. */
export type SnapshotStart = {
  readonly config: NodeConfig;
  readonly genesis: Genesis;
  readonly genesisText: string;
  readonly keys: NodeKeys;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** What a ledger knows of its chain and of those who may have a snapshot of it. */
export type KnownLedger = KnownPeers & { readonly tip: Header };

/** Peers at one moment. */
export type KnownPeers = {
  /** Who may be connected. */
  readonly allowed: readonly PublicKey[];
  /** Whom to dial. */
  readonly peers: readonly { readonly peerKey: PublicKey; readonly address: string }[];
};

/**
 * Ends what a kill interrupted, and fetches a snapshot when the configuration says so, there is no
 * ledger yet, and anybody else that may have one.
 *
 * @throws {LedgerError} NODE_STOPPED; P2P_LISTEN_FAILED and such.
 */
export async function prepareLedger(start: SnapshotStart): Promise<void> {
  const { config, genesis } = start;
  await settle(config.ledgerDirectory);
  const hasOthers = config.p2p.peers.length > 0 || genesis.members.length > 1;
  if (config.sync === "snapshot" && hasOthers && (await isFresh(config.ledgerDirectory)))
    await replaceLedger(start);
}

/**
 * Fetches a snapshot and puts it into the place of the ledger, which is closed.
 *
 * @param known - What the ledger knows; absent: there is none.
 * @returns Whether there was one above it; else the ledger is as it was.
 * @throws {LedgerError} NODE_STOPPED; P2P_LISTEN_FAILED and such.
 */
export async function replaceLedger(start: SnapshotStart, known?: KnownLedger): Promise<boolean> {
  const { config, log, signal } = start;
  const place = placeOf(start);
  const parts = {
    ...place,
    context: { ...place.context, tip: known?.tip },
    startNetwork: () => startNetwork(start, fetchingPeersOf(start, known)),
    serve: (network: FetchingNetwork, progress: FetchingProgress) =>
      startApi({ node: fetchingNodeOf({ ...start, network, progress }), ...config.api, log }),
    signal,
  };
  return replaceByFetched(parts);
}

/** Removes what was left of a download that the ledger has passed. */
export function tidyDownload(start: SnapshotStart, ledgerHeight: number): Promise<void> {
  return dropPassedDownload(placeOf(start), ledgerHeight);
}

/**
 * Whom a node connects that fetches a snapshot: peers of the configuration, and those whom the
 * ledger knows, or without one the members of the genesis.
 */
export function fetchingPeersOf(
  { config, genesis }: Pick<SnapshotStart, "config" | "genesis">,
  known?: KnownPeers,
): KnownPeers {
  const configured = config.p2p.peers.map(({ peerKey, address }) => ({
    peerKey: publicKeyOf(peerKey),
    address,
  }));
  const members = known?.allowed ?? genesis.members.map(({ peerKey }) => publicKeyOf(peerKey));
  const allowed = [...new Set([...members, ...configured.map(({ peerKey }) => peerKey)])];
  return { allowed, peers: known?.peers ?? configured };
}

/** What snapshots of this ledger are held against. */
export function snapshotContextOf({
  config,
  genesis,
}: Pick<SnapshotStart, "config" | "genesis">): SnapshotContext {
  const checkpoint = checkpointOf(config);
  return { genesis: genesisBlock(genesis), verifier: nativeVerifier, checkpoint };
}

function placeOf(start: SnapshotStart): DownloadPlace {
  const { config, log } = start;
  const context = snapshotContextOf(start);
  return { ledgerDirectory: config.ledgerDirectory, openDatabase, context, log };
}

/** Peers see a node that has nothing yet. */
function startNetwork({ config, genesis, keys, log }: SnapshotStart, known: KnownPeers) {
  const { chainId } = genesisBlock(genesis);
  return Network.start({
    chainId,
    peerSeed: keys.peerSeed,
    listen: config.p2p.listen,
    peers: known.peers,
    allowedPeerKeys: known.allowed,
    log,
    handlers: emptyHandlers(chainId, steadyClock()),
  });
}

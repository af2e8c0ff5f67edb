/**
 * Begins a ledger with a snapshot: before the ledger is opened, with a network of its own that
 * answers nothing. Afterwards the node starts as any other, from the base on.
 *
 * When a node does so: docs/OPERATING.md, "Snapshots and pruning".
 */
import { rm } from "node:fs/promises";
import { publicKeyOf } from "../base/format/did.ts";
import { type Genesis, genesisBlock } from "../base/format/genesis.ts";
import type { Log } from "../base/log.ts";
import { openDatabase } from "../ledger/database.ts";
import type { SnapshotContext } from "../ledger/snapshot-verify.ts";
import { SnapshotWriter } from "../ledger/snapshot-writer.ts";
import { Network } from "../p2p/network.ts";
import { checkpointOf, type NodeConfig } from "./config.ts";
import { nativeVerifier } from "./native-crypto.ts";
import type { NodeKeys } from "./open-keys.ts";
import { install, isFresh, settle, snapshotDirectories } from "./snapshot-directory.ts";
import { SnapshotDownload } from "./snapshot-download.ts";

/** What the node knows before its ledger is open. */
export type SnapshotStart = {
  readonly config: NodeConfig;
  readonly genesis: Genesis;
  readonly keys: NodeKeys;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/**
 * Ends what a kill interrupted, and fetches a snapshot when the configuration says so and there is
 * no ledger yet.
 *
 * @throws {LedgerError} NODE_STOPPED; P2P_LISTEN_FAILED and such.
 */
export async function prepareLedger(start: SnapshotStart): Promise<void> {
  const { config } = start;
  await settle(config.ledgerDirectory);
  if (config.sync === "snapshot" && (await isFresh(config.ledgerDirectory)))
    await replaceLedger(start, 0);
}

/**
 * Fetches a snapshot and puts it into the place of the ledger, which is closed.
 *
 * @param aboveHeight - What the ledger has already.
 * @returns Whether there was one; else the ledger is as it was.
 * @throws {LedgerError} NODE_STOPPED; P2P_LISTEN_FAILED and such.
 */
export async function replaceLedger(start: SnapshotStart, aboveHeight: number): Promise<boolean> {
  const { config, genesis, log, signal } = start;
  const { download } = snapshotDirectories(config.ledgerDirectory);
  const context: SnapshotContext = {
    genesis: genesisBlock(genesis),
    verifier: nativeVerifier,
    checkpoint: checkpointOf(config),
  };
  const database = await openDatabase(download);
  let height: number | undefined;
  try {
    const writer = await SnapshotWriter.open(database, context);
    const network = await startNetwork(start, context.genesis.chainId);
    try {
      const parts = { peers: network, writer, context, log, signal };
      height = await new SnapshotDownload(parts).run({ aboveHeight });
    } finally {
      await network.stop();
    }
  } finally {
    await database.close();
  }
  if (height !== undefined) await install(config.ledgerDirectory);
  else await rm(download, { recursive: true, force: true });
  if (height === undefined) log.info({}, "no peer has a snapshot: starting from blocks");
  return height !== undefined;
}

/** Peers see a node that has nothing yet. */
function startNetwork({ config, genesis, keys, log }: SnapshotStart, chainId: string) {
  const peers = config.p2p.peers.map(({ peerKey, address }) => ({
    peerKey: publicKeyOf(peerKey),
    address,
  }));
  const members = genesis.members.map(({ peerKey }) => publicKeyOf(peerKey));
  return Network.start({
    chainId,
    peerSeed: keys.peerSeed,
    listen: config.p2p.listen,
    peers,
    allowedPeerKeys: [...new Set([...members, ...peers.map(({ peerKey }) => peerKey)])],
    log,
    handlers: {
      onTransactions: async (_from, transactions) => transactions.map(() => "ignore" as const),
      onConsensusMessage: () => {},
      status: () => ({ height: 0, hash: chainId }),
      readBlocks: async () => [],
    },
  });
}

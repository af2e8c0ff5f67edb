/**
 * How a snapshot takes the place of a ledger, over any disk and any network: what
 * `snapshot-start.ts` does with the real ones, and the simulator with virtual ones.
 *
 * Invariants:
 *
 * (1) The ledger is closed, and stays as it is until the snapshot is whole and verified.
 * (2) A download that was interrupted goes on; one that cannot be read is given up, never the ledger.
 */
import { isLedgerError } from "../base/errors.ts";
import type { Hash } from "../base/hash.ts";
import type { Log } from "../base/log.ts";
import type { Database } from "../ledger/database.ts";
import type { SnapshotContext } from "../ledger/snapshot-verify.ts";
import { SnapshotWriter } from "../ledger/snapshot-writer.ts";
import type { ShellHandlers } from "./shell.ts";
import {
  type Directories,
  install,
  realDirectories,
  snapshotDirectories,
} from "./snapshot-directory.ts";
import { SnapshotDownload, type SnapshotPeers } from "./snapshot-download.ts";
import type { Timers } from "./timers.ts";

/** What a node that has nothing yet answers its peers. */
export function emptyHandlers(chainId: Hash): ShellHandlers {
  return {
    onTransactions: async (_from, transactions) => transactions.map(() => "ignore" as const),
    onConsensusMessage: () => {},
    onPeerChange: () => {},
    status: () => ({ height: 0, hash: chainId }),
    readBlocks: async () => [],
  };
}

/** A network for as long as a snapshot is fetched. */
export type FetchingNetwork = SnapshotPeers & { stop(): Promise<void> };

/** How far a download is, at any moment. */
export type FetchingProgress = Pick<SnapshotWriter, "height" | "chunks">;

/** What a ledger is replaced with. */
export type ReplacementParts = {
  readonly ledgerDirectory: string;
  /** Default: those of the file system. */
  readonly directories?: Directories | undefined;
  openDatabase(directory: string): Promise<Database>;
  startNetwork(): Promise<FetchingNetwork>;
  /** Tells others how far it is, meanwhile. */
  serve?(network: FetchingNetwork, progress: FetchingProgress): Promise<{ stop(): unknown }>;
  readonly context: SnapshotContext;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Default: those of the process. */
  readonly timers?: Timers | undefined;
};

/**
 * Fetches a snapshot and puts it into the place of the ledger, which is closed.
 *
 * @param aboveHeight - What the ledger has already.
 * @returns Whether there was one; else the ledger is as it was.
 * @throws {LedgerError} NODE_STOPPED; what opening the database and starting the network throw.
 */
export async function replaceByFetched(
  parts: ReplacementParts,
  aboveHeight: number,
): Promise<boolean> {
  const { ledgerDirectory, directories = realDirectories, log } = parts;
  const database = await openDownload(parts, directories);
  let height: number | undefined;
  try {
    height = await fetchInto(database, parts, aboveHeight);
  } finally {
    await database.close();
  }
  if (height !== undefined) await install(ledgerDirectory, directories);
  else await directories.remove(snapshotDirectories(ledgerDirectory).download);
  if (height === undefined) log.info({}, "no peer has a snapshot: starting from blocks");
  return height !== undefined;
}

async function fetchInto(
  database: Database,
  parts: ReplacementParts,
  aboveHeight: number,
): Promise<number | undefined> {
  const { context, log, signal, timers } = parts;
  const writer = await SnapshotWriter.open(database, context);
  const peers = await parts.startNetwork();
  try {
    const served = await parts.serve?.(peers, writer);
    try {
      const download = new SnapshotDownload({ peers, writer, context, log, signal, timers });
      return await download.run({ aboveHeight });
    } finally {
      await served?.stop();
    }
  } finally {
    await peers.stop();
  }
}

/** (2) Such as one whose deletion was interrupted. */
async function openDownload(
  { ledgerDirectory, openDatabase, log }: ReplacementParts,
  directories: Directories,
): Promise<Database> {
  const { download } = snapshotDirectories(ledgerDirectory);
  try {
    return await openDatabase(download);
  } catch (error) {
    const isDamaged = isLedgerError(error, "LEDGER_STORE_UNREADABLE") && error.facts.salvageable;
    if (!isDamaged) throw error;
    log.warn({ error: String(error) }, "the download of a snapshot is damaged: begun anew");
    await directories.remove(download);
    return openDatabase(download);
  }
}

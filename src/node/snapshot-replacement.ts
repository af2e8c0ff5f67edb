/**
 * How a snapshot takes the place of a ledger, over any disk and any network: what
 * `snapshot-start.ts` does with the real ones, and the simulator with virtual ones.
 *
 * Invariants:
 *
 * (1) The ledger is closed, and stays as it is until the snapshot is whole and verified.
 * (2) A download that was interrupted goes on as long as it is above the ledger; one that is not, or
 *     cannot be read, is given up, never the ledger.
 */
import { isLedgerError } from "../base/errors.ts";
import type { Hash } from "../base/hash.ts";
import type { Clock, Log } from "../base/log.ts";
import type { Database } from "../ledger/database.ts";
import type { SnapshotContext } from "../ledger/snapshot-verify.ts";
import { SnapshotWriter } from "../ledger/snapshot-writer.ts";
import { isBrokenInvariant } from "./crash.ts";
import type { ShellHandlers } from "./shell.ts";
import {
  type Directories,
  install,
  realDirectories,
  snapshotDirectories,
} from "./snapshot-directory.ts";
import { SnapshotDownload, type SnapshotPeers } from "./snapshot-download.ts";
import type { Timers } from "./timers.ts";

/** What a node that has nothing yet answers its peers: even so they show how far its clock is off. */
export function emptyHandlers(chainId: Hash, clock: Clock): ShellHandlers {
  return {
    onTransactions: async (_from, transactions) => transactions.map(() => "ignore" as const),
    onConsensusMessage: () => {},
    onPeerChange: () => {},
    status: () => ({ height: 0, hash: chainId, clockMs: clock.nowMs() }),
    readBlocks: async () => [],
  };
}

/** A network for as long as a snapshot is fetched. */
export type FetchingNetwork = SnapshotPeers & { stop(): Promise<void> };

/** How far a download is, at any moment. */
export type FetchingProgress = Pick<SnapshotWriter, "height" | "chunks">;

/** Where a download is. */
export type DownloadPlace = {
  readonly ledgerDirectory: string;
  /** Default: those of the file system. */
  readonly directories?: Directories | undefined;
  openDatabase(directory: string): Promise<Database>;
  readonly context: SnapshotContext;
  readonly log: Log;
};

/** What a ledger is replaced with. */
export type ReplacementParts = DownloadPlace & {
  startNetwork(): Promise<FetchingNetwork>;
  /** Tells others how far it is, meanwhile. */
  serve?(network: FetchingNetwork, progress: FetchingProgress): Promise<{ stop(): unknown }>;
  readonly signal: AbortSignal;
  /** Default: those of the process. */
  readonly timers?: Timers | undefined;
};

/**
 * Fetches a snapshot and puts it into the place of the ledger, which is closed.
 *
 * @param parts - `context.tip`: what the ledger has already.
 * @returns Whether there was one above that; else the ledger is as it was.
 * @throws {LedgerError} NODE_STOPPED; what opening the database and starting the network throw.
 */
export async function replaceByFetched(parts: ReplacementParts): Promise<boolean> {
  const { ledgerDirectory, directories = realDirectories, log, context } = parts;
  const aboveHeight = context.tip?.height ?? 0;
  const database = await openDownload(parts, directories);
  let isFetched: boolean;
  let isOfUse: boolean;
  try {
    const writer = await SnapshotWriter.open(database, parts.context);
    isFetched = await fetchInto(writer, parts, aboveHeight);
    isOfUse = isAbove(writer, aboveHeight);
  } finally {
    await database.close();
  }
  if (isFetched) await install(ledgerDirectory, directories);
  else if (!isOfUse) await directories.remove(snapshotDirectories(ledgerDirectory).download);
  if (!isFetched) log.info({}, "nobody there has a snapshot: going on with blocks");
  return isFetched;
}

/** Removes what was left of a download once the ledger is as high; never keeps a node from starting. */
export async function dropPassedDownload(
  parts: DownloadPlace,
  ledgerHeight: number,
): Promise<void> {
  const { ledgerDirectory, directories = realDirectories, log } = parts;
  const { download } = snapshotDirectories(ledgerDirectory);
  if (!directories.has(download)) return;
  try {
    if (await isDownloadAbove(parts, directories, ledgerHeight)) return;
    await directories.remove(download);
    log.info({}, "removed the download of a snapshot that the ledger has passed");
  } catch (error) {
    if (isBrokenInvariant(error)) throw error;
    log.warn({ error: String(error) }, "the download of a snapshot cannot be looked at: left");
  }
}

async function isDownloadAbove(
  parts: DownloadPlace,
  directories: Directories,
  ledgerHeight: number,
): Promise<boolean> {
  const database = await openDownload(parts, directories);
  try {
    return isAbove(await SnapshotWriter.open(database, parts.context), ledgerHeight);
  } finally {
    await database.close();
  }
}

function isAbove({ height = 0 }: SnapshotWriter, ledgerHeight: number): boolean {
  return height > ledgerHeight;
}

async function fetchInto(
  writer: SnapshotWriter,
  parts: ReplacementParts,
  aboveHeight: number,
): Promise<boolean> {
  const { context, log, signal, timers } = parts;
  const peers = await parts.startNetwork();
  try {
    const served = await parts.serve?.(peers, writer);
    try {
      const download = new SnapshotDownload({ peers, writer, context, log, signal, timers });
      return (await download.run({ aboveHeight })) !== undefined;
    } finally {
      await served?.stop();
    }
  } finally {
    await peers.stop();
  }
}

/** (2) Such as one whose deletion was interrupted. */
async function openDownload(
  { ledgerDirectory, openDatabase, log }: DownloadPlace,
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

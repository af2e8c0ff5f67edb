/**
 * Backup of a node, running or stopped: reads its files as they are, asks nothing of its process.
 * The backup appears whole under its name or not at all. What it holds: backup-format.ts.
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { LedgerError } from "../base/errors.ts";
import { genesisBlock, parseGenesis } from "../base/format/genesis.ts";
import { silentLog } from "../base/log.ts";
import { openDatabase } from "../ledger/database.ts";
import { copyLiveFiles } from "../ledger/live-copy.ts";
import { LedgerStore } from "../ledger/store.ts";
import type { StoreTip } from "../ledger/store-types.ts";
import { type BackupFile, type BackupManifest, copyHashed, manifestName } from "./backup-format.ts";
import { readNodeConfig, readText } from "./config.ts";
import { syncDirectory } from "./sync-directory.ts";

/** What is backed up, and where to. */
export type BackupRequest = {
  readonly configFile: string;
  /** Must not exist. */
  readonly directory: string;
  /** Adds the encrypted key files. */
  readonly withKeys: boolean;
};

/**
 * Takes a backup and checks it: all blocks are there, and the state has the root of the last one.
 *
 * @throws {LedgerError} BACKUP_EXISTS, BACKUP_LEDGER_BUSY, LEDGER_STORE_MISSING; what opening a
 *   damaged ledger throws, as a backup of it would be of no use.
 */
export async function takeBackup(request: BackupRequest): Promise<BackupManifest> {
  const directory = resolve(request.directory);
  if (existsSync(directory)) throw new LedgerError("BACKUP_EXISTS", { directory });
  const config = readNodeConfig(request.configFile);
  await mkdir(dirname(directory), { recursive: true });
  const draft = await mkdtemp(`${directory}.partial-`);
  // Beside the ledger, where hard links are possible.
  const stage = await mkdtemp(`${config.ledgerDirectory}.backup-`).catch(() =>
    join(draft, "stage"),
  );
  try {
    await copyLiveFiles(config.ledgerDirectory, stage);
    const tip = await checkStage(stage, config.genesis);
    const files = [
      ...(await copyLedger(stage, draft)),
      await copyInto(draft, "genesis.json", config.genesis),
      await copyInto(draft, "node.yaml", request.configFile),
      ...(request.withKeys ? await copyKeys(draft, config) : []),
    ];
    const { height, hash, header } = tip;
    const manifest: BackupManifest = {
      format: "loopledger-backup-v0",
      chainId: header.chainId,
      height,
      hash,
      node: config.name,
      takenAtMs: Date.now(),
      files,
    };
    await rm(stage, { recursive: true, force: true });
    await finish(draft, directory, manifest);
    return manifest;
  } finally {
    await rm(stage, { recursive: true, force: true });
    await rm(draft, { recursive: true, force: true });
  }
}

/** Opens what was taken as a node would. Afterwards its files are those of a stopped node. */
async function checkStage(stage: string, genesisFile: string): Promise<StoreTip> {
  const genesis = genesisBlock(parseGenesis(readText(genesisFile)));
  const database = await openDatabase(stage);
  try {
    return (await LedgerStore.open({ database, genesis, log: silentLog })).tip;
  } finally {
    await database.close();
  }
}

async function copyLedger(stage: string, draft: string): Promise<BackupFile[]> {
  await mkdir(join(draft, "ledger"), { mode: 0o700 });
  const files: BackupFile[] = [];
  for (const file of (await readdir(stage)).sort())
    if (/^(\d+\.(ldb|sst|log)|MANIFEST-\d+|CURRENT)$/.test(file))
      files.push(await copyInto(draft, `ledger/${file}`, join(stage, file)));
  await syncDirectory(join(draft, "ledger"));
  return files;
}

async function copyKeys(
  draft: string,
  config: { readonly validatorKeyFile?: string | undefined; readonly peerKeyFile: string },
): Promise<BackupFile[]> {
  await mkdir(join(draft, "keys"), { mode: 0o700 });
  const keys = [config.peerKeyFile, config.validatorKeyFile].filter((file) => file !== undefined);
  const files: BackupFile[] = [];
  for (const file of keys) files.push(await copyInto(draft, `keys/${basename(file)}`, file));
  await syncDirectory(join(draft, "keys"));
  return files;
}

async function copyInto(draft: string, path: string, from: string): Promise<BackupFile> {
  return { path, ...(await copyHashed(from, join(draft, path))) };
}

async function finish(draft: string, directory: string, manifest: BackupManifest): Promise<void> {
  const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
  await writeFile(join(draft, manifestName), text, { flush: true, mode: 0o600 });
  await syncDirectory(draft);
  await rename(draft, directory);
  await syncDirectory(dirname(directory));
}

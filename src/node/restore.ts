/**
 * Restore of a node's ledger from a backup. Every byte is held against the manifest, the whole
 * chain is verified, and only then does the ledger appear under its name.
 *
 * What this validator signed after the backup is not in it, so its signing record is put aside:
 * the node starts with a lost record, learns from a quorum of others where the chain is, and votes
 * only above that. Where the others are too few for that it does not start without the operator's
 * word (docs/CONSENSUS.md).
 */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { LedgerError } from "../base/errors.ts";
import { publicKeyOf } from "../base/format/did.ts";
import { genesisBlock, parseGenesis } from "../base/format/genesis.ts";
import { silentLog } from "../base/log.ts";
import { LedgerStore } from "../ledger/store.ts";
import type { VerifyProgress } from "../ledger/verify-types.ts";
import { type BackupManifest, copyHashed, readManifest } from "./backup-format.ts";
import { type NodeConfig, readNodeConfig, readText } from "./config.ts";
import { readKeyFile } from "./key-file.ts";
import { lockKey } from "./key-lock.ts";
import { SigningRecordFile } from "./signing-record-file.ts";
import { signingRecordOf } from "./storage-places.ts";
import { syncDirectory } from "./sync-directory.ts";
import { verifyStoredChain } from "./verify-chain-command.ts";

/** What is restored, and for which node. */
export type RestoreRequest = {
  /** The backup. */
  readonly from: string;
  readonly configFile: string;
  /** Executes nothing again: checks checksums, density, and the state's root only. */
  readonly isQuick: boolean;
  readonly onProgress?: (progress: VerifyProgress) => void;
};

/**
 * Restores the ledger of a node that is not running and has none.
 *
 * @throws {LedgerError} RESTORE_LEDGER_PRESENT, BACKUP_DAMAGED, LEDGER_CHAIN_MISMATCH,
 *   NODE_KEY_IN_USE when the node runs.
 */
export async function restoreBackup(request: RestoreRequest): Promise<BackupManifest> {
  const config = readNodeConfig(request.configFile);
  const { ledgerDirectory } = config;
  const manifest = await readManifest(request.from);
  if ((await readdir(ledgerDirectory).catch(() => [])).length > 0)
    throw new LedgerError("RESTORE_LEDGER_PRESENT", { directory: ledgerDirectory });
  const release = await lockNode(config);
  const draft = `${ledgerDirectory}.restoring`;
  try {
    await rm(draft, { recursive: true, force: true });
    await copyChecked(request.from, draft, manifest);
    await placeGenesis(request.from, config, manifest);
    await (request.isQuick ? checkQuickly : checkWhole)(draft, { request, config, manifest });
    // First this: a kill in between leaves a lost record, never an old ledger beside a stale one.
    const record = signingRecordOf(config);
    if (record !== undefined) await SigningRecordFile.setAside(record);
    if (existsSync(ledgerDirectory)) await rmdir(ledgerDirectory);
    await rename(draft, ledgerDirectory);
    await syncDirectory(dirname(ledgerDirectory));
    return manifest;
  } finally {
    await rm(draft, { recursive: true, force: true });
    release();
  }
}

/** Holds the validator key, so that the node cannot run meanwhile. */
async function lockNode({ validatorKeyFile }: NodeConfig): Promise<() => void> {
  if (validatorKeyFile === undefined) return () => {};
  const { publicKey } = await readKeyFile(validatorKeyFile);
  const lock = await lockKey(publicKeyOf(publicKey as `did:key:${string}`), silentLog);
  return () => lock.release();
}

/** Copies the ledger; what is compared is what was copied, not what may change after. */
async function copyChecked(from: string, draft: string, { files }: BackupManifest): Promise<void> {
  await mkdir(draft, { recursive: true, mode: 0o700 });
  for (const { path, bytes, sha256 } of files) {
    const file = join(from, path);
    if (!path.startsWith("ledger/")) continue;
    const copied = await copyHashed(file, join(draft, basename(path))).catch((cause: unknown) => {
      const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
      throw new LedgerError("BACKUP_DAMAGED", { file, reason }, { cause });
    });
    if (copied.bytes === bytes && copied.sha256 === sha256) continue;
    const reason = "its bytes are not those that the manifest names";
    throw new LedgerError("BACKUP_DAMAGED", { file, reason });
  }
  await syncDirectory(draft);
}

/** The node's own genesis counts; where it has none yet, it gets that of the backup. */
async function placeGenesis(
  from: string,
  config: NodeConfig,
  { chainId: actual }: BackupManifest,
): Promise<void> {
  const isThere = existsSync(config.genesis);
  const file = isThere ? config.genesis : join(from, "genesis.json");
  const { chainId: expected } = genesisBlock(parseGenesis(readText(file)));
  if (actual !== expected) throw new LedgerError("LEDGER_CHAIN_MISMATCH", { expected, actual });
  if (isThere) return;
  await mkdir(dirname(config.genesis), { recursive: true });
  await copyFile(file, config.genesis);
}

type Check = {
  readonly request: RestoreRequest;
  readonly config: NodeConfig;
  readonly manifest: BackupManifest;
};

async function checkWhole(draft: string, { request, config, manifest }: Check): Promise<void> {
  const { height, hash } = manifest;
  const { onProgress } = request;
  const verdict = await verifyStoredChain({
    directory: draft,
    genesisFile: config.genesis,
    expect: { height, hash },
    ...(onProgress && { onProgress }),
  });
  if (verdict.isValid) return;
  const file = join(request.from, "ledger");
  throw new LedgerError("BACKUP_DAMAGED", { file, reason: verdict.summary });
}

async function checkQuickly(draft: string, { request, config, manifest }: Check): Promise<void> {
  const genesis = genesisBlock(parseGenesis(readText(config.genesis)));
  const store = await LedgerStore.open({ directory: draft, genesis, log: silentLog });
  const { tip } = store;
  await store.close();
  if (tip.height === manifest.height && tip.hash === manifest.hash) return;
  const reason = "its last block is not the one that the manifest names";
  throw new LedgerError("BACKUP_DAMAGED", { file: join(request.from, "ledger"), reason });
}

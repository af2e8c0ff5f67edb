/**
 * A backup on disk: a directory that can be checked without anything else.
 *
 * | file | content |
 * |---|---|
 * | `backup.json` | format, chain id, height and hash of the last block, and every other file with its length and SHA-256; written last |
 * | `ledger/` | LevelDB of the ledger, as the one of a stopped node |
 * | `genesis.json`, `node.yaml` | as they were |
 * | `keys/` | the encrypted key files, only when asked for |
 *
 * The signing record is never in it: an old one would let the node sign twice.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { hash32Pattern } from "../base/hash.ts";

const BackupFile = z.strictObject({
  /** Below the backup's directory; nothing in it may lead elsewhere. */
  path: z.string().regex(/^(ledger\/|keys\/)?[A-Za-z0-9][A-Za-z0-9.-]*$/),
  bytes: z.int().min(0),
  sha256: z.string().regex(hash32Pattern),
});

const BackupManifest = z.strictObject({
  format: z.literal("loopledger-backup-v0"),
  chainId: z.string().regex(hash32Pattern),
  height: z.int().min(0),
  hash: z.string().regex(hash32Pattern),
  /** Name of the node it was taken of. */
  node: z.string(),
  /** UTC milliseconds. */
  takenAtMs: z.int(),
  files: z.array(BackupFile),
});

/** A file of a backup with what its bytes must be. */
export type BackupFile = z.infer<typeof BackupFile>;

/** What a backup says of itself. */
export type BackupManifest = z.infer<typeof BackupManifest>;

/** Name of the file with the manifest. */
export const manifestName = "backup.json";

/** Reads the manifest of a backup. @throws {LedgerError} BACKUP_DAMAGED */
export async function readManifest(directory: string): Promise<BackupManifest> {
  const file = join(directory, manifestName);
  try {
    return BackupManifest.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (cause) {
    const reason = "it is missing, or no manifest of a backup";
    throw new LedgerError("BACKUP_DAMAGED", { file, reason }, { cause });
  }
}

/** Copies a file, whole and synced. @returns Length and SHA-256 of what was copied. */
export async function copyHashed(
  from: string,
  to: string,
  mode = 0o600,
): Promise<Omit<BackupFile, "path">> {
  const digest = createHash("sha256");
  let bytes = 0;
  const target = await open(to, "wx", mode);
  try {
    for await (const piece of createReadStream(from, { highWaterMark: 1024 * 1024 })) {
      digest.update(piece as Buffer);
      bytes += (piece as Buffer).length;
      await target.writeFile(piece as Buffer);
    }
    await target.sync();
  } finally {
    await target.close();
  }
  return { bytes, sha256: digest.digest("hex") };
}

/**
 * Where a snapshot is put together, and how it takes the place of a ledger directory. All names
 * begin with that of the ledger directory:
 *
 * | directory | meaning |
 * |---|---|
 * | `.snapshot` | a download under way |
 * | `.ready` | a whole ledger store that is to take the place |
 * | `.replaced` | the ledger before it, which goes |
 *
 * Invariants:
 *
 * (1) A kill between any two steps leaves what `settle` ends: the old ledger in its place, or the
 *     new one, never half of one.
 * (2) A power cut does not take back a ledger that was opened: each rename lasts before the next step.
 */
import { existsSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "./sync-directory.ts";

/** What is done to directories; a test may stop between any two of these. */
export interface Directories {
  has(path: string): boolean;
  /** Returns once no power cut takes it back. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a directory with all in it, if it is there. */
  remove(path: string): Promise<void>;
}

/** Those of the file system. */
export const realDirectories: Directories = {
  has: existsSync,
  rename: async (from, to) => {
    await rename(from, to);
    await syncDirectory(dirname(to));
  },
  remove: (path) => rm(path, { recursive: true, force: true }),
};

/** The directories beside a ledger directory. */
export function snapshotDirectories(ledgerDirectory: string) {
  return {
    ledger: ledgerDirectory,
    download: `${ledgerDirectory}.snapshot`,
    ready: `${ledgerDirectory}.ready`,
    replaced: `${ledgerDirectory}.replaced`,
  };
}

/** Ends a replacement that was begun; call it before the ledger is opened. */
export async function settle(
  ledgerDirectory: string,
  directories: Directories = realDirectories,
): Promise<void> {
  const { ledger, ready, replaced } = snapshotDirectories(ledgerDirectory);
  if (directories.has(ready)) {
    if (directories.has(ledger)) {
      await directories.remove(replaced);
      await directories.rename(ledger, replaced);
    }
    await directories.rename(ready, ledger);
  }
  await directories.remove(replaced);
}

/** Puts a finished download into the place of the ledger; both are closed. */
export async function install(
  ledgerDirectory: string,
  directories: Directories = realDirectories,
): Promise<void> {
  const { download, ready } = snapshotDirectories(ledgerDirectory);
  await directories.rename(download, ready);
  await settle(ledgerDirectory, directories);
}

/** Tells whether there is no ledger yet. */
export async function isFresh(ledgerDirectory: string): Promise<boolean> {
  const files = await readdir(ledgerDirectory).catch((): string[] => []);
  return !files.includes("CURRENT");
}

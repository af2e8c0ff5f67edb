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
 * Invariant: (1) a kill between any two steps leaves what `settle` ends: the old ledger in its
 * place, or the new one, never half of one.
 */
import { existsSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";

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
export async function settle(ledgerDirectory: string): Promise<void> {
  const { ledger, ready, replaced } = snapshotDirectories(ledgerDirectory);
  if (existsSync(ready)) {
    if (existsSync(ledger)) {
      await rm(replaced, { recursive: true, force: true });
      await rename(ledger, replaced);
    }
    await rename(ready, ledger);
  }
  await rm(replaced, { recursive: true, force: true });
}

/** Puts a finished download into the place of the ledger; both are closed. */
export async function install(ledgerDirectory: string): Promise<void> {
  const { download, ready } = snapshotDirectories(ledgerDirectory);
  await rename(download, ready);
  await settle(ledgerDirectory);
}

/** Tells whether there is no ledger yet. */
export async function isFresh(ledgerDirectory: string): Promise<boolean> {
  const files = await readdir(ledgerDirectory).catch((): string[] => []);
  return !files.includes("CURRENT");
}

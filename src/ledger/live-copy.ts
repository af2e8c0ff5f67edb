/**
 * Takes a consistent set of files of a LevelDB while a node writes to it, without its help.
 *
 * Tables are never changed once they are part of the database; logs only grow; which of them count
 * says the manifest, which only grows, too, until a new one takes its place. So: read the manifest,
 * take all tables (as hard links, which keep them when LevelDB deletes them) and copies of the
 * logs, read the manifest again. When it has not changed, the files are those it names, and each
 * log holds what it held at some moment meanwhile: the same that a kill at that moment would have
 * left. When it has changed, all is taken anew; that happens once in some megabytes of writes.
 */
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LedgerError } from "../base/errors.ts";
import { linkOrCopy } from "./database-copy.ts";

const attemptsMax = 100;
const pauseMs = 50;

type Manifest = { readonly name: string; readonly bytes: Buffer };

/**
 * Takes the files of the LevelDB in a directory into another one, which may exist already.
 *
 * @throws {LedgerError} LEDGER_STORE_MISSING when there is none, BACKUP_LEDGER_BUSY when it never
 *   stood still for long enough.
 */
export async function copyLiveFiles(directory: string, target: string): Promise<void> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const before = await readManifest(directory);
    await rm(target, { recursive: true, force: true });
    await mkdir(target, { recursive: true, mode: 0o700 });
    const isTaken = await takeFiles(directory, target);
    const after = await readManifest(directory);
    if (isTaken && before.name === after.name && before.bytes.equals(after.bytes)) {
      await writeFile(join(target, before.name), before.bytes);
      await writeFile(join(target, "CURRENT"), `${before.name}\n`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  throw new LedgerError("BACKUP_LEDGER_BUSY", { directory });
}

/** @returns False when LevelDB deleted a file meanwhile. */
async function takeFiles(directory: string, target: string): Promise<boolean> {
  try {
    for (const file of await readdir(directory)) {
      const [from, to] = [join(directory, file), join(target, file)];
      if (/^\d+\.(ldb|sst)$/.test(file)) await linkOrCopy(from, to);
      // A link would go on growing with the original.
      else if (/^\d+\.log$/.test(file)) await copyFile(from, to);
    }
    return true;
  } catch (error) {
    if (!isMissing(error)) throw error;
    return false;
  }
}

/** LevelDB puts the name of a new manifest into CURRENT only once that is whole. */
async function readManifest(directory: string): Promise<Manifest> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1)
    try {
      const name = (await readFile(join(directory, "CURRENT"), "latin1")).trimEnd();
      if (!/^MANIFEST-\d+$/.test(name)) break;
      return { name, bytes: await readFile(join(directory, name)) };
    } catch (error) {
      const isReplaced = isMissing(error) && (await readdir(directory).catch(() => [])).length > 0;
      if (!isReplaced) break;
    }
  throw new LedgerError("LEDGER_STORE_MISSING", { directory });
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

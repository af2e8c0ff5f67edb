/**
 * Opens a LevelDB of a stopped node without changing it. LevelDB has no read-only mode: on opening
 * it turns logs into tables and deletes what it takes for obsolete. So it gets a directory of its
 * own, with hard links to the big files, which it never writes to again, and copies of the others.
 *
 * The lock file is a link, too, so that no node can start on the directory meanwhile.
 */
import { copyFile, link, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { LedgerError } from "../base/errors.ts";
import { type Database, openDatabase, salvageDatabase } from "./database.ts";
import { fatalTables } from "./level-files.ts";

/** A database over a copy of the files; `close` removes the copy. */
export type DatabaseCopy = { readonly database: Database; readonly close: () => Promise<void> };

/**
 * Opens a copy of the LevelDB in a directory.
 *
 * @throws {LedgerError} LEDGER_STORE_LOCKED when a node runs on it, LEDGER_STORE_MISSING when
 *   there is none, LEDGER_STORE_UNREADABLE when LevelDB cannot make sense of the files.
 */
export async function openDatabaseCopy(directory: string): Promise<DatabaseCopy> {
  const files = await readdir(directory).catch((): string[] => []);
  const data = files.filter((file) =>
    /^(\d+\.(ldb|sst|log)|MANIFEST-\d+|CURRENT|LOCK)$/.test(file),
  );
  if (data.length === 0) throw new LedgerError("LEDGER_STORE_MISSING", { directory });
  const copy = await makeDirectory(directory);
  const remove = () => rm(copy, { recursive: true, force: true });
  try {
    for (const file of data) await linkOrCopy(join(directory, file), join(copy, file));
    // Without such a table what was in it is missing, and which block it was cannot be named.
    if ((await fatalTables(copy)).length > 0) await salvageDatabase(copy);
    const database = await openDatabase(copy);
    const close = () => database.close().finally(remove);
    return { database, close };
  } catch (error) {
    await remove();
    if (!(error instanceof LedgerError)) throw error;
    const facts = { ...error.facts, directory } as never;
    throw new LedgerError(error.code, facts, { cause: error });
  }
}

/** Beside the original, where links are possible; elsewhere when nobody may write there. */
async function makeDirectory(directory: string): Promise<string> {
  const beside = `${resolve(directory)}.verify-`;
  return mkdtemp(beside).catch(() => mkdtemp(join(tmpdir(), `${basename(beside)}`)));
}

/** Takes a file as a link where that is possible; LevelDB never writes to it again. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  const isWrittenTo = /CURRENT$|MANIFEST-\d+$/.test(to);
  if (isWrittenTo) return copyFile(from, to);
  await link(from, to).catch(() => copyFile(from, to));
}

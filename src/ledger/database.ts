/**
 * What the ledger needs of its key-value database, and the real one: LevelDB. The interface is
 * small so that tests can put a database in memory, or one that fails on purpose, in its place.
 *
 * Keys are text in the order of their UTF-8 bytes; values are bytes. LevelDB gives no integrity by
 * itself here: its block checksums are not verified on reads (D16), so records carry their own.
 */
import { mkdir, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";
import { LedgerError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { checkLevelFiles } from "./level-files.ts";

/** One write of a batch. */
export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: string };

/** Which keys to walk over: from `gte` (inclusive) to `lt` (exclusive). */
export type DatabaseRange = {
  readonly gte: string;
  readonly lt: string;
  readonly reverse?: boolean;
  readonly limit?: number;
};

/** A walk over a range in pieces. `nextv` gives an empty list at the end. */
export interface DatabaseIterator<T> {
  nextv(count: number): Promise<T[]>;
  close(): Promise<void>;
}

/** An ordered key-value database with atomic batches. */
export interface Database {
  get(key: string): Promise<Uint8Array | undefined>;
  getSync(key: string): Uint8Array | undefined;
  /** All or nothing, also when the process is killed; with `sync` also after a power cut. */
  batch(operations: Operation[], options: { sync: boolean }): Promise<void>;
  keys(range: DatabaseRange): DatabaseIterator<string>;
  iterator(range: DatabaseRange): DatabaseIterator<[string, Uint8Array]>;
  close(): Promise<void>;
  /** Has the files of a range shrink to what is still in it. Absent where there are no files. */
  compact?(range: { readonly gte: string; readonly lt: string }): Promise<void>;
  /**
   * Closes and opens it anew under its users, after a write that failed: LevelDB may have left a
   * torn record in its log, behind which later ones would be lost. Absent where nothing tears.
   *
   * @throws {LedgerError} LEDGER_STORE_UNREADABLE; it is closed then, and may be renewed again.
   */
  renew?(): Promise<void>;
}

/** Entries fetched at once during a walk. */
const walkEntries = 1_000;

/**
 * Opens the LevelDB of a directory, creating it when there is none.
 *
 * @throws {LedgerError} LEDGER_STORE_LOCKED when another process has it open,
 *   LEDGER_STORE_UNREADABLE when LevelDB cannot make sense of its files.
 */
export async function openDatabase(
  directory: string,
  options: { readonly writeBufferBytes?: number } = {},
): Promise<Database> {
  const open = () => openLevel(directory, options.writeBufferBytes);
  return new LevelDatabase(directory, open, await open());
}

async function openLevel(directory: string, writeBufferSize?: number): Promise<LevelStore> {
  await checkCurrent(directory);
  await mkdir(directory, { recursive: true });
  const level: LevelStore = new Level(directory, {
    keyEncoding: "utf8",
    valueEncoding: "view",
    cacheSize: limits.databaseCacheBytes,
    writeBufferSize: writeBufferSize ?? limits.databaseWriteBufferBytes,
  });
  try {
    await level.open();
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    if (codeOf(cause) === "LEVEL_LOCKED")
      throw new LedgerError("LEDGER_STORE_LOCKED", { directory }, { cause });
    throw unreadable(cause, directory);
  }
  return level;
}

type LevelStore = Level<string, Uint8Array>;
type Compactable = {
  compactRange(start: string, end: string, options: { keyEncoding: "utf8" }): Promise<void>;
};

/**
 * A LevelDB that can be opened anew under its users. While that goes on, reads wait for it; the
 * synchronous one cannot and throws LEDGER_STORE_CLOSED, like all others once it is closed. What
 * its owner closed is never opened again.
 */
class LevelDatabase implements Database {
  readonly #directory: string;
  readonly #open: () => Promise<LevelStore>;
  #level: LevelStore | undefined;
  #renewing: Promise<void> | undefined;
  #isClosed = false;

  constructor(directory: string, open: () => Promise<LevelStore>, level: LevelStore) {
    this.#directory = directory;
    this.#open = open;
    this.#level = level;
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#use((level) => level.get(key));
  }

  getSync(key: string): Uint8Array | undefined {
    return this.#opened().getSync(key);
  }

  batch(operations: Operation[], options: { sync: boolean }): Promise<void> {
    return this.#use((level) => level.batch(operations, options));
  }

  keys(range: DatabaseRange): DatabaseIterator<string> {
    return this.#walk((level) => level.keys(range));
  }

  iterator(range: DatabaseRange): DatabaseIterator<[string, Uint8Array]> {
    return this.#walk((level) => level.iterator(range));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#renewing?.catch(() => {});
    const level = this.#level;
    this.#level = undefined;
    await level?.close();
  }

  compact({ gte, lt }: { readonly gte: string; readonly lt: string }): Promise<void> {
    // LevelDB's own: the type of `level` hides it, as browsers have none.
    return this.#use((level) =>
      (level as unknown as Compactable).compactRange(gte, lt, { keyEncoding: "utf8" }),
    );
  }

  renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    if (this.#isClosed) throw this.#closed();
    const level = this.#level;
    this.#level = undefined;
    await level?.close();
    this.#level = await this.#open();
  }

  async #use<T>(work: (level: LevelStore) => Promise<T>): Promise<T> {
    // What fails to open is reported to who renews; here it is closed, no more.
    if (this.#renewing !== undefined) await this.#renewing.catch(() => {});
    const level = this.#opened();
    return this.#explained(level, () => work(level));
  }

  #walk<T>(begin: (level: LevelStore) => DatabaseIterator<T>): DatabaseIterator<T> {
    const level = this.#opened();
    const iterator = begin(level);
    return {
      nextv: (count) => this.#explained(level, () => iterator.nextv(count)),
      close: () => iterator.close(),
    };
  }

  #opened(): LevelStore {
    if (this.#level === undefined) throw this.#closed();
    return this.#level;
  }

  /** What fails because the database was closed meanwhile is no damage. */
  async #explained<T>(level: LevelStore, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (this.#level === level) throw cause;
      throw this.#closed(cause);
    }
  }

  #closed(cause?: unknown): LedgerError {
    return new LedgerError("LEDGER_STORE_CLOSED", { directory: this.#directory }, { cause });
  }
}

/** Tells whether LevelDB itself threw an error. */
export function isLevelError(error: unknown): boolean {
  return String(codeOf(error)).startsWith("LEVEL_");
}

/** Tells whether LevelDB threw it because its files are damaged. */
export function isLevelCorruption(error: unknown): boolean {
  return codeOf(error) === "LEVEL_CORRUPTION";
}

/** Returns the error for what LevelDB threw; all other errors come back as they are. */
export function unreadable(error: unknown, directory: string): unknown {
  if (!isLevelError(error)) return error;
  const reason = error instanceof Error ? error.message : String(codeOf(error));
  const facts = { directory, reason, salvageable: isLevelCorruption(error) };
  return new LedgerError("LEDGER_STORE_UNREADABLE", facts, { cause: error });
}

/**
 * LevelDB takes a directory without the file CURRENT for a new one and would delete what is in it.
 */
async function checkCurrent(directory: string): Promise<void> {
  const files = await readdir(directory).catch((): string[] => []);
  if (!files.some((file) => /^(MANIFEST-\d+|\d+\.(ldb|sst|log))$/.test(file))) return;
  const current = await readFile(join(directory, "CURRENT"), "latin1").catch(() => "");
  if (current.endsWith("\n") && files.includes(current.slice(0, -1))) return;
  const reason = "the file CURRENT is missing or names no manifest";
  throw new LedgerError("LEDGER_STORE_UNREADABLE", { directory, reason, salvageable: true });
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}

/**
 * Makes a directory readable for LevelDB again: puts damaged tables aside, into `lost/`, and lets
 * LevelDB make a new table of files from the rest. Records may be lost or stale afterwards: the
 * checks at open find that out.
 *
 * @returns Names of the files put aside.
 */
export async function salvageDatabase(directory: string): Promise<string[]> {
  const problems = await checkLevelFiles(directory);
  const tables = problems.map(({ file }) => file).filter((file) => /\.(ldb|sst)$/.test(file));
  await mkdir(join(directory, "lost"), { recursive: true });
  for (const table of tables) await rename(join(directory, table), join(directory, "lost", table));
  // LevelDB's own repair: the type of `level` hides it, as browsers have none.
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(directory);
  return tables;
}

/** Walks over all entries of a range. */
export async function* entriesOf(
  database: Database,
  range: DatabaseRange,
): AsyncGenerator<readonly [key: string, value: Uint8Array]> {
  yield* walk(database.iterator(range));
}

/** Walks over all keys of a range. */
export async function* keysOf(database: Database, range: DatabaseRange): AsyncGenerator<string> {
  yield* walk(database.keys(range));
}

/** Deletes a range from its end to its beginning, or what of it is wanted gone; not synced. */
export async function deleteRange(
  database: Database,
  range: DatabaseRange,
  isWanted: (key: string) => boolean = () => true,
): Promise<void> {
  let operations: Operation[] = [];
  for await (const key of keysOf(database, { ...range, reverse: true })) {
    if (!isWanted(key)) continue;
    operations.push({ type: "del", key });
    if (operations.length < limits.repairBatchOperations) continue;
    await database.batch(operations, { sync: false });
    operations = [];
  }
  await database.batch(operations, { sync: false });
}

async function* walk<T>(iterator: DatabaseIterator<T>): AsyncGenerator<T> {
  try {
    for (;;) {
      const entries = await iterator.nextv(walkEntries);
      if (entries.length === 0) return;
      yield* entries;
    }
  } finally {
    await iterator.close();
  }
}

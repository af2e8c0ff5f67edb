/** Databases for tests of storage: in memory, and one that fails on purpose. */
import { MemoryLevel } from "memory-level";
import type { Database, Operation } from "../../src/ledger/database.ts";

/** Returns an empty database in memory. Closing it keeps its entries for the next open. */
export function memoryDatabase(): Database {
  const level = new MemoryLevel<string, Uint8Array>({
    keyEncoding: "utf8",
    valueEncoding: "view",
    storeEncoding: "buffer",
  });
  return {
    get: (key) => level.get(key),
    getSync: (key) => level.getSync(key),
    batch: (operations) => level.batch(operations),
    keys: (range) => level.keys(range),
    iterator: (range) => level.iterator(range),
    close: async () => {},
  };
}

/** Returns the database with the writes that `onBatch` sees first; it may throw or wait. */
export function watchedDatabase(
  database: Database,
  onBatch: (operations: Operation[]) => void | Promise<void>,
): Database {
  return {
    get: (key) => database.get(key),
    getSync: (key) => database.getSync(key),
    batch: async (operations, options) => {
      await onBatch(operations);
      await database.batch(operations, options);
    },
    keys: (range) => database.keys(range),
    iterator: (range) => database.iterator(range),
    close: () => database.close(),
  };
}

/** Flips the bits of `mask` in one byte of a stored record. */
export async function flipByte(
  database: Database,
  place: { readonly key: string; readonly index: number; readonly mask?: number },
): Promise<void> {
  const { key, index, mask = 1 } = place;
  const value = Uint8Array.from((await database.get(key)) ?? []);
  value[index] = (value[index] as number) ^ mask;
  await database.batch([{ type: "put", key, value }], { sync: true });
}

/** Returns all keys of a database in order. */
export async function allKeys(database: Database): Promise<string[]> {
  const iterator = database.keys({ gte: "", lt: "\u{10ffff}" });
  const keys = await iterator.nextv(1_000_000);
  await iterator.close();
  return keys;
}

/**
 * Damages copies of a stopped node's ledger, for `chain verify` to find. It writes into the
 * database's files behind the database's back, as a forger or a bad disk would.
 */
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "../../base/assert.ts";

/** Where a byte was changed. */
export type Damage = { readonly file: string; readonly offset: number };

/** Files of LevelDB that hold data. */
const dataFile = /^(\d+\.(ldb|log)|MANIFEST-\d+)$/;
/** So many bytes of a signature are looked for: no other place on earth has them. */
const needleBytes = 24;

/** Copies a ledger directory. */
export async function copyLedger(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true });
}

/**
 * Flips one bit of the stored bytes of one of some transactions, in the block that holds it.
 *
 * @param transactions - Signed bytes; the first one that lies in one piece in the files is taken.
 * @returns Which one it was, and where.
 */
export async function damageTransaction(
  directory: string,
  transactions: readonly Uint8Array[],
): Promise<Damage & { readonly index: number }> {
  for (const file of await dataFiles(directory)) {
    const bytes = await readFile(join(directory, file));
    for (const [index, transaction] of transactions.entries()) {
      const found = bytes.indexOf(transaction.subarray(-needleBytes));
      if (found < 0) continue;
      const offset = found + needleBytes - 1;
      await flipBit(join(directory, file), bytes, { offset, bit: 0 });
      return { file, offset, index };
    }
  }
  return assert(false, "a stored transaction lies in one piece in a file") as never;
}

/** Flips one bit at a place in the files that follows from a seed. */
export async function damageAnywhere(directory: string, seed: number): Promise<Damage> {
  const random = randomFrom(seed);
  const files = await Promise.all(
    (await dataFiles(directory)).map(async (file) => ({
      file,
      bytes: await readFile(join(directory, file)),
    })),
  );
  const size = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
  let offset = Math.floor(random() * size);
  const bit = Math.floor(random() * 8);
  for (const { file, bytes } of files) {
    if (offset < bytes.length) {
      await flipBit(join(directory, file), bytes, { offset, bit });
      return { file, offset };
    }
    offset -= bytes.length;
  }
  return assert(false, "the offset lies in one of the files") as never;
}

async function dataFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((file) => dataFile.test(file)).sort();
}

async function flipBit(
  path: string,
  bytes: Buffer,
  { offset, bit }: { readonly offset: number; readonly bit: number },
): Promise<void> {
  bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
  await writeFile(path, bytes);
}

/** A small generator (mulberry32): the same seed gives the same place on every machine. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

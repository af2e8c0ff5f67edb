/**
 * `isWalkable` promises that LevelDB survives a table, whatever is damaged in it. The oracle is
 * LevelDB itself, in a process of its own, over tables that it wrote.
 */
import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openDatabase } from "../../../src/ledger/database.ts";
import { isWalkable, tableProblem } from "../../../src/ledger/level-table.ts";
import { seedOf } from "../../helpers/seed.ts";
import { Random } from "../../sim/random.ts";

const child = fileURLToPath(new URL("../../helpers/walk-child.mjs", import.meta.url));
const seed = seedOf(20_190_101);
const footerBytes = 48;
/** So long that LevelDB does not compress random ones with their keys. */
const valueBytes = 80;
/** Places in the first entry: how long its key is, and the key. */
const firstEntry = { own: 1, key: 3 };

type Table = { readonly directory: string; readonly file: string; readonly bytes: Buffer };

let parent: string;
let plain: Table;
let compressed: Table;

async function makeTable(directory: string, valueByte: (at: number) => number): Promise<Table> {
  const database = await openDatabase(directory);
  const operations = Array.from({ length: 300 }, (_, index) => ({
    type: "put" as const,
    key: `reading/${index}`,
    value: Uint8Array.from({ length: valueBytes }, (_, at) => valueByte(valueBytes * index + at)),
  }));
  await database.batch(operations, { sync: true });
  // A table keeps both versions, the newer one first.
  await database.batch(operations.slice(-20), { sync: true });
  await database.close();
  // What the log has becomes a table when the database is opened again.
  await (await openDatabase(directory)).close();
  const file = (await readdir(directory)).find((name) => name.endsWith(".ldb")) as string;
  return { directory, file, bytes: await readFile(join(directory, file)) };
}

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "loopledger-tables-"));
  const random = new Random(1);
  plain = await makeTable(join(parent, "plain"), () => random.below(256));
  compressed = await makeTable(join(parent, "compressed"), (at) => at % 7);
});
afterAll(() => rm(parent, { recursive: true, force: true }));

/** How many databases with these tables LevelDB came through, and what ended it. */
async function tried({ directory, file }: Table, tables: readonly Buffer[]) {
  const copies = tables.map((_, index) => join(parent, `${index}`));
  for (const [index, bytes] of tables.entries()) {
    const copy = copies[index] as string;
    await cp(directory, copy, { recursive: true });
    await writeFile(join(copy, file), bytes);
  }
  const { stdout, signal } = spawnSync(process.execPath, [child, ...copies], { encoding: "utf8" });
  for (const copy of copies) await rm(copy, { recursive: true });
  return { survived: stdout.split("\n").length - 1, signal };
}

function flipped(bytes: Buffer, place: number, bit: number): Buffer {
  return changed(bytes, place, (bytes[place] as number) ^ (1 << bit));
}

function changed(bytes: Buffer, place: number, byte: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[place] = byte;
  return copy;
}

describe("a table of LevelDB", () => {
  it("is walkable as LevelDB wrote it, and with a damaged value, which is a problem all the same", () => {
    for (const { bytes } of [plain, compressed]) expect(isWalkable(bytes)).toBe(true);
    expect(plain.bytes.subarray(3, 12).toString()).toBe("reading/0");
    expect(compressed.bytes.length).toBeLessThan(plain.bytes.length / 2);
    const value = firstEntry.key + (plain.bytes[firstEntry.own] as number);
    const damaged = flipped(plain.bytes, value, 3);
    expect([isWalkable(damaged), tableProblem(damaged)?.offset]).toEqual([true, 0]);
  });

  it("is not walkable when its index, its footer or its end is damaged", () => {
    for (const { bytes } of [plain, compressed]) {
      const footer = bytes.length - footerBytes;
      // The index lies before the footer, after the metaindex.
      for (let place = footer - 30; place < footer; place += 1)
        for (let bit = 0; bit < 8; bit += 1)
          expect(isWalkable(flipped(bytes, place, bit)), `${place}.${bit}`).toBe(false);
      for (let place = footer; place < footer + 4; place += 1)
        expect(isWalkable(flipped(bytes, place, 0)), `${place}`).toBe(false);
      for (const end of [0, 1, 47, 48, 100, bytes.length - 200, bytes.length - 1])
        expect(isWalkable(bytes.subarray(0, end)), `cut at ${end}`).toBe(false);
    }
  });

  it("is not walkable when LevelDB would end the process over it", async () => {
    const { bytes } = plain;
    const shortKey = changed(bytes, firstEntry.own, 3);
    // Of the second entry the first byte of its own after those of the first entry.
    const own = firstEntry.key + (bytes[firstEntry.own] as number) + valueBytes;
    const outOfOrder = changed(bytes, own + 3, 0);
    for (const deadly of [shortKey, outOfOrder]) {
      expect(isWalkable(deadly)).toBe(false);
      expect(await tried(plain, [deadly])).toEqual({ survived: 0, signal: "SIGABRT" });
    }
  }, 30_000);

  it("that is walkable ends no process, wherever bits are flipped or stretches are lost", async () => {
    const random = new Random(seed);
    for (const table of [plain, compressed]) {
      const damaged = Array.from({ length: 70 }, (_, index) => {
        const place = random.below(table.bytes.length - footerBytes);
        if (index % 5 > 0) return flipped(table.bytes, place, random.below(8));
        const copy = Buffer.from(table.bytes);
        return copy.fill(0, place, place + random.below(40));
      });
      const walkable = damaged.filter(isWalkable);
      expect(walkable.length).toBeGreaterThan(8);
      expect(damaged.length - walkable.length).toBeGreaterThan(8);
      const outcome = await tried(table, walkable);
      expect(outcome, `SEED=${seed}`).toEqual({ survived: walkable.length, signal: null });
    }
  }, 30_000);
});

/** Envelope, keys and checks of raw LevelDB files. Quotes the table in src/ledger/records.ts. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import { crc32c, maskedCrc32c } from "../../../src/ledger/crc32c.ts";
import { openDatabase } from "../../../src/ledger/database.ts";
import { checkLevelFiles, logProblem } from "../../../src/ledger/level-files.ts";
import { tableProblem } from "../../../src/ledger/level-table.ts";
import {
  decodeRecord,
  encodeRecord,
  heightOfKey,
  historyRange,
  recordKeys,
  stateKeyOf,
} from "../../../src/ledger/records.ts";
import { ValueCache } from "../../../src/ledger/value-cache.ts";

const corrupt = { code: "LEDGER_RECORD_CORRUPT" };

describe("record envelope", () => {
  it("has the documented bytes", () => {
    const record = encodeRecord("b/000000000001", utf8("payload"));
    // Python: zlib.crc32(b"b/000000000001\x00payload") == 0xb934497e
    expect(Buffer.from(record).toString("hex")).toBe("b934497e7061796c6f6164");
    expect(decodeRecord("b/000000000001", record)).toEqual(utf8("payload"));
  });

  it("notices every flipped bit, and every cut", () => {
    const key = recordKeys.history("toy/a", 7);
    const record = encodeRecord(key, utf8("some value"));
    for (let bit = 0; bit < record.length * 8; bit += 1) {
      const damaged = Uint8Array.from(record);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => decodeRecord(key, damaged)).toThrow(
        expect.objectContaining({ ...corrupt, facts: { key, height: 7 } }),
      );
    }
    for (let length = 0; length < record.length; length += 1)
      expect(() => decodeRecord(key, record.subarray(0, length))).toThrow(
        expect.objectContaining(corrupt),
      );
  });

  it("notices a record under another key", () => {
    const record = encodeRecord("s/toy/a", utf8("1"));
    expect(() => decodeRecord("s/toy/b", record)).toThrow(
      expect.objectContaining({ ...corrupt, facts: { key: "s/toy/b", height: null } }),
    );
  });

  it("gives a plain view without copying, also from a Buffer", () => {
    const record = Buffer.from(encodeRecord("s/a", utf8("1")));
    const payload = decodeRecord("s/a", record);
    expect(Object.getPrototypeOf(payload)).toBe(Uint8Array.prototype);
    expect(payload.buffer).toBe(record.buffer);
  });
});

describe("record keys", () => {
  it("order heights by bytes, and give them back", () => {
    const heights = [0, 1, 9, 10, 255, 256, 2 ** 32, 2 ** 40];
    const keys = heights.map(recordKeys.block);
    expect(keys.toSorted()).toEqual(keys);
    expect(keys.map(heightOfKey)).toEqual(heights);
    expect(heightOfKey(recordKeys.history("a/\n\u{1f525}", 12))).toBe(12);
    expect(heightOfKey(recordKeys.state("toy/000000000001"))).toBeUndefined();
    expect(heightOfKey(recordKeys.tip)).toBeUndefined();
  });

  it("give state keys back, whatever is in them", () => {
    for (const key of ["toy/a", "toy/a/000000000001", "a\0b", "\u{1f525}/", "s/h/"]) {
      expect(stateKeyOf(recordKeys.state(key))).toBe(key);
      expect(stateKeyOf(recordKeys.history(key, 3))).toBe(key);
      const { gte, lt } = historyRange(key, { from: 2, to: 4 });
      const isWithin = [1, 2, 4, 5].map((height) => {
        const recordKey = recordKeys.history(key, height);
        return recordKey >= gte && recordKey < lt;
      });
      expect(isWithin).toEqual([false, true, true, false]);
    }
  });
});

describe("checks of LevelDB files", () => {
  it("know CRC-32C", () => {
    // RFC 3720, B.4: 32 bytes of zeros, of ones, and 0..31.
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index))).toBe(0x46dd794e);
    expect(maskedCrc32c(new Uint8Array(32))).toBe(0xfd7fffa);
  });

  it("find every flipped bit of logs and tables, compressed and not", async () => {
    const directory = await mkdtemp(join(tmpdir(), "loopledger-files-"));
    const database = await openDatabase(directory);
    for (let round = 0; round < 3; round += 1) {
      const operations = Array.from({ length: 150 }, (_, index) => ({
        type: "put" as const,
        key: `key-${round}-${index}`,
        // Half of it compresses well, half not at all.
        value: Uint8Array.from({ length: 300 }, (_, at) =>
          index % 2 === 0 ? at % 7 : (at * at * 2654435761 + index * 40503) >>> 7,
        ),
      }));
      await database.batch(operations, { sync: true });
    }
    await database.close();
    const flips: [string, Buffer, (bytes: Buffer) => unknown][] = [];
    const collect = async () => {
      expect(await checkLevelFiles(directory)).toEqual([]);
      for (const file of await readdir(directory)) {
        const bytes = await readFile(join(directory, file));
        if (/\.log$|MANIFEST/.test(file)) flips.push([file, bytes, logProblem]);
        if (file.endsWith(".ldb")) flips.push([file, bytes, tableProblem]);
      }
    };
    await collect();
    await (await openDatabase(directory)).close();
    await collect();
    expect(new Set(flips.map(([file]) => file.slice(-4))).size).toBeGreaterThan(2);
    for (const [file, bytes, check] of flips)
      for (let place = 0; place < bytes.length; place += place < bytes.length - 60 ? 997 : 1)
        for (let bit = 0; bit < 8; bit += place < bytes.length - 60 ? 5 : 1) {
          bytes[place] = (bytes[place] as number) ^ (1 << bit);
          expect(check(bytes), `${file} ${place}.${bit}`).toBeDefined();
          bytes[place] = (bytes[place] as number) ^ (1 << bit);
        }
    for (const [file, bytes, check] of flips)
      if (bytes.length > 0) expect(check(bytes.subarray(0, -1)), file).toBeDefined();
    await rm(directory, { recursive: true });
  });
});

describe("tables in use", () => {
  it("are all checked, also after compactions; one that was left unfinished is none", async () => {
    const directory = await mkdtemp(join(tmpdir(), "loopledger-files-"));
    const tablesIn = async () => (await readdir(directory)).filter((file) => file.endsWith(".ldb"));
    let before: readonly string[] = [];
    for (let round = 0; round < 6; round += 1) {
      const database = await openDatabase(directory);
      const value = new Uint8Array(2_000).fill(round);
      const keys = Array.from({ length: 60 }, (_, index) => `key-${index}`);
      const operations = keys.map((key) => ({ type: "put" as const, key, value }));
      await database.batch(operations, { sync: true });
      before = await tablesIn();
      if (round === 5) await database.compact?.({ gte: "", lt: "~" });
      await database.close();
    }
    const tables = await tablesIn();
    expect(tables.length).toBeGreaterThan(0);
    const [gone = ""] = before.filter((file) => !tables.includes(file));
    // As a compaction leaves them that was cut off by the end of the process, before and after.
    const whole = await readFile(join(directory, tables[0] as string));
    for (const file of ["000999.ldb", gone])
      await writeFile(join(directory, file), whole.subarray(0, whole.length - 100));
    expect(await checkLevelFiles(directory)).toEqual([]);
    for (const file of tables) {
      const bytes = await readFile(join(directory, file));
      await writeFile(join(directory, file), bytes.subarray(0, -1));
      expect(await checkLevelFiles(directory), file).toMatchObject([{ file }]);
      await writeFile(join(directory, file), bytes);
    }
    await rm(directory, { recursive: true });
  });
});

describe("checks of files made by hand", () => {
  const concat = (...parts: (Uint8Array | number[])[]) =>
    Buffer.concat(parts.map((part) => Uint8Array.from(part)));
  const fragment = (type: number, length: number) => {
    const body = concat([type], new Uint8Array(length).fill(7));
    const head = Buffer.alloc(6);
    head.writeUInt32LE(maskedCrc32c(body));
    head.writeUInt16LE(length, 4);
    return concat(head, body);
  };
  const [full, first, middle, last] = [1, 2, 3, 4];

  it("want zeros where a log block has no room for a fragment", () => {
    const filler = fragment(full, 32_768 - 7 - 3);
    expect(logProblem(concat(filler, [0, 0, 0], fragment(full, 9)))).toBeUndefined();
    const problem = { offset: 32_765, reason: "padding is not zero" };
    expect(logProblem(concat(filler, [0, 4, 0], fragment(full, 9)))).toEqual(problem);
  });

  it("want log fragments in order, and none missing at the end", () => {
    const log = (...types: number[]) =>
      logProblem(concat(...types.map((type) => fragment(type, 5))));
    expect(log(full, first, middle, middle, last, first, last)).toBeUndefined();
    for (const types of [[middle], [last], [first, full], [first, first], [5], [0]])
      expect(log(...types)?.reason).toBe("a fragment is out of order");
    for (const types of [[first], [full, first, middle]])
      expect(log(...types)?.reason).toContain("ends within a batch");
  });

  // A table without entries: a metaindex and an index block with one restart point each.
  const block = () => {
    const contents = concat([0, 0, 0, 0, 1, 0, 0, 0, 0]);
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32LE(maskedCrc32c(contents));
    return concat(contents, checksum);
  };
  const magic = Buffer.from("57fb808b247547db", "hex");
  const footer = (...handles: number[]) =>
    concat(handles, new Uint8Array(40 - handles.length), magic);

  it("want no byte of a table outside of its blocks", () => {
    expect(tableProblem(concat(block(), block(), footer(0, 8, 13, 8)))).toBeUndefined();
    const gap = concat(block(), [1, 2], block(), footer(0, 8, 15, 8));
    expect(tableProblem(gap)?.reason).toBe("blocks do not follow one another");
    const tail = concat(block(), block(), [1, 2], footer(0, 8, 13, 8));
    expect(tableProblem(tail)?.reason).toBe("bytes between the blocks and the footer");
  });

  it("want handles in their shortest form, or a flipped bit could hide in one", () => {
    const longer = concat(block(), block(), footer(0, 8, 13, 0x88, 0));
    expect(tableProblem(longer)).toBeDefined();
  });
});

describe("value cache", () => {
  it("forgets the least recently used beyond its bound, and what is deleted", () => {
    const cache = new ValueCache(9);
    cache.set("a", "11");
    cache.set("b", "22");
    cache.set("c", "33");
    expect(cache.get("a")).toBe("11");
    cache.set("d", "44");
    expect(["a", "b", "c", "d"].map((key) => cache.get(key))).toEqual([
      "11",
      undefined,
      "33",
      "44",
    ]);
    cache.set("a", undefined);
    cache.set("b", "2");
    expect(["a", "b", "c", "d"].map((key) => cache.get(key))).toEqual([undefined, "2", "33", "44"]);
    cache.set("e", "0123456789");
    expect(cache.get("e")).toBeUndefined();
  });
});

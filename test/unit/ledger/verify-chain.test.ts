/**
 * Offline verification: everything that is damaged, forged, moved or missing is reported with the
 * first bad height, and a whole chain is not. Quotes what src/ledger/verify-chain.ts promises.
 */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blockOf, encodeBlock } from "../../../src/base/format/block.ts";
import { encodeCertificate } from "../../../src/base/format/message.ts";
import { silentLog } from "../../../src/base/log.ts";
import { type Database, openDatabase } from "../../../src/ledger/database.ts";
import { encodeRecord, recordKeys } from "../../../src/ledger/records.ts";
import { openRepaired } from "../../../src/ledger/repair.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { AppendInput } from "../../../src/ledger/types.ts";
import { verifyChain } from "../../../src/ledger/verify-chain.ts";
import { certify, executeToys, TestChain, testGenesis, testVerifier } from "../../helpers/chain.ts";
import { allKeys, flipByte, memoryDatabase } from "../../helpers/databases.ts";

const genesis = testGenesis();
let inputs: AppendInput[];
let tipHash: string;

async function fill(place: { directory: string } | { database: Database }): Promise<void> {
  const store = await LedgerStore.open({ ...place, genesis, log: silentLog });
  for (const input of inputs) await store.append(input);
  await store.close();
}

const verify = (place: { directory: string } | { database: Database }, height?: number) =>
  verifyChain({
    ...place,
    genesis,
    verifier: testVerifier,
    execute: executeToys,
    ...(height === undefined ? {} : { expect: { height, hash: tipHash } }),
  });

beforeAll(async () => {
  const chain = new TestChain(genesis);
  inputs = await chain.blocks(6);
  inputs.push(await chain.next([{ "toy/a": null, "toy/\u{1f525}": 7 }, { "toy/b": 1 }]));
  inputs.push(await chain.next([]));
  tipHash = chain.tip.hash;
});

describe("verifyChain on records", () => {
  it("finds nothing in a whole chain, and says what it cannot know", async () => {
    const database = memoryDatabase();
    await fill({ database });
    const verdict = await verify({ database });
    expect(verdict).toMatchObject({ isValid: true, validHeight: 8, validHash: tipHash });
    expect(verdict.problems).toEqual([]);
    expect(verdict.transactionCount).toBe(8);
    expect(verdict.summary).toBe("valid up to 8; cannot know whether more existed");
    const expected = await verify({ database }, 8);
    expect(expected.summary).toBe("valid up to 8; the expected block is in it");
  });

  it("reports a chain that is shorter than expected, and one that holds another block", async () => {
    const database = memoryDatabase();
    await fill({ database });
    expect(await verify({ database }, 9)).toMatchObject({ isValid: false, firstBadHeight: 9 });
    expect(await verify({ database }, 7)).toMatchObject({ isValid: false, firstBadHeight: 7 });
  });

  it("reports one flipped bit in any record, with its height when it has one", async () => {
    const database = memoryDatabase();
    await fill({ database });
    for (const [number, key] of (await allKeys(database)).entries()) {
      const length = (await database.get(key))?.length ?? 0;
      const index = (number * 31) % length;
      await flipByte(database, { key, index });
      const verdict = await verify({ database });
      expect(verdict.isValid, key).toBe(false);
      const height = /^[bcrhu]\/.*([0-9a-f]{12})$/s.exec(key)?.[1];
      if (height !== undefined)
        expect(verdict.firstBadHeight, key).toBe(Number.parseInt(height, 16));
      await flipByte(database, { key, index });
    }
    expect((await verify({ database })).isValid).toBe(true);
  });

  it("reports any missing record, and any record moved under another key", async () => {
    const database = memoryDatabase();
    await fill({ database });
    const keys = await allKeys(database);
    for (const [number, key] of keys.entries()) {
      const value = (await database.get(key)) as Uint8Array;
      await database.batch([{ type: "del", key }], { sync: true });
      expect((await verify({ database })).isValid, `${key} missing`).toBe(false);
      const other = keys[(number + 1) % keys.length] as string;
      const otherValue = (await database.get(other)) as Uint8Array;
      await database.batch([{ type: "put", key, value: otherValue }], { sync: true });
      expect((await verify({ database })).isValid, `${other} under ${key}`).toBe(false);
      await database.batch([{ type: "put", key, value }], { sync: true });
    }
    expect((await verify({ database })).isValid).toBe(true);
  });

  it("reports records that nothing leads to", async () => {
    const spare = [
      recordKeys.state("toy/zzz"),
      recordKeys.history("toy/a", 99),
      recordKeys.transaction("ab".repeat(32)),
      recordKeys.receipts(99),
      recordKeys.certificate(0),
      recordKeys.rebuilding,
    ];
    for (const key of spare) {
      const database = memoryDatabase();
      await fill({ database });
      const value = encodeRecord(key, Uint8Array.of(1));
      await database.batch([{ type: "put", key, value }], { sync: true });
      expect((await verify({ database })).isValid, key).toBe(false);
    }
  });
});

describe("verifyChain against a forger who makes checksums anew", () => {
  const forged = async (forge: (input: AppendInput) => Record<string, Uint8Array>) => {
    const database = memoryDatabase();
    await fill({ database });
    const records = Object.entries(forge(inputs[3] as AppendInput));
    await database.batch(
      records.map(([key, payload]) => ({
        type: "put" as const,
        key,
        value: encodeRecord(key, payload),
      })),
      { sync: true },
    );
    const { isValid, firstBadHeight, validHeight, problems } = await verify({ database });
    const [first] = problems.filter(({ height }) => height === firstBadHeight);
    return { isValid, firstBadHeight, validHeight, what: first?.what };
  };
  const bad = (what: string) => ({ isValid: false, firstBadHeight: 4, validHeight: 3, what });

  it("reports another block under the old certificate", async () => {
    const result = await forged(({ block }) => ({
      [recordKeys.block(4)]: encodeBlock(
        blockOf({ ...block.header, gasUsed: 8 }, block.transactions),
      ),
    }));
    expect(result).toEqual(bad("certificate"));
  });

  it("reports a certificate without a quorum", async () => {
    const result = await forged(({ certificate }) => ({
      [recordKeys.certificate(4)]: encodeCertificate({
        ...certificate,
        signatures: certificate.signatures.slice(1),
      }),
    }));
    expect(result).toEqual(bad("certificate"));
  });

  it("reports a transaction that is not signed by its sender", async () => {
    const result = await forged(({ block }) => {
      const transactions = block.transactions.map((bytes) => {
        const copy = Uint8Array.from(bytes);
        copy[copy.length - 1] = (copy.at(-1) as number) ^ 1;
        return copy;
      });
      return { [recordKeys.block(4)]: encodeBlock(blockOf(block.header, transactions)) };
    });
    expect(result).toEqual(bad("signature"));
  });

  it("reports a block that lost a transaction", async () => {
    const result = await forged(({ block }) => ({
      [recordKeys.block(4)]: encodeBlock(blockOf(block.header, [])),
    }));
    expect(result).toEqual(bad("root"));
  });

  it("reports a certified block whose roots execution does not give, or that follows none", async () => {
    for (const [change, what] of [
      [{ stateRoot: "11".repeat(32) }, "root"],
      [{ receiptsRoot: "11".repeat(32) }, "root"],
      [{ gasUsed: 8 }, "gas"],
      [{ parentHash: "11".repeat(32) }, "header"],
      [{ timestampMs: 1 }, "header"],
      [{ proposer: "11".repeat(32) }, "header"],
      [{ nextValidatorsHash: "11".repeat(32) }, "header"],
    ] as const) {
      const result = await forged(({ block }) => {
        const other = blockOf({ ...block.header, ...change }, block.transactions);
        const certificate = encodeCertificate(certify(other));
        return {
          [recordKeys.block(4)]: encodeBlock(other),
          [recordKeys.certificate(4)]: certificate,
        };
      });
      expect(result, JSON.stringify(change)).toEqual(bad(what));
    }
  });

  it("reports receipts, places, values and history that blocks do not lead to", async () => {
    for (const key of [
      recordKeys.receipts(4),
      recordKeys.transaction(inputs[3]?.transactionIds[0] as string),
      recordKeys.history("toy/a", 4),
      recordKeys.undo(4),
    ]) {
      const result = await forged(() => ({ [key]: Uint8Array.of(1) }));
      expect(result, key).toMatchObject({ isValid: false, firstBadHeight: 4, validHeight: 8 });
    }
    const result = await forged(() => ({ [recordKeys.state("toy/b")]: Uint8Array.of(1) }));
    expect(result).toMatchObject({ isValid: false, firstBadHeight: 8, validHeight: 8 });
  });
});

describe("verifyChain on the files of LevelDB", () => {
  let parent: string;
  let logDirectory: string;
  let tableDirectory: string;

  beforeAll(async () => {
    parent = await mkdtemp(join(tmpdir(), "loopledger-verify-"));
    logDirectory = join(parent, "log");
    await fill({ directory: logDirectory });
    // Opening turns the log into a table, closing leaves it there.
    tableDirectory = join(parent, "table");
    await cp(logDirectory, tableDirectory, { recursive: true });
    await (await openDatabase(tableDirectory)).close();
  });
  afterAll(() => rm(parent, { recursive: true }));

  /** Starts as a node does: repairs, and fetches the blocks that went from others. */
  const mend = async (directory: string, isThorough: boolean) => {
    const options = { directory, genesis, execute: executeToys, log: silentLog };
    const store = await openRepaired({ ...options, isThorough });
    for (const input of inputs.slice(store.tip.height)) await store.append(input);
    await store.close();
  };

  const dataFiles = async (directory: string) => {
    const files = await readdir(directory);
    return files.filter((file) => !/^(LOCK|LOG|LOG\.old)$/.test(file));
  };

  it("verifies without changing a byte of the directory", async () => {
    for (const directory of [logDirectory, tableDirectory]) {
      const read = async () =>
        Promise.all(
          (await readdir(directory)).map(async (file) => [
            file,
            (await readFile(join(directory, file))).toString("hex"),
          ]),
        );
      const before = await read();
      expect(await verify({ directory }, 8)).toMatchObject({ isValid: true, validHeight: 8 });
      expect(await read()).toEqual(before);
    }
    expect((await readdir(parent)).toSorted()).toEqual(["log", "table"]);
  });

  it("refuses a directory without a ledger", async () => {
    await expect(verify({ directory: join(parent, "none") })).rejects.toMatchObject({
      code: "LEDGER_STORE_MISSING",
    });
  });

  it("reports one flipped bit anywhere in any data file, and the repair mends it", async () => {
    let repaired = 0;
    for (const source of [logDirectory, tableDirectory])
      for (const file of await dataFiles(source)) {
        const { length } = await readFile(join(source, file));
        if (length === 0) continue;
        const places = new Set([0, length - 1]);
        // A prime step visits other places in every file; DEEP tries many more.
        const count = process.env.DEEP === undefined ? 3 : 200;
        for (let index = 0; index < count; index += 1) places.add((index * 7919 + 13) % length);
        for (const place of places) {
          const directory = join(parent, "damaged");
          await cp(source, directory, { recursive: true });
          const bytes = await readFile(join(directory, file));
          bytes[place] = (bytes[place] as number) ^ (1 << (place % 8));
          await writeFile(join(directory, file), bytes);
          const verdict = await verify({ directory });
          expect(verdict.isValid, `${source} ${file} ${place}`).toBe(false);
          // What open cannot see (old receipts, history) takes the thorough repair.
          await mend(directory, false);
          if (!(await verify({ directory }, 8)).isValid) await mend(directory, true);
          expect(await verify({ directory }, 8), `${file} ${place}`).toMatchObject({
            isValid: true,
            validHeight: 8,
          });
          repaired += 1;
          await rm(directory, { recursive: true });
        }
      }
    expect(repaired).toBeGreaterThan(20);
  });
});

/** Pruning: what must stay stays, what goes is answered with `pruned`, at whatever moment it dies. */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Block } from "../../../src/base/format/block.ts";
import { silentLog } from "../../../src/base/log.ts";
import { keptOperation } from "../../../src/ledger/base-record.ts";
import { ChainReader } from "../../../src/ledger/chain-reader.ts";
import { type Database, openDatabase } from "../../../src/ledger/database.ts";
import { encodeHistory } from "../../../src/ledger/history.ts";
import { isPruning, moveBase, pruningTarget, sweepBelowBase } from "../../../src/ledger/pruning.ts";
import { heightOfKey, putRecord, recordKeys } from "../../../src/ledger/records.ts";
import { openRepaired } from "../../../src/ledger/repair.ts";
import { decodeManifest } from "../../../src/ledger/snapshot-format.ts";
import { SnapshotSource } from "../../../src/ledger/snapshot-source.ts";
import { verifyManifest } from "../../../src/ledger/snapshot-verify.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { AppendInput } from "../../../src/ledger/types.ts";
import { verifyChain } from "../../../src/ledger/verify-chain.ts";
import { certify, executeToys, TestChain, testGenesis, testVerifier } from "../../helpers/chain.ts";
import { allKeys, flipByte, memoryDatabase, watchedDatabase } from "../../helpers/databases.ts";

const genesis = testGenesis("test ledger", { snapshotInterval: 16 });
const open = (database: Database) => LedgerStore.open({ database, genesis, log: silentLog });
/** Small batches: the pages of one key's history end anywhere. */
const options = { pause: async () => {}, batchOperations: 7 };
const verdictOf = (database: Database) =>
  verifyChain({ database, genesis, verifier: testVerifier, execute: executeToys });

describe("pruning", () => {
  let inputs: AppendInput[];
  const filled = async (database = memoryDatabase(), blocks = inputs) => {
    const store = await open(database);
    for (const input of blocks) await store.append(input);
    return { database, store };
  };
  const prune = async (store: LedgerStore, height: number) => {
    await moveBase(store, height);
    await sweepBelowBase(store, options);
  };

  beforeAll(async () => {
    const chain = new TestChain(genesis);
    inputs = [];
    for (let index = 0; index < 70; index += 1) {
      const toys = { "toy/same": 1, [`toy/k${index % 5}`]: index, [`toy/n${index}`]: index };
      inputs.push(await chain.next([toys, { [`toy/n${index - 9}`]: null }]));
    }
  });

  it("goes to the newest snapshot height that leaves enough blocks", async () => {
    const { store } = await filled();
    const targets = [0, 6, 7, 22, 23, 54, 55, 1_000].map((keep) => pruningTarget(store, keep));
    expect(targets).toEqual([64, 64, 48, 48, 32, 16, undefined, undefined]);
    await prune(store, 32);
    expect(pruningTarget(store, 23)).toBeUndefined();
    expect(pruningTarget(store, 22)).toBe(48);
  });

  it("leaves a store that verifies from its base, answers `pruned` below and the rest as before", async () => {
    const { store, database } = await filled();
    const before = await Promise.all(
      ["toy/same", "toy/k1", "toy/n30", "toy/n50"].map((key) => store.readValueAt(key, 60)),
    );
    const id = (height: number) => inputs[height - 1]?.transactionIds[0] as string;
    await prune(store, 48);
    expect(await isPruning(store)).toBe(false);
    const after = await Promise.all(
      ["toy/same", "toy/k1", "toy/n30", "toy/n50"].map((key) => store.readValueAt(key, 60)),
    );
    expect(after.map((each) => each?.value)).toEqual(before.map((each) => each?.value));
    const pruned = { code: "LEDGER_PRUNED", facts: { baseHeight: 48 } };
    for (const height of [1, 47, 48]) {
      await expect(store.readBlock(height)).rejects.toMatchObject(pruned);
      await expect(store.history("toy/k1", { from: height })).rejects.toMatchObject(pruned);
      expect(await store.findTransaction(id(height))).toBeUndefined();
    }
    await expect(store.readValueAt("toy/k1", 47)).rejects.toMatchObject(pruned);
    expect(await store.findTransaction(id(49))).toEqual({ height: 49, index: 0 });
    const keys = await allKeys(database);
    const below = (key: string) => /^[bcrtu]\/0{10}([0-2][0-9a-f]|30)$/.test(key);
    expect(keys.filter(below)).toEqual([recordKeys.block(0), recordKeys.receipts(0)]);
    expect(keys.filter((key) => key.startsWith("h/008/toy/same/"))).toHaveLength(70 - 48 + 1);
    const verdict = await verdictOf(database);
    expect(verdict).toMatchObject({ problems: [], baseHeight: 48, validHeight: 70 });
    const again = await open(database);
    expect(again.baseHeight).toBe(48);
    expect(again.tip.hash).toBe(inputs[69]?.block.hash);
  });

  it("goes on after a kill at any write, verifies all the time, and ends the same", async () => {
    const counted = memoryDatabase();
    let writes = 0;
    const { store } = await filled(
      watchedDatabase(counted, () => {
        writes += 1;
      }),
    );
    writes = 0;
    await prune(store, 48);
    const total = writes;
    const whole = await allKeys(counted);
    for (let kill = 0; kill < total; kill += 1 + Math.floor(total / 6)) {
      let left = Number.POSITIVE_INFINITY;
      const disk = memoryDatabase();
      const dying = watchedDatabase(disk, () => {
        if (left === 0) throw new Error("killed");
        left -= 1;
      });
      const victim = (await filled(dying)).store;
      left = kill;
      await expect(prune(victim, 48), `kill at ${kill}`).rejects.toThrow();
      const { problems, validHeight } = await verdictOf(disk);
      expect({ kill, problems, validHeight }).toEqual({ kill, problems: [], validHeight: 70 });
      const again = await open(disk);
      expect(again.baseHeight).toBe(kill === 0 ? 0 : 48);
      if (kill === 0) await moveBase(again, 48);
      await sweepBelowBase(again, options);
      expect(await allKeys(disk)).toEqual(whole);
    }
  });

  it("keeps what a later snapshot and a later pruning need", async () => {
    const { store, database } = await filled();
    await prune(store, 16);
    await prune(store, 48);
    const source = new SnapshotSource(store);
    expect(source.heights).toEqual([64, 48]);
    const context = { genesis, verifier: testVerifier };
    for (const height of source.heights) {
      const manifest = decodeManifest((await source.manifest(height)) as Uint8Array);
      expect(verifyManifest(manifest, context).header.height).toBe(height);
      expect(await source.chunk(height, "")).toBeDefined();
    }
    expect((await verdictOf(database)).problems).toEqual([]);
  });

  it("goes on while blocks are appended", async () => {
    const store = await open(memoryDatabase());
    for (const input of inputs.slice(0, 40)) await store.append(input);
    const rest = inputs.slice(40);
    const pause = async () => {
      const input = rest.shift();
      if (input !== undefined) await store.append(input);
    };
    await moveBase(store, 32);
    await sweepBelowBase(store, { pause });
    for (const input of rest) await store.append(input);
    expect(store.tip.height).toBe(70);
    expect((await verdictOf(store.records.database)).problems).toEqual([]);
  });

  it("is mended from the base on; a damaged base only a snapshot can mend", async () => {
    const mended = (database: Database) =>
      openRepaired({ database, genesis, log: silentLog, execute: executeToys });
    for (const key of [recordKeys.state("toy/k1"), recordKeys.block(60), recordKeys.block(0)]) {
      const { store, database } = await filled();
      await prune(store, 48);
      await flipByte(database, { key, index: 9 });
      await database.batch(
        [{ type: "put", key: recordKeys.rebuilding, value: new Uint8Array(0) }],
        {
          sync: true,
        },
      );
      expect((await verdictOf(database)).isValid).toBe(false);
      const healed = await mended(database);
      expect(healed.baseHeight).toBe(48);
      for (const input of inputs.slice(healed.tip.height)) await healed.append(input);
      expect((await verdictOf(database)).problems).toEqual([]);
    }
    for (const key of [recordKeys.base, recordKeys.kept(48), recordKeys.history("toy/k1", 47)]) {
      const { store, database } = await filled();
      await prune(store, 48);
      await flipByte(database, { key, index: 5 });
      expect((await verdictOf(database)).isValid, key).toBe(false);
      const mark = { type: "put", key: recordKeys.rebuilding, value: new Uint8Array(0) } as const;
      await database.batch([mark], { sync: true });
      await expect(mended(database), key).rejects.toMatchObject({ code: "LEDGER_BASE_CORRUPT" });
    }
  });

  it("takes no forged value or header for one that a certificate proves", async () => {
    const { store, database } = await filled();
    await prune(store, 48);
    const mark = putRecord(recordKeys.rebuilding, new Uint8Array(0));
    const entry = recordKeys.history("toy/k1", 47);
    const forged = putRecord(entry, encodeHistory("7"));
    const honest = putRecord(entry, encodeHistory("46"));
    for (const operation of [forged, { type: "del", key: entry } as const]) {
      await database.batch([operation, mark], { sync: true });
      await expect(
        openRepaired({ database, genesis, log: silentLog, execute: executeToys }),
      ).rejects.toMatchObject({ code: "LEDGER_BASE_CORRUPT" });
      expect((await verdictOf(database)).problems).toContainEqual(
        expect.objectContaining({ what: "base" }),
      );
    }
    await database.batch([honest, { type: "del", key: recordKeys.rebuilding }], { sync: true });
    await openRepaired({ database, genesis, log: silentLog, execute: executeToys });
    expect((await verdictOf(database)).problems).toEqual([]);
    const header = await store.readHeader(60);
    await database.batch([keptOperation({ header, certificate: undefined })], { sync: true });
    expect((await verdictOf(database)).isValid).toBe(false);
  });

  it("reports any record too many or too few of what was kept", async () => {
    const { store, database } = await filled();
    await prune(store, 48);
    const stale = recordKeys.history("toy/k1", 41);
    const extra = { type: "put", key: stale, value: new Uint8Array(9) } as const;
    await database.batch([extra], { sync: true });
    expect((await verdictOf(database)).isValid).toBe(false);
    await database.batch([{ type: "del", key: stale }], { sync: true });
    expect((await verdictOf(database)).isValid).toBe(true);
    const keys = await allKeys(database);
    const last = keys.filter((key) => key.startsWith("k/"));
    for (const key of [keys.find((each) => each.startsWith("h/")), last[0], last.at(-1)]) {
      const value = (await database.get(key as string)) as Uint8Array;
      await database.batch([{ type: "del", key: key as string }], { sync: true });
      expect((await verdictOf(database)).isValid, key).toBe(false);
      await database.batch([{ type: "put", key: key as string, value }], { sync: true });
    }
  });

  it("(1) answers `pruned` for a transaction whose index is still there", async () => {
    const { store } = await filled();
    await moveBase(store, 48);
    const id = inputs[20]?.transactionIds[0] as string;
    expect(await store.findTransaction(id)).toBeUndefined();
    const reader = new ChainReader(store);
    expect(await reader.findFinal(id)).toBeUndefined();
    await expect(reader.proveTransaction(id)).rejects.toMatchObject({ code: "LEDGER_PRUNED" });
    expect(await store.findTransaction(inputs[48]?.transactionIds[0] as string)).toBeDefined();
  });

  it("verifies at every moment when the base moves into the next epoch of proposers", async () => {
    const chain = new TestChain(genesis);
    const unsigned = (block: Block) => {
      const facts = { height: block.header.height, round: 0, blockHash: block.hash };
      return { ...facts, signatures: [{ validatorIndex: 0, signature: new Uint8Array(64) }] };
    };
    const { store, database } = await filled(memoryDatabase(), []);
    for (let height = 1; height <= 1_042; height += 1) {
      const isJudged = height === 20 || height === 1_008 || height >= 1_040;
      await store.append(await chain.next([], isJudged ? certify : unsigned));
    }
    const heights = async () =>
      (await allKeys(database)).filter((key) => key.startsWith("k/")).map(heightOfKey);
    await moveBase(store, 1_008, { keptHeight: 20 });
    await sweepBelowBase(store, options);
    expect(await heights()).toHaveLength(1_009);
    await moveBase(store, 1_040, { keptHeight: 30 });
    // The checkpoint moved to a header without certificate, which nothing proves any more.
    expect(await heights()).toEqual(Array.from({ length: 17 }, (_, index) => 1_024 + index));
    expect(await verdictOf(database)).toMatchObject({ problems: [], baseHeight: 1_040 });
    await sweepBelowBase(store, options);
    expect(await verdictOf(database)).toMatchObject({ problems: [], validHeight: 1_042 });
  });

  it("makes the files on a real disk smaller", async () => {
    const directory = await mkdtemp(join(tmpdir(), "loopledger-pruning-"));
    try {
      const database = await openDatabase(directory, { writeBufferBytes: 64 * 1024 });
      const { store } = await filled(database);
      const before = await bytesOf(directory);
      await prune(store, 64);
      const after = await bytesOf(directory);
      await store.close();
      expect({ before, after, isHalf: after < before / 2 }).toMatchObject({ isHalf: true });
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

async function bytesOf(directory: string): Promise<number> {
  const files = await readdir(directory);
  const sizes = await Promise.all(
    files.map(async (file) => (await stat(join(directory, file))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * A ledger store whose disk takes no writes for a while (4) of store.ts: nothing acknowledged is
 * lost, what arrived counts, and nothing is written behind a torn record.
 */
import { mkdtemp, readdir, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { silentLog } from "../../../src/base/log.ts";
import { type Database, type Operation, openDatabase } from "../../../src/ledger/database.ts";
import { recordKeys } from "../../../src/ledger/records.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { AppendInput } from "../../../src/ledger/types.ts";
import { TestChain } from "../../helpers/chain.ts";
import { memoryDatabase, watchedDatabase } from "../../helpers/databases.ts";

const failed = { code: "LEDGER_WRITE_FAILED" };

describe("a ledger store after a failed write", () => {
  let inputs: AppendInput[];
  let chain: TestChain;
  let inner: Database;
  let onBatch: (operations: Operation[]) => void | Promise<void>;
  let store: LedgerStore;

  const input = (height: number) => inputs[height - 1] as AppendInput;
  const fail = () => {
    throw new Error("no space left");
  };

  beforeEach(async () => {
    chain = new TestChain();
    inputs = await chain.blocks(3);
    inner = memoryDatabase();
    onBatch = () => {};
    const database = watchedDatabase(inner, (operations) => onBatch(operations));
    store = await LedgerStore.open({ database, genesis: chain.genesis, log: silentLog });
    await store.append(input(1));
  });

  it("appends nothing until it is recovered, and then goes on", async () => {
    onBatch = fail;
    await expect(store.append(input(2))).rejects.toMatchObject(failed);
    onBatch = () => {};
    await expect(store.append(input(2))).rejects.toMatchObject(failed);
    expect([store.tip.height, store.state.get("toy/a")]).toEqual([1, "1"]);
    await store.recover();
    expect(store.tip.height).toBe(1);
    for (const height of [2, 3]) await store.append(input(height));
    expect([store.tip.height, store.state.get("toy/a")]).toEqual([3, "3"]);
    expect(store.damage).toBeUndefined();
  });

  it("takes a block that arrived all the same, without writing it again", async () => {
    onBatch = async (operations) => {
      await inner.batch(operations, { sync: true });
      fail();
    };
    await expect(store.append(input(2))).rejects.toMatchObject(failed);
    const writes: Operation[][] = [];
    onBatch = (operations) => void writes.push(operations);
    await store.recover();
    expect(store.tip.height).toBe(1);
    await store.append(input(2));
    expect([store.tip.height, store.state.get("toy/a")]).toEqual([2, "2"]);
    expect(writes).toEqual([]);
    await store.append(input(3));
    expect(writes).toHaveLength(1);
    expect(await LedgerStore.open({ database: inner, genesis: chain.genesis, log: silentLog }));
  });

  it("refuses another block than the one that arrived", async () => {
    const other = new TestChain();
    await other.blocks(1);
    const another = await other.next([{ "toy/b": 7 }]);
    onBatch = async (operations) => {
      await inner.batch(operations, { sync: true });
      fail();
    };
    await expect(store.append(input(2))).rejects.toMatchObject(failed);
    onBatch = () => {};
    await store.recover();
    await expect(store.append(another)).rejects.toMatchObject({ code: "LEDGER_BLOCK_CORRUPT" });
    await store.append(input(2));
  });

  it("does not go on when only part of a batch arrived, or when more is gone", async () => {
    const halves: ((operations: Operation[]) => Operation[])[] = [
      (operations) => operations.slice(0, 1),
      (operations) => operations.slice(0, 2),
      (operations) => operations.filter(({ key }) => key === recordKeys.tip),
      (operations) => operations.filter(({ key }) => key !== recordKeys.receipts(2)),
      () => [{ type: "del", key: recordKeys.block(1) }],
      () => [{ type: "del", key: recordKeys.tip }],
    ];
    for (const half of halves) {
      inner = memoryDatabase();
      onBatch = () => {};
      const database = watchedDatabase(inner, (operations) => onBatch(operations));
      store = await LedgerStore.open({ database, genesis: chain.genesis, log: silentLog });
      await store.append(input(1));
      onBatch = async (operations) => {
        await inner.batch(half(operations), { sync: true });
        fail();
      };
      await expect(store.append(input(2))).rejects.toMatchObject(failed);
      onBatch = () => {};
      await expect(store.recover()).rejects.toMatchObject({ code: "LEDGER_HOLE" });
      await expect(store.append(input(2))).rejects.toMatchObject(failed);
      expect(store.damage).toMatchObject({ code: "LEDGER_HOLE" });
    }
  });
});

describe("a LevelDB that is opened anew under its users", () => {
  it("keeps reads waiting, answers them after, and says that it is closed when it is", async () => {
    const directory = await mkdtemp(join(tmpdir(), "loopledger-renew-"));
    const database = await openDatabase(directory);
    await database.batch([{ type: "put", key: "k", value: Uint8Array.of(7) }], { sync: true });
    const iterator = database.keys({ gte: "a", lt: "z" });
    const renewed = database.renew?.();
    const closed = { code: "LEDGER_STORE_CLOSED" };
    expect(() => database.getSync("k")).toThrow("LEDGER_STORE_CLOSED");
    expect((await database.get("k"))?.[0]).toBe(7);
    await renewed;
    expect(database.getSync("k")?.[0]).toBe(7);
    await expect(iterator.nextv(1)).rejects.toMatchObject(closed);
    await database.close();
    await expect(database.get("k")).rejects.toMatchObject(closed);
    await rm(directory, { recursive: true });
  });

  it("stays closed once it was closed: what is renewed later would never be closed again", async () => {
    const directory = await mkdtemp(join(tmpdir(), "loopledger-closed-"));
    const database = await openDatabase(directory);
    const [renewing, closing] = [database.renew?.(), database.close()];
    await Promise.allSettled([renewing, closing]);
    await expect(database.renew?.()).rejects.toMatchObject({ code: "LEDGER_STORE_CLOSED" });
    // Nobody holds its lock.
    await (await openDatabase(directory)).close();
    await rm(directory, { recursive: true });
  });

  it("(4) loses nothing that is written after a torn record, as the log is a new one", async () => {
    const directory = await mkdtemp(join(tmpdir(), "loopledger-torn-"));
    const real = await openDatabase(directory);
    const chain = new TestChain();
    let isTearing = false;
    const database: Database = {
      get: (key) => real.get(key),
      getSync: (key) => real.getSync(key),
      keys: (range) => real.keys(range),
      iterator: (range) => real.iterator(range),
      close: () => real.close(),
      renew: () => real.renew?.() ?? Promise.resolve(),
      batch: async (operations, options) => {
        await real.batch(operations, options);
        if (!isTearing) return;
        isTearing = false;
        // What a full disk does: the end of the record is not there.
        const log = (await readdir(directory))
          .filter((file) => file.endsWith(".log"))
          .sort()
          .at(-1);
        const file = join(directory, log as string);
        await truncate(file, (await readFile(file)).length - 9);
        throw new Error("no space left");
      },
    };
    const { genesis } = chain;
    const store = await LedgerStore.open({ database, genesis, log: silentLog });
    const inputs = await chain.blocks(4);
    await store.append(inputs[0] as AppendInput);
    isTearing = true;
    await expect(store.append(inputs[1] as AppendInput)).rejects.toMatchObject(failed);
    await store.recover();
    for (const input of inputs.slice(1)) await store.append(input);
    await store.close();
    const again = await LedgerStore.open({ directory, genesis, log: silentLog });
    expect([again.tip.height, again.state.get("toy/a")]).toEqual([4, "4"]);
    await again.close();
    await rm(directory, { recursive: true });
  });
});

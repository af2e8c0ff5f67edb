/** What damage of the state does. Quotes the invariants of src/ledger/state-store.ts. */
import { beforeEach, describe, expect, it } from "vitest";
import { valueHashOf } from "../../../src/base/hash.ts";
import { silentLog } from "../../../src/base/log.ts";
import { ChainReader } from "../../../src/ledger/chain-reader.ts";
import type { Database } from "../../../src/ledger/database.ts";
import { moveBase, sweepBelowBase } from "../../../src/ledger/pruning.ts";
import { encodeRecord, recordKeys } from "../../../src/ledger/records.ts";
import { encodeStateValue } from "../../../src/ledger/state-store.ts";
import { StateTree } from "../../../src/ledger/state-tree.ts";
import { undoLeaves } from "../../../src/ledger/state-undo.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { AppendInput } from "../../../src/ledger/types.ts";
import { TestChain, testGenesis } from "../../helpers/chain.ts";
import { flipByte, memoryDatabase } from "../../helpers/databases.ts";

describe("state of a store", () => {
  const genesis = testGenesis();
  const stateKey = recordKeys.state("toy/a");
  const corrupt = { code: "LEDGER_STATE_CORRUPT" };
  let chain: TestChain;
  let database: Database;

  const open = () => LedgerStore.open({ database, genesis, log: silentLog });
  const put = (key: string, payload: Uint8Array) =>
    database.batch([{ type: "put", key, value: encodeRecord(key, payload) }], { sync: true });

  beforeEach(async () => {
    database = memoryDatabase();
    chain = new TestChain(genesis);
    const store = await open();
    for (const input of await chain.blocks(5)) await store.append(input);
    await store.close();
  });

  it("(1) is refused at open when a record is damaged, missing, stale or too many", async () => {
    const value = (await database.get(stateKey)) as Uint8Array;
    await flipByte(database, { key: stateKey, index: 10 });
    await expect(open()).rejects.toMatchObject(corrupt);
    await database.batch([{ type: "del", key: stateKey }], { sync: true });
    await expect(open()).rejects.toMatchObject(corrupt);
    await put(stateKey, encodeStateValue("4", 4));
    await expect(open()).rejects.toMatchObject(corrupt);
    await database.batch([{ type: "put", key: stateKey, value }], { sync: true });
    await put(recordKeys.state("toy/more"), encodeStateValue("1", 1));
    await expect(open()).rejects.toMatchObject(corrupt);
  });

  it("is refused at open when the receipts of the tip are gone, as other derived records", async () => {
    await flipByte(database, { key: recordKeys.receipts(5), index: 6 });
    await expect(open()).rejects.toMatchObject(corrupt);
  });

  it("(3) hands out no value that was damaged or became stale while the node runs", async () => {
    const store = await open();
    await put(stateKey, encodeStateValue("4", 4));
    expect(() => store.state.get("toy/a")).toThrow(expect.objectContaining(corrupt));
    await database.batch([{ type: "del", key: recordKeys.state("toy/key-2") }], { sync: true });
    expect(() => store.state.get("toy/key-2")).toThrow(expect.objectContaining(corrupt));
    await flipByte(database, { key: recordKeys.state("toy/key-3"), index: 10 });
    const range = { from: "toy/", to: "toy0", reverse: false, limit: 9 };
    expect(() => store.state.range(range)).toThrow(expect.objectContaining(corrupt));
    expect(store.state.get("toy/key-4")).toBe("4");
  });

  it("writes nothing on top of a damaged value, so that the damage does not spread", async () => {
    const store = await open();
    await flipByte(database, { key: stateKey, index: 10 });
    const [next] = await chain.blocks(1);
    await expect(store.append(next as AppendInput)).rejects.toMatchObject(corrupt);
    expect(store.tip.height).toBe(5);
  });

  it("refuses undo lists that are damaged or lead elsewhere", async () => {
    const store = await open();
    expect((await store.stateTreeAt(4))?.get("toy/key-5")).toBeUndefined();
    const undo = recordKeys.undo(4);
    await flipByte(database, { key: undo, index: 20 });
    await expect(store.stateTreeAt(3)).rejects.toMatchObject(corrupt);
    await flipByte(database, { key: undo, index: 20 });
    const other = (await database.get(recordKeys.undo(2))) as Uint8Array;
    await put(undo, other.subarray(4));
    await expect(store.stateTreeAt(3)).rejects.toMatchObject(corrupt);
    expect(await store.stateTreeAt(4)).toBeDefined();
  });

  it("takes a disk that cannot be read at the moment for no damage", async () => {
    const fault = Object.assign(new Error("too many open files"), { code: "LEVEL_IO_ERROR" });
    const failing = (isAffected: (key: string) => boolean): Database => ({
      ...database,
      get: async (key) => {
        if (isAffected(key)) throw fault;
        return database.get(key);
      },
      getSync: (key) => {
        if (isAffected(key)) throw fault;
        return database.getSync(key);
      },
      iterator: (range) => {
        if (isAffected(range.gte)) throw fault;
        return database.iterator(range);
      },
    });
    const openOn = (on: Database) => LedgerStore.open({ database: on, genesis, log: silentLog });
    const unreadable = { code: "LEDGER_STORE_UNREADABLE", facts: { salvageable: false } };
    for (const family of ["s/", "r/"]) {
      const broken = failing((key) => key.startsWith(family));
      await expect(openOn(broken), family).rejects.toMatchObject(unreadable);
    }
    let isBroken = false;
    const store = await openOn(failing(() => isBroken));
    isBroken = true;
    expect(() => store.state.get("toy/a")).toThrow(/LEDGER_STORE_UNREADABLE/);
    await expect(store.stateTreeAt(3)).rejects.toMatchObject(unreadable);
    await expect(store.history("toy/a")).rejects.toMatchObject(unreadable);
    await expect(store.readBlock(3)).rejects.toMatchObject(unreadable);
    isBroken = false;
    expect(store.damage).toBeUndefined();
    expect(await database.get(recordKeys.rebuilding)).toBeUndefined();
    expect(store.state.get("toy/a")).toBe("5");
  });

  it("takes an undo list for no damage that went while it was needed, and reads each once", async () => {
    const interval = testGenesis("test ledger", { snapshotInterval: 16 });
    const inputs = await new TestChain(interval).blocks(130);
    const disk = memoryDatabase();
    const filled = await LedgerStore.open({ database: disk, genesis: interval, log: silentLog });
    for (const input of inputs.slice(0, -1)) await filled.append(input);
    const reads: string[] = [];
    let goOn = () => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const slow: Database = {
      ...disk,
      get: async (key) => {
        if (key.startsWith("u/")) reads.push(key);
        if (key.startsWith("u/")) await gate;
        return disk.get(key);
      },
    };
    const store = await LedgerStore.open({ database: slow, genesis: interval, log: silentLog });
    const [recent, snapshot, twice] = [
      ...[store.stateTreeAt(2), store.snapshotTree(112), store.snapshotTree(112)],
    ];
    await store.append(inputs.at(-1) as AppendInput);
    await moveBase(store, 128);
    await sweepBelowBase(store, { pause: async () => {} });
    goOn();
    expect(await Promise.all([recent, snapshot, twice])).toEqual([undefined, undefined, undefined]);
    expect(reads.filter((key) => key === recordKeys.undo(128))).toHaveLength(2);
    expect(store.damage).toBeUndefined();
    expect((await store.stateTreeAt(129))?.root).toBe(inputs[128]?.block.header.stateRoot);
  });

  it("undoes no block twice, whoever asks for which tree first", async () => {
    const reads: string[] = [];
    const watched: Database = {
      ...database,
      get: async (key) => {
        if (key.startsWith("u/")) reads.push(key);
        return database.get(key);
      },
    };
    const store = await LedgerStore.open({ database: watched, genesis, log: silentLog });
    const heights = [1, 3, 0, 2, 4, 1];
    const trees = await Promise.all(heights.map((height) => store.stateTreeAt(height)));
    for (const [index, height] of heights.entries())
      expect(trees[index]?.root).toBe((await store.readHeader(height)).stateRoot);
    expect(reads.toSorted()).toEqual([1, 2, 3, 4, 5].map(recordKeys.undo));
  });

  it("lets others have their turn while a large tree goes back", async () => {
    const keys = Array.from({ length: 6_000 }, (_, index) => `toy/${10_000 + index}`);
    const leaves = keys.map((key) => [key, valueHashOf(key)] as const);
    const after = StateTree.fromSorted(leaves);
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const before = await undoLeaves(after, new Map(keys.map((key) => [key, undefined])));
    isDone = true;
    expect(before.root).toBe(StateTree.empty().root);
    expect(turns).toBeGreaterThanOrEqual(2);
  });

  it("proves no value that is missing or stale in the history, and asks for repair", async () => {
    for (const key of ["toy/a", "toy/key-3"]) {
      const store = await open();
      const reader = new ChainReader(store);
      expect(await reader.proveState(key, 4)).toMatchObject({ value: key === "toy/a" ? "4" : "3" });
      const height = key === "toy/a" ? 4 : 3;
      await database.batch([{ type: "del", key: recordKeys.history(key, height) }], { sync: true });
      const record = { code: "LEDGER_RECORD_CORRUPT", facts: { height: 4 } };
      await expect(reader.proveState(key, 4)).rejects.toMatchObject(record);
      expect(store.damage).toMatchObject(record);
      await expect(open()).rejects.toMatchObject(corrupt);
      await database.batch([{ type: "del", key: recordKeys.rebuilding }], { sync: true });
    }
  });

  it("asks for repair at the next open after a read found damage", async () => {
    const store = await open();
    const historyKey = recordKeys.history("toy/a", 2);
    await flipByte(database, { key: historyKey, index: 5 });
    const record = { code: "LEDGER_RECORD_CORRUPT", facts: { key: historyKey, height: 2 } };
    await expect(store.history("toy/a")).rejects.toMatchObject(record);
    await expect(open()).rejects.toMatchObject(corrupt);
  });
});

/**
 * Repair at start: whatever is damaged, the node comes up again with whole blocks, and with the
 * blocks of its peers it ends where it was. Quotes the table of src/ledger/repair.ts.
 */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { encode } from "../../../src/base/format/codec.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { Database } from "../../../src/ledger/database.ts";
import { putRecord, recordKeys } from "../../../src/ledger/records.ts";
import { openRepaired } from "../../../src/ledger/repair.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { AppendInput, Execute } from "../../../src/ledger/types.ts";
import { verifyChain } from "../../../src/ledger/verify-chain.ts";
import { executeToys, TestChain, testGenesis, testVerifier } from "../../helpers/chain.ts";
import { allKeys, flipByte, memoryDatabase, watchedDatabase } from "../../helpers/databases.ts";

describe("repair of a store", () => {
  const genesis = testGenesis();
  let inputs: AppendInput[];
  let database: Database;

  const repaired = (execute: Execute = executeToys, on = database) =>
    openRepaired({ database: on, genesis, execute, log: silentLog });
  const remove = (...keys: string[]) =>
    database.batch(
      keys.map((key) => ({ type: "del" as const, key })),
      { sync: true },
    );
  /** What a node does next: fetches what it dropped, and goes on. */
  const expectHealed = async (store: LedgerStore) => {
    for (const input of inputs.slice(store.tip.height)) await store.append(input);
    await store.close();
    const options = { database, genesis, verifier: testVerifier, execute: executeToys };
    const { problems, validHeight } = await verifyChain(options);
    expect({ problems, validHeight }).toEqual({ problems: [], validHeight: 6 });
  };

  beforeAll(async () => {
    inputs = await new TestChain(genesis).blocks(6);
  });
  beforeEach(async () => {
    database = memoryDatabase();
    const store = await LedgerStore.open({ database, genesis, log: silentLog });
    for (const input of inputs) await store.append(input);
    await store.close();
  });

  it("leaves a whole store as it is", async () => {
    const writes: unknown[] = [];
    const watched = watchedDatabase(database, (operations) => void writes.push(operations));
    expect((await repaired(executeToys, watched)).tip.height).toBe(6);
    expect(writes).toEqual([]);
  });

  it("rebuilds a damaged state from the blocks and loses nothing", async () => {
    for (const key of [recordKeys.state("toy/a"), recordKeys.receipts(6)]) {
      await flipByte(database, { key, index: 7 });
      const store = await repaired();
      expect(store.tip.height).toBe(6);
      await expectHealed(store);
    }
  });

  it("drops blocks from a hole or a damaged tip on, and keeps those below", async () => {
    await remove(recordKeys.block(4));
    const store = await repaired();
    expect(store.tip.height).toBe(3);
    await expectHealed(store);
    await flipByte(database, { key: recordKeys.certificate(6), index: 50 });
    const again = await repaired();
    expect(again.tip.height).toBe(5);
    await expectHealed(again);
  });

  it("drops all damaged blocks below a hole at once", async () => {
    await remove(recordKeys.block(6));
    for (const height of [5, 4, 2])
      await flipByte(database, { key: recordKeys.block(height), index: 40 });
    const store = await repaired();
    // Block 2 is only read by the rebuild.
    expect(store.tip.height).toBe(1);
    await expectHealed(store);
  });

  it("drops no block because a disk cannot be read at the moment", async () => {
    await remove(recordKeys.block(6));
    const fault = Object.assign(new Error("too many open files"), { code: "LEVEL_IO_ERROR" });
    const unreadable: Database = {
      ...database,
      get: async (key) => {
        if (key === recordKeys.block(5)) throw fault;
        return database.get(key);
      },
    };
    const before = await allKeys(database);
    const refused = { code: "LEDGER_STORE_UNREADABLE", facts: { reason: "too many open files" } };
    await expect(repaired(executeToys, unreadable)).rejects.toMatchObject(refused);
    expect(await allKeys(database)).toEqual(before);
    await expectHealed(await repaired());
  });

  it("leaves nothing of a dropped block behind, also when it changed no state", async () => {
    const chain = new TestChain(genesis);
    database = memoryDatabase();
    const whole = await LedgerStore.open({ database, genesis, log: silentLog });
    for (const input of [...(await chain.blocks(2)), await chain.next([])])
      await whole.append(input);
    await remove(recordKeys.block(3));
    expect((await repaired()).tip.height).toBe(2);
    const options = { database, genesis, verifier: testVerifier, execute: executeToys };
    expect(await verifyChain(options)).toMatchObject({ problems: [], validHeight: 2 });
  });

  it("names a bad block that a read finds, and drops it at the next start", async () => {
    await flipByte(database, { key: recordKeys.block(4), index: 40 });
    const running = await repaired();
    // Opening reads the last block only; sync serving and the API read this one.
    expect([running.tip.height, running.damage]).toEqual([6, undefined]);
    const bad = { code: "LEDGER_BLOCK_CORRUPT", facts: { height: 4 } };
    await expect(running.readBlockBytes(4)).rejects.toMatchObject(bad);
    expect(running.damage).toMatchObject(bad);
    expect(await running.readBlockBytes(3)).toBeDefined();
    const lines: string[] = [];
    const note = (facts: object, message: string) => lines.push(message + JSON.stringify(facts));
    const log = { ...silentLog, warn: note, error: note };
    const store = await openRepaired({ database, genesis, execute: executeToys, log });
    expect(store.tip.height).toBe(3);
    expect(lines.join("\n")).toMatch(/needs repair.*"height":4/);
    await expectHealed(store);
  });

  it("keeps all blocks when only the tip record or the genesis block is lost", async () => {
    for (const key of [recordKeys.tip, recordKeys.block(0)]) {
      await remove(key);
      const store = await repaired();
      expect(store.tip.height).toBe(6);
      await expectHealed(store);
    }
  });

  it("starts from the genesis when every block is damaged", async () => {
    for (let height = 0; height <= 6; height += 1)
      await flipByte(database, { key: recordKeys.block(height), index: 40 });
    const store = await repaired();
    expect(store.tip.height).toBe(0);
    await expectHealed(store);
  });

  it("mends any one damaged record, thoroughly where open does not see it", async () => {
    const keys = await allKeys(database);
    // Every family, and within each a few; chain verify's test goes through all records.
    for (const [number, key] of keys.entries()) {
      if (number % 4 !== 0 && !key.startsWith("m/")) continue;
      const length = (await database.get(key))?.length ?? 0;
      await flipByte(database, { key, index: (number * 17) % length });
      const options = { database, genesis, execute: executeToys, log: silentLog };
      await (await openRepaired(options)).close();
      await expectHealed(await openRepaired({ ...options, isThorough: true }));
    }
  });

  it("(1) begins again after a kill at any write of a repair", async () => {
    let isDone = false;
    for (let kill = 1; !isDone; kill += 1) {
      await remove(recordKeys.block(4));
      let writes = 0;
      const watched = watchedDatabase(database, () => {
        writes += 1;
        if (writes === kill) throw new Error("killed");
      });
      isDone = await repaired(executeToys, watched).then(
        () => true,
        () => false,
      );
      await expectHealed(await repaired());
      expect(kill).toBeLessThan(40);
    }
  });

  it("(3) touches nothing when whole blocks lead to other roots", async () => {
    await flipByte(database, { key: recordKeys.state("toy/a"), index: 7 });
    const wrong: Execute = async (input) => ({
      ...(await executeToys(input)),
      changes: [["toy/a", "666"]],
    });
    const differs = { code: "LEDGER_ROOT_DIFFERS", facts: { height: 1, root: "stateRoot" } };
    await expect(repaired(wrong)).rejects.toMatchObject(differs);
    const store = await repaired();
    expect(store.tip.height).toBe(6);
    await expectHealed(store);
  });

  it("takes a record of a later version neither for this one nor for damage", async () => {
    const hash = new Uint8Array(32);
    const later: readonly (readonly [key: string, payload: Uint8Array])[] = [
      [recordKeys.base, encode([1, 3, hash])],
      [recordKeys.tip, encode([1, hash, 6, hash])],
    ];
    for (const [record, payload] of later) {
      const former = await database.get(record);
      await database.batch([putRecord(record, payload)], { sync: true });
      const before = await allKeys(database);
      const unknown = { code: "LEDGER_VERSION_UNKNOWN", facts: { record, version: 1 } };
      await expect(repaired()).rejects.toMatchObject(unknown);
      expect(await allKeys(database)).toEqual(before);
      await remove(record);
      const value = former ?? new Uint8Array(0);
      if (former !== undefined)
        await database.batch([{ type: "put", key: record, value }], { sync: true });
    }
    await expectHealed(await repaired());
  });

  it("never repairs the store of another chain", async () => {
    await remove(recordKeys.block(4));
    const before = await allKeys(database);
    const options = { database, genesis: testGenesis("other"), execute: executeToys };
    const opening = openRepaired({ ...options, log: silentLog });
    await expect(opening).rejects.toMatchObject({ code: "LEDGER_CHAIN_MISMATCH" });
    expect(await allKeys(database)).toEqual(before);
    await remove(recordKeys.tip, recordKeys.block(0));
    const again = openRepaired({ ...options, log: silentLog });
    await expect(again).rejects.toMatchObject({ code: "LEDGER_CHAIN_MISMATCH" });
  });
});

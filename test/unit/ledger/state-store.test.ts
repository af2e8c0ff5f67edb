/** What damage of the state does. Quotes the invariants of src/ledger/state-store.ts. */
import { beforeEach, describe, expect, it } from "vitest";
import { silentLog } from "../../../src/base/log.ts";
import type { Database } from "../../../src/ledger/database.ts";
import { encodeRecord, recordKeys } from "../../../src/ledger/records.ts";
import { encodeStateValue } from "../../../src/ledger/state-store.ts";
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
    expect(store.stateTreeAt(4)?.get("toy/key-5")).toBeUndefined();
    const undo = recordKeys.undo(4);
    await flipByte(database, { key: undo, index: 20 });
    expect(() => store.stateTreeAt(3)).toThrow(expect.objectContaining(corrupt));
    await flipByte(database, { key: undo, index: 20 });
    const other = (await database.get(recordKeys.undo(2))) as Uint8Array;
    await put(undo, other.subarray(4));
    expect(() => store.stateTreeAt(3)).toThrow(expect.objectContaining(corrupt));
    expect(store.stateTreeAt(4)).toBeDefined();
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

/** What opening a store finds about its blocks. Quotes the invariants of src/ledger/block-store.ts. */
import { beforeEach, describe, expect, it } from "vitest";
import { silentLog } from "../../../src/base/log.ts";
import type { Database } from "../../../src/ledger/database.ts";
import { recordKeys } from "../../../src/ledger/records.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import { TestChain, testGenesis } from "../../helpers/chain.ts";
import { flipByte, memoryDatabase } from "../../helpers/databases.ts";

describe("blocks of a store at open", () => {
  const genesis = testGenesis();
  let database: Database;

  const open = () => LedgerStore.open({ database, genesis, log: silentLog });
  const remove = (...keys: string[]) =>
    database.batch(
      keys.map((key) => ({ type: "del" as const, key })),
      { sync: true },
    );

  beforeEach(async () => {
    database = memoryDatabase();
    const store = await open();
    for (const input of await new TestChain(genesis).blocks(5)) await store.append(input);
    await store.close();
  });

  it("(1) a hole is named by its height, wherever it is", async () => {
    for (const height of [0, 2, 5]) {
      const key = recordKeys.block(height);
      const value = (await database.get(key)) as Uint8Array;
      await remove(key);
      await expect(open()).rejects.toMatchObject({ code: "LEDGER_HOLE", facts: { height } });
      await database.batch([{ type: "put", key, value }], { sync: true });
    }
    await expect(open()).resolves.toBeDefined();
  });

  it("(1) a block of the tip without its certificate is a hole", async () => {
    await remove(recordKeys.certificate(5));
    const hole = { code: "LEDGER_HOLE", facts: { height: 5 } };
    await expect(open()).rejects.toMatchObject(hole);
  });

  it("(3) the loss of the last blocks is noticed by the tip record", async () => {
    await remove(recordKeys.block(5), recordKeys.block(4));
    const hole = { code: "LEDGER_HOLE", facts: { height: 4 } };
    await expect(open()).rejects.toMatchObject(hole);
  });

  it("(3) a missing or damaged tip record is a hole above the last block", async () => {
    const hole = { code: "LEDGER_HOLE", facts: { height: 6 } };
    await flipByte(database, { key: recordKeys.tip, index: 9 });
    await expect(open()).rejects.toMatchObject(hole);
    await remove(recordKeys.tip);
    await expect(open()).rejects.toMatchObject(hole);
  });

  it("a damaged block or certificate of the tip is named", async () => {
    for (const key of [recordKeys.block(5), recordKeys.certificate(5)]) {
      await flipByte(database, { key, index: 30 });
      const corrupt = { code: "LEDGER_BLOCK_CORRUPT", facts: { height: 5 } };
      await expect(open()).rejects.toMatchObject(corrupt);
      await flipByte(database, { key, index: 30 });
    }
  });

  it("a damaged block below is named when it is read, and the next open asks for repair", async () => {
    const store = await open();
    await flipByte(database, { key: recordKeys.block(2), index: 99 });
    const corrupt = { code: "LEDGER_BLOCK_CORRUPT", facts: { height: 2 } };
    await expect(store.readBlock(2)).rejects.toMatchObject(corrupt);
    await expect(store.readBlockBytes(2)).rejects.toMatchObject(corrupt);
    expect((await store.readBlock(3))?.block.header.height).toBe(3);
    await expect(open()).rejects.toMatchObject({ code: "LEDGER_STATE_CORRUPT" });
  });

  it("missing receipts or blocks below the tip are holes when they are read", async () => {
    const store = await open();
    await remove(recordKeys.receipts(3), recordKeys.block(2), recordKeys.certificate(2));
    const hole = { code: "LEDGER_HOLE" };
    await expect(store.readReceipts(3)).rejects.toMatchObject(hole);
    await expect(store.readBlock(2)).rejects.toMatchObject(hole);
  });
});

/** The ledger store on both databases, and what only the one on disk has. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { silentLog } from "../../../src/base/log.ts";
import { type Operation, openDatabase } from "../../../src/ledger/database.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import { describeStorage } from "../../conformance/storage.ts";
import { TestChain } from "../../helpers/chain.ts";
import { memoryDatabase, watchedDatabase } from "../../helpers/databases.ts";

describeStorage("memory", async () => {
  const database = memoryDatabase();
  return { open: async () => database, remove: async () => {} };
});

describeStorage("LevelDB", async () => {
  const directory = await mkdtemp(join(tmpdir(), "loopledger-store-"));
  return {
    open: () => openDatabase(directory),
    remove: () => rm(directory, { recursive: true }),
  };
});

describe("writes of the ledger store", () => {
  it("(1) appends a block in exactly one batch", async () => {
    const chain = new TestChain();
    const batches: Operation[][] = [];
    const database = watchedDatabase(memoryDatabase(), (operations) => {
      batches.push(operations);
    });
    const store = await LedgerStore.open({ database, genesis: chain.genesis, log: silentLog });
    expect(batches.length).toBe(1);
    for (const input of await chain.blocks(3)) await store.append(input);
    expect(batches.length).toBe(4);
    expect(batches[3]?.map(({ key }) => key.slice(0, 2)).toSorted()).toEqual(
      ["b/", "c/", "r/", "t/", "s/", "s/", "s/", "h/", "h/", "h/", "u/", "m/"].toSorted(),
    );
  });

  it("refuses a directory that another store has open", async () => {
    const directory = await mkdtemp(join(tmpdir(), "loopledger-store-"));
    const { genesis } = new TestChain();
    const store = await LedgerStore.open({ directory, genesis, log: silentLog });
    const second = LedgerStore.open({ directory, genesis, log: silentLog });
    await expect(second).rejects.toMatchObject({ code: "LEDGER_STORE_LOCKED" });
    await store.close();
    await rm(directory, { recursive: true });
  });
});

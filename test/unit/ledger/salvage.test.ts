/**
 * Damaged files of a real LevelDB at start. Quotes the invariants of src/ledger/salvage.ts and
 * truncate.ts: nothing that went with a file stays lost in silence, and nothing whole is deleted.
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { BlockStore } from "../../../src/ledger/block-store.ts";
import { type Operation, openDatabase } from "../../../src/ledger/database.ts";
import { damagedLogs } from "../../../src/ledger/level-files.ts";
import { recordKeys } from "../../../src/ledger/records.ts";
import { openRepaired, type RepairOptions } from "../../../src/ledger/repair.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { AppendInput } from "../../../src/ledger/types.ts";
import { verifyChain } from "../../../src/ledger/verify-chain.ts";
import { executeToys, testGenesis, testVerifier } from "../../helpers/chain.ts";
import { allKeys, flipByte } from "../../helpers/databases.ts";
import { diskBlocks, writeBufferBytes } from "../../helpers/disk-chain.ts";

const genesis = testGenesis();
const blockCount = 10;
let inputs: AppendInput[];
let parent: string;
let directory: string;

const repaired = (options: Partial<RepairOptions> = {}) =>
  openRepaired({ directory, genesis, log: silentLog, execute: executeToys, ...options });
const onDatabase = async <T>(work: (database: LedgerDatabase) => Promise<T>): Promise<T> => {
  const database = await openDatabase(directory);
  return work(database).finally(() => database.close());
};
type LedgerDatabase = Awaited<ReturnType<typeof openDatabase>>;

/** Makes the store, then a table of all that is in a log. */
async function fill(): Promise<void> {
  const database = await openDatabase(directory, { writeBufferBytes });
  const store = await LedgerStore.open({ database, genesis, log: silentLog });
  for (const input of inputs) await store.append(input);
  await store.close();
}

async function expectHealed(store: LedgerStore): Promise<void> {
  for (const input of inputs.slice(store.tip.height)) await store.append(input);
  for (const { transactionIds, block } of inputs) {
    const place = await store.findTransaction(transactionIds[0] as string);
    expect(place).toEqual({ height: block.header.height, index: 0 });
  }
  await store.close();
  const options = { directory, genesis, verifier: testVerifier, execute: executeToys };
  const { problems, validHeight } = await verifyChain(options);
  expect({ problems, validHeight }).toEqual({ problems: [], validHeight: blockCount });
}

beforeAll(async () => {
  inputs = await diskBlocks(blockCount);
});
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "loopledger-salvage-"));
  directory = join(parent, "ledger");
  await fill();
});
afterEach(() => rm(parent, { recursive: true }));

async function flipIn(file: string, at: (length: number) => number): Promise<void> {
  const bytes = await readFile(join(directory, file));
  const place = at(bytes.length);
  bytes[place] = (bytes[place] as number) ^ 4;
  await writeFile(join(directory, file), bytes);
}

const filesLike = async (pattern: RegExp) =>
  (await readdir(directory)).filter((file) => pattern.test(file)).sort();

describe("a salvage", () => {
  /** Leaves a log that holds nothing but the index, the loss of which opening would not see. */
  const setIndexApart = async () => {
    await onDatabase((database) => database.compact?.({ gte: "", lt: "~" }) as Promise<void>);
    const index = inputs.map(({ transactionIds }) =>
      recordKeys.transaction(transactionIds[0] as string),
    );
    const back: Operation[] = await onDatabase((database) =>
      Promise.all(
        index.map(async (key) => {
          return { type: "put" as const, key, value: (await database.get(key)) as Uint8Array };
        }),
      ),
    );
    const gone = index.map((key) => ({ type: "del" as const, key }));
    await onDatabase((database) => database.batch(gone, { sync: true }));
    await onDatabase((database) => database.batch(back, { sync: true }));
  };

  it("(1) loses nothing for good when a table is damaged as the node crashed", async () => {
    await setIndexApart();
    await onDatabase(async () => {});
    const table = (await filesLike(/\.ldb$/)).at(-1) as string;
    await flipIn(table, (length) => Math.floor(length / 3));
    await expectHealed(await repaired({ hasCrashed: true }));
    expect(await readdir(join(directory, "lost"))).toContain(table);
  });

  it("(1) loses nothing for good when LevelDB drops a damaged stretch of a log", async () => {
    await setIndexApart();
    const [log] = (await filesLike(/\.log$/)).slice(-1);
    await flipIn(log as string, () => 40);
    await expectHealed(await repaired());
  });

  it("(1) is followed by a rebuild also when the process dies before the mark is set", async () => {
    await onDatabase((database) =>
      database.batch(
        [
          recordKeys.receipts(3),
          recordKeys.transaction(inputs[4]?.transactionIds[0] as string),
        ].map((key) => ({ type: "del" as const, key })),
        { sync: true },
      ),
    );
    await mkdir(join(directory, "lost"));
    await writeFile(join(directory, "lost", "unmarked"), "");
    await expectHealed(await repaired());
    expect(existsSync(join(directory, "lost", "unmarked"))).toBe(false);
  });

  it("(2) touches no damaged file where nobody else has the blocks, unless it is told to", async () => {
    const [log] = (await filesLike(/\.log$/)).slice(-1) as [string];
    await flipIn(log, () => 40);
    const bytes = await readFile(join(directory, log));
    const refused = { code: "LEDGER_REPAIR_REFUSED", facts: { height: null } };
    await expect(repaired({ isAlone: true })).rejects.toMatchObject(refused);
    const current = join(directory, "CURRENT");
    const name = await readFile(current);
    await writeFile(
      join(directory, log),
      bytes.map((byte, at) => (at === 40 ? byte ^ 4 : byte)),
    );
    await writeFile(current, "none");
    await expect(repaired({ isAlone: true })).rejects.toMatchObject(refused);
    await writeFile(current, name);
    await writeFile(join(directory, log), bytes);
    await expectHealed(await repaired({ isAlone: true, isThorough: true }));
  });

  it("is no answer to a log that a kill or a power cut left without its end", async () => {
    const logs = await filesLike(/\.log$/);
    const newest = join(directory, logs.at(-1) as string);
    const bytes = await readFile(newest);
    for (const end of [bytes.subarray(0, -5), Buffer.concat([bytes, Buffer.alloc(700)])]) {
      await writeFile(newest, end);
      expect(await damagedLogs(directory)).toEqual([]);
    }
    // What an older log lost did not come last.
    await writeFile(join(directory, "000001.log"), bytes.subarray(0, -5));
    expect(await damagedLogs(directory)).toMatchObject([{ file: "000001.log" }]);
  });
});

describe("dropping blocks", () => {
  const copies = async () =>
    (await readdir(parent)).filter((name) => name.startsWith("ledger.damaged"));
  const damage = (height: number) =>
    onDatabase((database) => flipByte(database, { key: recordKeys.block(height), index: 40 }));
  const readDamaged = async (height: number) => {
    const store = await repaired();
    await expect(store.readBlockBytes(height)).rejects.toThrow();
    await store.close();
  };

  it("(1) keeps all that is whole in a copy, once, and the log says where", async () => {
    await damage(4);
    await readDamaged(4);
    const facts: object[] = [];
    const warn = (fact: object) => void facts.push(fact);
    const store = await repaired({ log: { ...silentLog, warn } });
    expect(store.tip.height).toBe(3);
    expect(await copies()).toEqual([`ledger.damaged-4-of-${blockCount}`]);
    const copy = join(parent, `ledger.damaged-4-of-${blockCount}`);
    expect(facts).toContainEqual({ from: 4, top: blockCount, copy });
    const kept = await openDatabase(copy);
    const blocks = new BlockStore(kept);
    for (const { block } of inputs.filter(({ block }) => block.header.height !== 4))
      expect((await blocks.read(block.header.height))?.block).toEqual(block);
    // The receipts are made anew only once all blocks are whole.
    expect(await blocks.readReceipts(9)).toEqual(inputs[8]?.receipts);
    await kept.close();
    await expectHealed(store);
    expect(await copies()).toHaveLength(1);
  });

  it("(1) needs no copy when only the last block goes", async () => {
    await damage(blockCount);
    await expectHealed(await repaired());
    expect(await copies()).toEqual([]);
  });

  it("(2) is refused when there are too many copies, and nothing is deleted", async () => {
    for (let number = 1; number <= limits.damagedCopiesMax; number += 1)
      await mkdir(join(parent, `ledger.damaged-${number}-of-9`));
    await damage(4);
    await readDamaged(4);
    const before = await onDatabase(allKeys);
    const refused = { code: "LEDGER_REPAIR_REFUSED", facts: { height: 4, top: blockCount } };
    await expect(repaired()).rejects.toMatchObject(refused);
    expect(await onDatabase(allKeys)).toEqual(before);
    await rm(join(parent, "ledger.damaged-1-of-9"), { recursive: true });
    await expectHealed(await repaired());
  });

  it("(3) is left to the operator where nobody else has the blocks", async () => {
    await damage(4);
    await readDamaged(4);
    const before = await onDatabase(allKeys);
    const refused = { code: "LEDGER_REPAIR_REFUSED", facts: { height: 4, top: blockCount } };
    await expect(repaired({ isAlone: true })).rejects.toMatchObject(refused);
    expect(await onDatabase(allKeys)).toEqual(before);
    const store = await repaired({ isAlone: true, isThorough: true });
    expect([store.tip.height, (await copies()).length]).toEqual([3, 1]);
    await expectHealed(store);
  });

  it("(3) is not needed, and not refused, when only the tip record is damaged", async () => {
    await onDatabase((database) => flipByte(database, { key: recordKeys.tip, index: 9 }));
    const store = await repaired({ isAlone: true });
    expect(store.tip.height).toBe(blockCount);
    await expectHealed(store);
  });
});

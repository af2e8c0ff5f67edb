/**
 * Any state survives the way through a snapshot, in chunks of any size, and pruning: what is asked
 * above the base is answered as by a node that keeps everything.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { moveBase, sweepBelowBase } from "../../src/ledger/pruning.ts";
import { decodeChunk } from "../../src/ledger/snapshot-format.ts";
import { SnapshotSource } from "../../src/ledger/snapshot-source.ts";
import { SnapshotWriter } from "../../src/ledger/snapshot-writer.ts";
import { LedgerStore } from "../../src/ledger/store.ts";
import type { AppendInput } from "../../src/ledger/types.ts";
import { verifyChain } from "../../src/ledger/verify-chain.ts";
import {
  executeToys,
  TestChain,
  type ToyChanges,
  testGenesis,
  testVerifier,
} from "../helpers/chain.ts";
import { memoryDatabase } from "../helpers/databases.ts";
import { seedOf } from "../helpers/seed.ts";

const seed = seedOf(20);
const genesis = testGenesis("test ledger", { snapshotInterval: 16 });
const context = { genesis, verifier: testVerifier };
const open = (database: ReturnType<typeof memoryDatabase>) =>
  LedgerStore.open({ database, genesis, log: silentLog });
// Few keys, so that they meet; one begins another, and one sorts differently in UTF-16.
const keys = ["toy/a", "toy/a/", "toy/a/000000000001", "toy/b", "toy/\uff5e", "toy/\u{1f525}"];
const changes: fc.Arbitrary<ToyChanges> = fc.dictionary(
  fc.constantFrom(...keys),
  fc.option(fc.nat(3), { nil: null }),
  { maxKeys: 4 },
);
const blocks = fc.array(changes, { minLength: 17, maxLength: 22 });
const bounds = fc.record({
  bytesMax: fc.integer({ min: 1, max: 900 }),
  entriesMax: fc.integer({ min: 1, max: 9 }),
});

async function fetched(source: SnapshotSource) {
  const database = memoryDatabase();
  const writer = await SnapshotWriter.open(database, context);
  await writer.begin((await source.manifest(16)) as Uint8Array);
  while (writer.next !== undefined) {
    const chunk = (await source.chunk(16, writer.next)) as Uint8Array;
    expect(decodeChunk(chunk).entries.length).toBeGreaterThan(0);
    await writer.add(chunk);
  }
  await writer.finish();
  return database;
}

describe("a snapshot of any state", () => {
  it("gives the same state, and so does pruning", { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(blocks, bounds, async (toys, chosen) => {
        const chain = new TestChain(genesis);
        const inputs: AppendInput[] = [];
        for (const each of toys) inputs.push(await chain.next([each]));
        const whole = await open(memoryDatabase());
        for (const input of inputs) await whole.append(input);
        const began = await open(await fetched(new SnapshotSource(whole, chosen)));
        for (const input of inputs.slice(16)) await began.append(input);
        const pruned = await open(memoryDatabase());
        for (const input of inputs) await pruned.append(input);
        await moveBase(pruned, 16);
        await sweepBelowBase(pruned, { pause: async () => {} });
        for (const store of [began, pruned]) {
          expect(store.stateTree.root).toBe(chain.tree.root);
          for (const [key, value] of chain.state) expect(store.state.get(key)).toBe(value);
          for (let height = 16; height <= inputs.length; height += 1)
            for (const key of keys) {
              const [own, expected] = await Promise.all(
                [store, whole].map((each) => each.readValueAt(key, height)),
              );
              expect(own?.value).toBe(expected?.value);
            }
          const { database } = store.records;
          const verdict = await verifyChain({ database, ...context, execute: executeToys });
          expect(verdict).toMatchObject({ problems: [], baseHeight: 16 });
        }
      }),
      { seed, numRuns: 10 },
    );
  });
});

/**
 * Property: the ledger store is append-only. Whatever is appended, opened again, refused or failed
 * in between, every height goes on answering as on the day it was written: blocks, state, history
 * and trees, through views that were taken at any time.
 *
 * Method: random scripts of appends, reopenings, refused appends and views against a model that
 * keeps one plain copy of the state for each height. A failure prints seed and path for fast-check.
 *
 * Able to fail: seen red when `StateStore.prepare` keeps nothing, when `historyRange` forgets the
 * length of the key, and when undo lists are not written (see test/mutations.md).
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import type { StateView } from "../../src/ledger/state-store.ts";
import { LedgerStore } from "../../src/ledger/store.ts";
import type { AppendInput } from "../../src/ledger/types.ts";
import { TestChain, type ToyChanges, testGenesis } from "../helpers/chain.ts";
import { memoryDatabase } from "../helpers/databases.ts";
import { seedOf } from "../helpers/seed.ts";

const genesis = testGenesis();
// Few keys, so that they meet; one begins another, and one sorts differently in UTF-16.
const keys = ["toy/a", "toy/a/", "toy/a/000000000001", "toy/b", "toy/\uff5e", "toy/\u{1f525}"];

const changes: fc.Arbitrary<ToyChanges> = fc.dictionary(
  fc.constantFrom(...keys),
  fc.option(fc.nat(3), { nil: null }),
  { maxKeys: 4 },
);
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ append: fc.array(changes, { maxLength: 2 }) }) },
  { weight: 1, arbitrary: fc.constant("reopen" as const) },
  { weight: 1, arbitrary: fc.constant("refuse" as const) },
  { weight: 2, arbitrary: fc.constant("view" as const) },
);

type Copy = ReadonlyMap<string, string>;

/** The store under test beside the model: one copy of the state for each height. */
class Run {
  readonly chain = new TestChain(genesis);
  readonly database = memoryDatabase();
  readonly inputs: AppendInput[] = [];
  readonly copies: Copy[] = [new Map(genesis.state)];
  readonly roots = [genesis.header.stateRoot];
  views: [StateView, Copy][] = [];
  store!: LedgerStore;

  async open(): Promise<void> {
    this.views = [];
    const database = this.database;
    this.store = await LedgerStore.open({ database, genesis, log: silentLog });
  }

  async append(toys: readonly ToyChanges[]): Promise<void> {
    const input = await this.chain.next(toys);
    await this.store.append(input);
    this.inputs.push(input);
    this.copies.push(new Map(this.chain.state));
    this.roots.push(this.chain.tree.root);
  }

  async refuse(): Promise<void> {
    const last = this.inputs.at(-1);
    if (last === undefined) return;
    await expect(this.store.append(last)).rejects.toThrow("LEDGER_HEIGHT_GAP");
  }

  view(): void {
    this.views.push([this.store.state, this.copies.at(-1) as Copy]);
  }

  async check(): Promise<void> {
    this.view();
    for (const [view, copy] of this.views) {
      for (const key of keys) expect(view.get(key)).toBe(copy.get(key));
      const range = { from: "toy/", to: "toy0", reverse: false, limit: 100 };
      const entries = [...copy].filter(([key]) => key.startsWith("toy/"));
      expect(new Map(view.range(range))).toEqual(new Map(entries));
    }
    for (const [index, { block, certificate, receipts }] of this.inputs.entries()) {
      expect(await this.store.readBlock(index + 1)).toEqual({ block, certificate });
      expect(await this.store.readReceipts(index + 1)).toEqual(receipts);
    }
    for (const [height, copy] of this.copies.entries()) {
      expect((await this.store.stateTreeAt(height))?.root).toBe(this.roots[height]);
      for (const key of keys)
        expect((await this.store.readValueAt(key, height))?.value).toBe(copy.get(key));
    }
    for (const key of keys) await this.checkHistory(key);
  }

  async checkHistory(key: string): Promise<void> {
    const expected = this.inputs.flatMap(({ block, changes }) =>
      changes
        .filter(([changed]) => changed === key)
        .map(([, value]) => ({ height: block.header.height, value })),
    );
    expect(await this.store.history(key, { limit: 1_000 })).toEqual(expected);
  }
}

it("answers for every height as on the day it was written", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 12 }), async (commands) => {
      const run = new Run();
      await run.open();
      for (const step of commands)
        if (step === "reopen") await run.open();
        else if (step === "refuse") await run.refuse();
        else if (step === "view") run.view();
        else await run.append(step.append);
      await run.check();
      await run.open();
      await run.check();
    }),
    { numRuns: 40, seed: seedOf(16) },
  );
});

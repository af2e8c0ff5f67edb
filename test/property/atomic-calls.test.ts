/**
 * Property: a failed call leaves no trace but its receipt and its nonce; the state is the one that
 * the successful calls alone give, and every node that executes the block gets the same bytes.
 * Method: random blocks of writing, counting and failing calls against a model that is a plain map.
 * When it fails: a contract error could change money; fast-check prints seed and shrunk block.
 * Shown able to fail: applying `outcome.changes` when the outcome is not `ok`; not using the nonce
 * of a failed call.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeWindow, windowKey } from "../../src/base/format/replay-window.ts";
import { executeBlock } from "../../src/ledger/executor.ts";
import { readParameters, readValidators, SystemEntries } from "../../src/ledger/system-entries.ts";
import { seedOf } from "../helpers/seed.ts";
import {
  genesisMs,
  NotesCaller,
  senders,
  signing,
  testGenesis,
} from "../unit/ledger/execution-fixture.ts";

const genesis = testGenesis();
const signers = [senders.ada, senders.ben, senders.meter];

const call = fc.record({
  signer: fc.nat({ max: 2 }),
  method: fc.constantFrom("put", "put", "count", "refuse", "nothing"),
  key: fc.constantFrom("a", "b", "c"),
  value: fc.option(fc.nat({ max: 9 }), { nil: undefined }),
});

function contextOf() {
  const map = new Map(genesis.state);
  const state = {
    get: (key: string) => map.get(key),
    range: ({ from, to }: { from: string; to: string }) =>
      [...map].filter(([key]) => key >= from && key < to),
  };
  return {
    state,
    caller: new NotesCaller(),
    entries: new SystemEntries(),
    parameters: readParameters(state),
    validators: readValidators(state),
    height: 1,
    timeMs: genesisMs + 1,
  };
}

it("leaves of failed calls a receipt and a used nonce, and nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 12 }), async (calls) => {
      const sign = signing(genesis);
      const model = new Map<string, string | undefined>();
      const counts = new Map<string, number>();
      const transactions = calls.map(({ signer, method, key, value }) => {
        const sender = signers[signer] as (typeof signers)[0];
        const place = `notes/item/${key}`;
        if (method === "put") model.set(place, value === undefined ? undefined : String(value));
        if (method === "count") model.set(place, String(Number(model.get(place) ?? "0") + 1));
        counts.set(sender.publicKey, (counts.get(sender.publicKey) ?? 0) + 1);
        return sign(sender, { method, args: { key, value } });
      });
      const context = contextOf();
      const executed = await executeBlock(context, transactions);
      const written = executed.changes.filter(([key]) => key.startsWith("notes/"));
      expect(new Map(written)).toEqual(model);
      for (const [publicKey, count] of counts) {
        const key = windowKey(context.entries.didOf(publicKey));
        const window = executed.changes.find(([changed]) => changed === key)?.[1];
        expect(decodeWindow(window).highest).toBe(count);
      }
      expect(executed.changes).toHaveLength(model.size + counts.size);
      for (const [index, { outcome, changes, events }] of executed.receipts.entries()) {
        const isOk = ["put", "count"].includes(calls[index]?.method as string);
        expect(outcome === "ok").toBe(isOk);
        if (!isOk) expect([changes, events]).toEqual([[], []]);
      }
      const again = await executeBlock(contextOf(), transactions);
      expect(again.receiptBytes).toEqual(executed.receiptBytes);
      expect(again.changes).toEqual(executed.changes);
    }),
    { numRuns: 100, seed: seedOf(11) },
  );
});

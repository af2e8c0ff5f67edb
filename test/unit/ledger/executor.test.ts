import { describe, expect, it } from "vitest";
import { decodeReceipt } from "../../../src/base/format/receipt.ts";
import { decodeWindow, windowKey } from "../../../src/base/format/replay-window.ts";
import type { Transaction } from "../../../src/base/format/transaction.ts";
import { valueHashOf } from "../../../src/base/hash.ts";
import { type ExecutionContext, executeBlock } from "../../../src/ledger/executor.ts";
import { createExecute } from "../../../src/ledger/replay.ts";
import { StateOverlay } from "../../../src/ledger/state-overlay.ts";
import {
  readParameters,
  readValidators,
  SystemEntries,
} from "../../../src/ledger/system-entries.ts";
import type { KeyRange, StateReader } from "../../../src/ledger/types.ts";
import { nativeVerifier } from "../../../src/node/native-crypto.ts";
import {
  codeOf,
  genesisMs,
  invalidReason,
  NotesCaller,
  senders,
  signing,
  testGenesis,
} from "./execution-fixture.ts";

const genesis = testGenesis({ blockGasMax: 3_000, callGasMax: 2_000 });
const { ada, ben } = senders;

/** A fixed state from a map, with a plain range. */
class MapState implements StateReader {
  readonly map: Map<string, string>;

  constructor(entries: Iterable<readonly [string, string]>) {
    this.map = new Map(entries);
  }

  get(key: string): string | undefined {
    return this.map.get(key);
  }

  range({ from, to, reverse, limit }: KeyRange): [string, string][] {
    const rows = [...this.map].filter(([key]) => key >= from && key < to).sort();
    return (reverse ? rows.reverse() : rows).slice(0, limit);
  }
}

function contextOf(caller = new NotesCaller()): ExecutionContext & { state: MapState } {
  const state = new MapState(genesis.state);
  return {
    state,
    caller,
    entries: new SystemEntries(),
    parameters: readParameters(state),
    validators: readValidators(state),
    height: 1,
    timeMs: genesisMs + 1,
  };
}

describe("executor", () => {
  it("executes in order on what the transactions before left", async () => {
    const sign = signing(genesis);
    const list = [0, 1, 2].map(() => sign(ada, { method: "count", args: { key: "n" } }));
    const { receipts, changes, gasUsed } = await executeBlock(contextOf(), list);
    expect(receipts.map(({ outcome }) => outcome)).toEqual(["ok", "ok", "ok"]);
    expect(receipts.map((each) => each.changes[0]?.valueHash)).toEqual(
      ["1", "2", "3"].map(valueHashOf),
    );
    expect(changes.find(([key]) => key === "notes/item/n")?.[1]).toBe("3");
    expect(gasUsed).toBe(150);
  });

  it("leaves no trace of a failed call but its receipt and its nonce", async () => {
    const sign = signing(genesis);
    const failed = sign(ada, { method: "refuse", args: { key: "r" } });
    const { receipts, changes } = await executeBlock(contextOf(), [failed]);
    expect(receipts).toEqual([
      { transactionId: failed.id, outcome: "NOTES_REFUSED", gasUsed: 70, events: [], changes: [] },
    ]);
    expect(changes).toHaveLength(1);
    const [key, value] = changes[0] as readonly [string, string];
    expect(key).toMatch(/^system\/window\/did:key:/);
    expect(decodeWindow(value).highest).toBe(1);
  });

  it("gives unknown contracts and methods a receipt without a call", async () => {
    const sign = signing(genesis);
    const context = contextOf();
    const { receipts } = await executeBlock(context, [
      sign(ada, { contract: "nothing" }),
      sign(ada, { method: "constructor" }),
      sign(ada, { contract: "system" }),
    ]);
    expect(receipts.map(({ outcome }) => outcome)).toEqual([
      "CONTRACT_UNKNOWN",
      "CONTRACT_METHOD_UNKNOWN",
      "CONTRACT_METHOD_UNKNOWN",
    ]);
    expect((context.caller as NotesCaller).calls).toBe(0);
  });

  it("includes a transaction only if its whole gas limit fits what is left", async () => {
    const sign = signing(genesis);
    const burn = (gas: number, gasLimit: number) =>
      sign(ada, { method: "burn", args: { gas }, gasLimit });
    const fits = [burn(1_500, 2_000), burn(100, 1_500)];
    expect((await executeBlock(contextOf(), fits)).gasUsed).toBe(1_600);
    const over = [burn(1_500, 2_000), burn(100, 1_501)];
    expect(await invalidReason(executeBlock(contextOf(), over))).toBe(
      "transaction 1: its gas limit does not fit the block",
    );
  });

  it("charges no more than the limit", async () => {
    const sign = signing(genesis);
    const list = [sign(ada, { method: "burn", args: { gas: 9_999 }, gasLimit: 2_000 })];
    expect((await executeBlock(contextOf(), list)).receipts[0]?.gasUsed).toBe(2_000);
  });

  it("finds the same nonce twice in one block", async () => {
    const sign = signing(genesis);
    const list = [sign(ada, { nonce: 4 }), sign(ada, { nonce: 4, args: { key: "b" } })];
    expect(await invalidReason(executeBlock(contextOf(), list))).toBe(
      "transaction 1: TRANSACTION_NONCE_USED",
    );
  });

  it("makes the fault of a node no receipt", async () => {
    const sign = signing(genesis);
    const list = [sign(ada), sign(ada, { method: "fault" })];
    expect(await codeOf(executeBlock(contextOf(), list))).toBe("CONTRACT_NODE_FAULT");
  });

  it("gives changes in key order, whatever order the calls wrote in", async () => {
    const sign = signing(genesis);
    const keys = ["z", "ä", "a", "\u{1f600}", "\uffee", "m"];
    const list = keys.map((key) => sign(ben, { args: { key, value: 1 }, gasLimit: 100 }));
    const { changes } = await executeBlock(contextOf(), list);
    const inByteOrder = changes
      .map(([key]) => key)
      .toSorted((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
    expect(changes.map(([key]) => key)).toEqual(inByteOrder);
    expect(changes).toHaveLength(7);
  });

  it("gives every run the same bytes", async () => {
    const sign = signing(genesis);
    const list = [sign(ada), sign(ben, { method: "refuse" }), sign(ada, { method: "count" })];
    const one = await executeBlock(contextOf(), list);
    const two = await executeBlock(contextOf(), list);
    expect(two.receiptBytes).toEqual(one.receiptBytes);
    expect(two.changes).toEqual(one.changes);
    expect(one.receiptBytes.map((bytes) => decodeReceipt(bytes))).toEqual(one.receipts);
  });

  it("hides the windows of the block from contracts until it ends", async () => {
    const sign = signing(genesis);
    const seen: (string | undefined)[] = [];
    const caller = new NotesCaller();
    const context = contextOf({
      calls: 0,
      skew: 0,
      call: async (request, state) => {
        seen.push(state.get(windowKey(request.sender)));
        return caller.call(request, state);
      },
    } as NotesCaller);
    await executeBlock(context, [sign(ada), sign(ada)]);
    expect(seen).toEqual([undefined, undefined]);
  });

  it("executes stored blocks again, and refuses a wrong signature in them", async () => {
    const sign = signing(genesis);
    const { chainId } = genesis;
    const execute = createExecute({ chainId, caller: new NotesCaller(), verifier: nativeVerifier });
    const transaction = sign(ada);
    const header = { ...genesis.header, height: 1, timestampMs: genesisMs + 1 };
    const { state } = contextOf();
    const input = { header, transactions: [transaction.bytes], state };
    const executed = await execute(input);
    const direct = await executeBlock(contextOf(), [transaction]);
    expect(executed.receipts).toEqual(direct.receiptBytes);
    expect([executed.changes, executed.gasUsed]).toEqual([direct.changes, direct.gasUsed]);
    const forged = (transaction as Transaction).bytes.slice();
    forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
    expect(await invalidReason(execute({ ...input, transactions: [forged] }))).toBe(
      "transaction 0: TRANSACTION_SIGNATURE_INVALID",
    );
  });
});

describe("state overlay", () => {
  it("answers ranges as a state with the changes applied would", () => {
    const base = new MapState(["b", "d", "f", "h", "j"].map((key) => [key, `${key}0`] as const));
    const overlay = new StateOverlay(base);
    const applied = new MapState(base.map);
    const set = (key: string, value: string | undefined) => {
      overlay.set(key, value);
      if (value === undefined) applied.map.delete(key);
      else applied.map.set(key, value);
    };
    const compare = () => {
      for (const reverse of [false, true])
        for (const limit of [1, 2, 3, 100])
          for (const [from, to] of [
            ["a", "z"],
            ["b", "h"],
            ["c", "d"],
            ["h", "b"],
          ] as const) {
            const range = { from, to, reverse, limit };
            expect(overlay.range(range)).toEqual(applied.range(range));
          }
    };
    compare();
    set("d", undefined);
    set("c", "c1");
    compare();
    set("b", undefined);
    set("f", "f1");
    set("k", "k1");
    set("a", undefined);
    compare();
    for (const key of "lmnopqrstuvwxyABCDEFG") set(key, key);
    set("c", undefined);
    compare();
    expect(overlay.get("d")).toBeUndefined();
    expect(overlay.get("h")).toBe("h0");
  });

  it("tells how many deleted keys a range has to pass over, for the price of it", () => {
    const keys = Array.from({ length: 50 }, (_, index) => `k${index + 10}`);
    const overlay = new StateOverlay(new MapState(keys.map((key) => [key, "1"] as const)));
    const range = { from: "k", to: "l", reverse: false, limit: 1 };
    expect(overlay.hiddenRows(range)).toBe(0);
    for (const key of keys.slice(0, 40)) overlay.set(key, undefined);
    expect(overlay.hiddenRows(range)).toBe(40);
    expect(overlay.hiddenRows({ ...range, to: "k15" })).toBe(5);
    expect(overlay.hiddenRows({ ...range, from: "k50" })).toBe(0);
    overlay.set("k10", "2");
    expect(overlay.hiddenRows(range)).toBe(39);
  });
});

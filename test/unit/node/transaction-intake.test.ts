/** Claims about transactions between nodes: what is forwarded is bounded, what is old is repeated. */
import { describe, expect, it } from "vitest";
import { encode } from "../../../src/base/format/codec.ts";
import { Republisher } from "../../../src/node/republisher.ts";
import { SeldomLog } from "../../../src/node/seldom.ts";
import { directFrame, TransactionIntake } from "../../../src/node/transaction-intake.ts";

describe("forwarded transactions", () => {
  it("of one peer wait up to a bound, and another peer is heard all the same", async () => {
    const judged: number[] = [];
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const intake = new TransactionIntake({
      submitAll: async (list) => {
        judged.push(list.length);
        await released;
        return list.map(() => ({ status: "pending" }));
      },
      pendingTransactions: () => [],
    });
    const frame = directFrame("transactions", encode([[new Uint8Array(200_000)]]));
    for (let copy = 0; copy < 100; copy += 1) intake.receiveDirect("flooder", frame, () => {});
    const ofFlooder = judged.length;
    expect(ofFlooder * frame.length).toBeLessThan(5 * 1024 * 1024);
    intake.receiveDirect("other", frame, () => {});
    expect(judged.length).toBe(ofFlooder + 1);
    expect(intake.refused.get("FORWARDED_TOO_MUCH")).toBe(100 - ofFlooder);
    release();
    await new Promise((resolve) => setImmediate(resolve));
    intake.receiveDirect("flooder", frame, () => {});
    expect(judged.length).toBe(ofFlooder + 2);
  });
});

describe("the republisher", () => {
  it("gossips again what two looks saw, and nothing that is new or gone", () => {
    const [old, gone, fresh] = [1, 2, 3].map((byte) => Uint8Array.of(byte)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    let pending = [old, gone];
    const published: Uint8Array[][] = [];
    const republisher = new Republisher({
      pendingTransactions: () => pending,
      publish: (transactions) => published.push([...transactions]),
    });
    republisher.look();
    expect(published).toEqual([]);
    pending = [old, fresh];
    republisher.look();
    expect(published).toEqual([[old]]);
    pending = [];
    republisher.look();
    expect(published).toHaveLength(1);
  });
});

describe("warnings that others can cause", () => {
  it("are logged at once, then once a minute with how many were left out", () => {
    const lines: object[] = [];
    let nowMs = 0;
    const log = { debug() {}, info() {}, error() {}, warn: (facts: object) => lines.push(facts) };
    const seldom = new SeldomLog(log, () => nowMs);
    for (let time = 0; time < 1_000; time += 1) seldom.warn("a", { from: "a" }, "bad");
    seldom.warn("b", { from: "b" }, "bad");
    nowMs = 60_000;
    seldom.warn("a", { from: "a" }, "bad");
    expect(lines).toEqual([{ from: "a" }, { from: "b" }, { from: "a", omitted: 999 }]);
  });
});

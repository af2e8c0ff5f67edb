/**
 * Claims about transactions between nodes: what peers send is bounded and at their own cost (numbers
 * of src/node/transaction-intake.ts), what is old is repeated.
 */
import { describe, expect, it } from "vitest";
import { encode } from "../../../src/base/format/codec.ts";
import { limits } from "../../../src/base/limits.ts";
import { PeerPayers } from "../../../src/node/peer-payers.ts";
import { Republisher } from "../../../src/node/republisher.ts";
import { SeldomLog } from "../../../src/node/seldom.ts";
import { directFrame, TransactionIntake } from "../../../src/node/transaction-intake.ts";
import { VerificationBudget } from "../../../src/node/verification-budget.ts";
import { freely } from "../../helpers/freely.ts";
import { openNode, senders, signing } from "../ledger/execution-fixture.ts";
import { until } from "./driver-fixture.ts";
import { VirtualTimers } from "./virtual-timers.ts";

const directOf = (list: readonly Uint8Array[]) => directFrame("transactions", encode([list]));
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("forwarded transactions", () => {
  it("(1, 2) of one peer wait up to a bound, one frame at a time, and another peer is heard", async () => {
    const judged: number[] = [];
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const sink = {
      async submitAll(list: readonly Uint8Array[]) {
        judged.push(list[0]?.[0] as number);
        await released;
        return list.map(() => ({ status: "pending" }));
      },
      pendingTransactions: () => [],
    };
    const intake = new TransactionIntake(sink, () => freely);
    const send = (from: string, mark: number) =>
      intake.receiveDirect(from, directOf([new Uint8Array(200_000).fill(mark)]), () => {});
    for (let mark = 0; mark < 100; mark += 1) send("flooder", mark);
    await turn();
    expect(judged).toEqual([0]);
    send("other", 200);
    await turn();
    expect(judged).toEqual([0, 200]);
    const dropped = intake.refused.get("FORWARDED_TOO_MUCH") as number;
    expect((100 - dropped) * 200_000).toBeLessThan(5 * 1024 * 1024);
    release();
    await until(() => judged.length > 100 - dropped);
    expect(judged.filter((mark) => mark < 200)).toEqual(
      Array.from({ length: 100 - dropped }, (_, mark) => mark),
    );
    send("flooder", 0);
    await until(() => judged.length > 101 - dropped);
    expect(judged.at(-1)).toBe(0);
  });

  it("(2) wait up to a bound however small their frames are", async () => {
    let asked = 0;
    const never = { ready: () => new Promise<void>(() => (asked += 1)), pay: freely.pay };
    const sink = { submitAll: async () => [], pendingTransactions: () => [] };
    const intake = new TransactionIntake(sink, () => never);
    for (let copy = 0; copy < 10_000; copy += 1)
      intake.receiveDirect("flooder", directFrame("transactions", new Uint8Array(0)), () => {});
    await turn();
    expect(asked).toBe(1);
    expect(intake.refused.get("FORWARDED_TOO_MUCH")).toBeGreaterThan(5_000);
  });

  it("are refused as a whole when one is too short to be one", async () => {
    let submitted = 0;
    const sink = {
      async submitAll(list: readonly Uint8Array[]) {
        submitted += list.length;
        return list.map(() => ({ status: "pending" }));
      },
      pendingTransactions: () => [],
    };
    const intake = new TransactionIntake(sink, () => freely);
    intake.receiveDirect("liar", directOf(Array(10_000).fill(Uint8Array.of(0))), () => {});
    intake.receiveDirect("peer", directOf([new Uint8Array(limits.transactionBytesMin)]), () => {});
    await until(() => submitted > 0);
    expect(submitted).toBe(1);
    expect([...intake.refused]).toEqual([["CODEC_INVALID", 1]]);
  });

  it("that cannot be read are read one frame a turn, whoever sends them", async () => {
    let read = 0;
    const pay = <T>(work: () => T): T => {
      read += 1;
      return work();
    };
    const counting = { ...freely, pay };
    const sink = { submitAll: async () => [], pendingTransactions: () => [] };
    const intake = new TransactionIntake(sink, () => counting);
    for (let copy = 0; copy < 30; copy += 1)
      intake.receiveDirect(`liar ${copy % 3}`, directOf([Uint8Array.of(0)]), () => {});
    const counts: number[] = [];
    while (read < 30) {
      const before = read;
      await turn();
      counts.push(read - before);
    }
    expect(Math.max(...counts)).toBe(1);
  });

  it("(1) that one peer floods take few checks a turn, and others are admitted beside them", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    const intake = new TransactionIntake(node.ledger, () => freely);
    const forged = Array.from(sign(senders.stranger).bytes, (byte, at) =>
      at === 150 ? byte ^ 1 : byte,
    );
    const frame = directOf(Array(30).fill(Uint8Array.from(forged)));
    for (let copy = 0; copy < 60; copy += 1) intake.receiveDirect("liar", frame, () => {});
    const honest = Array.from({ length: 40 }, () => sign(senders.ada).bytes);
    intake.receiveDirect("honest", directOf(honest), () => {});
    const gossiped = intake.judge("gossiper", [sign(senders.ben).bytes]);
    const counts: number[] = [];
    while (node.ledger.mempool.count < 41) {
      const before = node.verifier.count;
      await turn();
      counts.push(node.verifier.count - before);
    }
    expect(await gossiped).toEqual(["accept"]);
    expect(Math.max(...counts)).toBeLessThanOrEqual(32);
    // Half of each turn is for the honest one.
    expect(counts.length).toBeLessThanOrEqual(6);
    expect(node.verifier.count).toBeLessThan(200);
  });
});

describe("a peer that has transactions checked", () => {
  /** A node whose checks take so long in virtual time. */
  async function start(checkMs: number) {
    const node = await openNode();
    const timers = new VirtualTimers();
    let extraMs = 0;
    const verify = node.verifier.verify.bind(node.verifier);
    node.verifier.verify = (...what) => {
      extraMs += checkMs;
      return verify(...what);
    };
    const clock = { nowMs: () => timers.nowMs() + extraMs };
    const budget = new VerificationBudget(clock.nowMs);
    const accountOf = (payer: string) => ({ payer, share: 0.2 });
    const payers = new PeerPayers({
      budget,
      timers: { ...clock, after: timers.after.bind(timers), every: timers.every.bind(timers) },
      accountOf,
    });
    const intake = new TransactionIntake(node.ledger, (peer) => payers.of(peer));
    return { node, timers, payers, intake, sign: signing(node.genesis) };
  }

  it("waits for its share of the time, however its frames come, and loses none", async () => {
    const { node, timers, intake, sign } = await start(10);
    const list = Array.from({ length: 60 }, () => sign(senders.ada).bytes);
    intake.receiveDirect("busy", directOf(list.slice(0, 30)), () => {});
    const gossiped = intake.judge("busy", list.slice(30));
    await timers.advance(0);
    // Half of 500 ms, and what comes in meanwhile.
    expect(node.verifier.count).toBeGreaterThanOrEqual(25);
    expect(node.verifier.count).toBeLessThanOrEqual(33);
    const other = intake.judge("other", [sign(senders.ben).bytes]);
    await timers.advance(0);
    expect(await other).toEqual(["accept"]);
    await timers.advance(1_000);
    expect(node.ledger.mempool.count).toBeLessThan(60);
    await timers.advance(5_000);
    expect(node.ledger.mempool.count).toBe(61);
    expect(await gossiped).toEqual(Array(30).fill("accept"));
  });

  it("is let go when the node ends", async () => {
    const { node, timers, payers, intake, sign } = await start(10);
    const gossiped = intake.judge(
      "busy",
      Array.from({ length: 60 }, () => sign(senders.ada).bytes),
    );
    await timers.advance(0);
    payers.stop();
    const verdicts = await gossiped;
    expect(verdicts.at(-1)).toBe("ignore");
    expect(node.verifier.count).toBeLessThan(40);
    expect(intake.refused.get("NODE_STOPPED")).toBeGreaterThan(20);
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

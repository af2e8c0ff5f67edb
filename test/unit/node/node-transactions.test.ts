/** The node's own transactions: one at a time, each until it is final, and never without bound. */
import { describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { didOf } from "../../../src/base/format/did.ts";
import { decodeTransaction, type Transaction } from "../../../src/base/format/transaction.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { TransactionStatus } from "../../../src/ledger/ledger-types.ts";
import { nativeSigner } from "../../../src/node/native-crypto.ts";
import { NodeTransactions } from "../../../src/node/node-transactions.ts";
import type { Timers } from "../../../src/node/timers.ts";
import { until } from "./driver-fixture.ts";

const signer = nativeSigner(new Uint8Array(32).fill(7));
const entry = { did: didOf(signer.publicKey), member: "n1", name: "N", roles: ["node"] };

/** Timers that run out at once, so that a wait is one turn of the event loop. */
const soon: Timers = {
  nowMs: () => 0,
  after: (_delayMs, run) => {
    const timer = setImmediate(run);
    return () => clearImmediate(timer);
  },
  every: () => () => undefined,
};

const directory = "ledger";
const isClosed = new LedgerError("LEDGER_STORE_CLOSED", { directory });
const readFailed = { directory, reason: "IO error: too many open files", salvageable: false };

/** A ledger that admits what it is told to, and says of each transaction what it is told to. */
class Bench {
  readonly sent: Transaction[] = [];
  isEnrolled = true;
  /** The ledger cannot be read for so many looks. */
  closedFor = 0;
  fault: LedgerError = isClosed;
  nonceHighest = 4;
  /** Answers by how often a transaction was looked at. */
  answer: (transaction: Transaction, looks: number) => TransactionStatus = () => final;
  refusal: (transaction: Transaction) => LedgerError | undefined = () => undefined;
  readonly #looks = new Map<string, number>();
  #timeMs = 4_999;
  readonly transactions = new NodeTransactions({
    ledger: {
      chainId: zeroHash,
      tip: { timestampMs: 5_000 },
      senderInfo: () => {
        this.#read();
        return {
          did: entry.did,
          entry: this.isEnrolled ? { ...entry, status: "active" } : undefined,
          nonceHighest: this.nonceHighest,
          pendingCount: 0,
          pendingNonceHighest: 0,
        };
      },
      status: async (id) => {
        this.#read();
        return this.#status(id);
      },
    },
    signer,
    submit: async (bytes) => {
      const transaction = decodeTransaction(bytes);
      const refusal = this.refusal(transaction);
      this.sent.push(transaction);
      if (refusal !== undefined) throw refusal;
    },
    clock: { nowMs: () => (this.#timeMs += 1) },
    timers: soon,
    log: silentLog,
  });

  #read(): void {
    this.closedFor -= 1;
    if (this.closedFor >= 0) throw this.fault;
  }

  #status(id: string): TransactionStatus {
    const transaction = this.sent.find((one) => one.id === id);
    if (transaction === undefined) return { status: "unknown" };
    const looks = (this.#looks.get(id) ?? 0) + 1;
    this.#looks.set(id, looks);
    return this.answer(transaction, looks);
  }

  /** Waits until nothing is under way. */
  async idle(): Promise<void> {
    await until(() => !this.transactions.has("declareReady"));
  }
}

const receipt = { transactionId: zeroHash, outcome: "ok", gasUsed: 1, events: [], changes: [] };
const final: TransactionStatus = { status: "final", height: 1, index: 0, receipt };
const pending: TransactionStatus = { status: "pending" };
const call = { method: "declareReady", argsJson: '{"height":1}' };

describe("own transactions of a node", () => {
  it("are signed with the next nonce and a life after block time, for the system contract", async () => {
    const bench = new Bench();
    bench.transactions.submit(call);
    await bench.idle();
    expect(bench.sent).toHaveLength(1);
    expect(bench.sent[0]).toMatchObject({
      ...{ contract: "system", ...call, nonce: 5, sender: signer.publicKey },
      ...{ expiresAtMs: 605_000, gasLimit: 3_000_000 },
    });
  });

  it("are sent again while they are pending, with the same bytes", async () => {
    const bench = new Bench();
    bench.answer = (_transaction, looks) => (looks < 30 ? pending : final);
    bench.transactions.submit(call);
    await bench.idle();
    expect(bench.sent.length).toBeGreaterThan(2);
    expect(new Set(bench.sent.map(({ id }) => id)).size).toBe(1);
  });

  it("are signed anew when they were dropped, or their nonce is taken", async () => {
    const bench = new Bench();
    bench.answer = ({ nonce }) =>
      nonce < 6 ? { status: "dropped", code: "TRANSACTION_EXPIRED" } : final;
    bench.refusal = ({ nonce }) => {
      const facts = { sender: signer.publicKey, nonce, pendingId: zeroHash };
      if (nonce >= 6) return undefined;
      bench.nonceHighest += 1;
      return new LedgerError("TRANSACTION_NONCE_CONFLICT", facts);
    };
    bench.transactions.submit(call);
    await bench.idle();
    expect(bench.sent.map(({ nonce }) => nonce)).toEqual([5, 6]);
  });

  it("are signed anew when they are refused as expired", async () => {
    const bench = new Bench();
    bench.answer = ({ nonce }) => (nonce < 6 ? { status: "unknown" } : final);
    bench.refusal = ({ nonce, expiresAtMs }) => {
      if (nonce >= 6) return undefined;
      bench.nonceHighest += 1;
      return new LedgerError("TRANSACTION_EXPIRED", { expiresAtMs, timeMs: expiresAtMs });
    };
    bench.transactions.submit(call);
    await bench.idle();
    expect(bench.sent.map(({ nonce }) => nonce)).toEqual([5, 6]);
  });

  it("are not sent when they could have no effect any more, and not signed anew then", async () => {
    const bench = new Bench();
    bench.answer = () => ({ status: "dropped", code: "TRANSACTION_EXPIRED" });
    let looks = 0;
    bench.transactions.submit({ ...call, isMoot: () => true });
    bench.transactions.submit({ ...call, argsJson: "{}", isMoot: () => ++looks > 2 });
    await bench.idle();
    expect(bench.sent.map(({ argsJson }) => argsJson)).toEqual(["{}", "{}"]);
  });

  it.each([
    { name: "is closed to mend its disk", fault: isClosed },
    { name: "cannot be read", fault: new LedgerError("LEDGER_STORE_UNREADABLE", readFailed) },
  ])("wait while the ledger $name, and are signed once", async ({ fault }) => {
    const bench = new Bench();
    bench.fault = fault;
    bench.closedFor = 3;
    bench.answer = (_transaction, looks) => {
      if (looks === 1) bench.closedFor = 2;
      return looks < 3 ? pending : final;
    };
    bench.transactions.submit(call);
    await bench.idle();
    expect(new Set(bench.sent.map(({ id }) => id)).size).toBe(1);
  });

  it("are given up after five signings", async () => {
    const bench = new Bench();
    bench.answer = () => ({ status: "dropped", code: "TRANSACTION_EXPIRED" });
    bench.transactions.submit(call);
    await bench.idle();
    expect(bench.sent).toHaveLength(5);
  });

  it("wait while the mempool is full, and are given up when refused for good", async () => {
    const bench = new Bench();
    let refusals = 0;
    bench.answer = () => (refusals < 3 ? { status: "dropped", code: "MEMPOOL_FULL" } : final);
    bench.refusal = () => {
      refusals += 1;
      return refusals <= 3 ? new LedgerError("MEMPOOL_FULL", { bytes: 1, bytesMax: 1 }) : undefined;
    };
    bench.transactions.submit(call);
    await bench.idle();
    expect(new Set(bench.sent.map(({ id }) => id)).size).toBe(1);
    expect(refusals).toBe(3);
    bench.refusal = () => new LedgerError("TRANSACTION_GAS_LIMIT", { gasLimit: 1, gasLimitMax: 0 });
    bench.answer = () => ({ status: "unknown" });
    const before = bench.sent.length;
    bench.transactions.submit({ ...call, argsJson: "{}" });
    await bench.idle();
    expect(bench.sent.length).toBe(before + 1);
  });

  it("are not made by a node that is no sender", async () => {
    const bench = new Bench();
    bench.isEnrolled = false;
    bench.transactions.submit(call);
    await bench.idle();
    expect(bench.sent).toEqual([]);
  });

  it("go one after the other, each call once, and 64 wait at most", async () => {
    const bench = new Bench();
    let isHeld = true;
    bench.answer = () => (isHeld ? pending : final);
    for (let number = 0; number < 100; number += 1) {
      bench.transactions.submit({ method: "declareReady", argsJson: `{"height":${number}}` });
      bench.transactions.submit({ method: "declareReady", argsJson: `{"height":${number}}` });
    }
    await until(() => bench.sent.length > 0);
    expect(new Set(bench.sent.map(({ id }) => id)).size).toBe(1);
    isHeld = false;
    await bench.idle();
    const heights = bench.sent.map(({ argsJson }) => argsJson);
    expect(new Set(heights).size).toBeLessThanOrEqual(65);
    expect(new Set(heights).size).toBeGreaterThanOrEqual(64);
  });

  it("end when they are told to", async () => {
    const bench = new Bench();
    bench.answer = () => pending;
    bench.transactions.submit(call);
    await until(() => bench.sent.length > 0);
    await bench.transactions.stop();
    bench.transactions.submit(call);
    expect(bench.transactions.has("declareReady")).toBe(false);
  });
});

/**
 * Transactions that come from peers: by gossip, in frames of many, or handed over directly by a
 * validator whose round timed out.
 *
 * Direct frames of the consensus stream start with one byte: 0 a consensus message, 1 a tuple of
 * transactions.
 */
import { concatBytes } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { encode } from "../base/format/codec.ts";
import { TupleReader } from "../base/format/tuple.ts";
import { limits } from "../base/limits.ts";
import { admissionClass } from "../ledger/admission.ts";

/** How gossip treats a transaction: reject blames the peer that sent it. */
export type Verdict = "accept" | "ignore" | "reject";

/** What the intake needs of the ledger. */
export interface TransactionSink {
  submitAll(
    list: readonly Uint8Array[],
  ): Promise<readonly (LedgerError | { readonly status: string })[]>;
  pendingTransactions(): readonly Uint8Array[];
}

const kinds = { consensus: 0, transactions: 1 } as const;
/** Transactions handed to one proposer at one time-out. */
const forwardedBytesMax = 4 * 1024 * 1024;

/** Puts the kind before a direct frame. */
export function directFrame(kind: keyof typeof kinds, bytes: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(kinds[kind]), bytes);
}

/** Admits what peers send and counts what was refused, by code. */
export class TransactionIntake {
  readonly #sink: TransactionSink;
  /** Refusals of gossiped transactions since start, by error code. */
  readonly refused = new Map<string, number>();
  /** Called after a frame brought something new. */
  onAdmitted: () => void = () => {};

  constructor(sink: TransactionSink) {
    this.#sink = sink;
  }

  /** Judges the transactions of one frame, in order. */
  async judge(transactions: readonly Uint8Array[]): Promise<Verdict[]> {
    const results = await this.#sink.submitAll(transactions);
    const verdicts = results.map((result) => this.#verdictOf(result));
    if (verdicts.includes("accept")) this.onAdmitted();
    return verdicts;
  }

  /** Takes a direct frame: consensus messages go to `receive`. */
  receiveDirect(frame: Uint8Array, receive: (message: Uint8Array) => void): void {
    const body = frame.subarray(1);
    if (frame[0] === kinds.consensus) receive(body);
    else if (frame[0] === kinds.transactions) void this.#takeForwarded(body);
  }

  /** Frames of the pending transactions, for the next proposer. */
  *pendingFrames(): Generator<Uint8Array> {
    let frame: Uint8Array[] = [];
    let frameBytes = 0;
    let total = 0;
    for (const bytes of this.#sink.pendingTransactions()) {
      total += bytes.length;
      if (total > forwardedBytesMax) break;
      frame.push(bytes);
      frameBytes += bytes.length;
      if (frameBytes < limits.gossipFrameBytesTarget) continue;
      yield directFrame("transactions", encode([frame]));
      frame = [];
      frameBytes = 0;
    }
    if (frame.length > 0) yield directFrame("transactions", encode([frame]));
  }

  async #takeForwarded(body: Uint8Array): Promise<void> {
    try {
      await this.judge(readTransactions(body));
    } catch (error) {
      this.#count(error);
    }
  }

  #verdictOf(result: LedgerError | { readonly status: string }): Verdict {
    if (!isLedgerError(result)) return result.status === "pending" ? "accept" : "ignore";
    this.#count(result);
    return admissionClass(result.code) === "stateless" ? "reject" : "ignore";
  }

  #count(error: unknown): void {
    const name = isLedgerError(error) ? error.code : "UNEXPECTED";
    this.refused.set(name, (this.refused.get(name) ?? 0) + 1);
  }
}

function readTransactions(body: Uint8Array): Uint8Array[] {
  const type = "forwarded transactions";
  const reader = TupleReader.decode(body, type);
  const transactions = reader.list("transactions", limits.blockTransactionsMax, (value) => {
    if (!(value instanceof Uint8Array))
      throw new LedgerError("CODEC_INVALID", { type, path: "", reason: "expected bytes" });
    return value;
  });
  reader.end();
  return transactions;
}

/**
 * Transactions that come from peers: by gossip, in frames of many, or handed over directly by a
 * validator whose round timed out.
 *
 * Direct frames of the consensus stream start with one byte: 0 a consensus message, 1 a tuple of
 * transactions.
 *
 * Invariants:
 *
 * (1) Of one peer one frame is judged at a time, in order, whichever way it came, and at its cost.
 * (2) Forwarded frames of one peer that wait take at most `waitingBytesMax`.
 */
import { concatBytes } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { encode } from "../base/format/codec.ts";
import { TupleReader } from "../base/format/tuple.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import { admissionClass } from "../ledger/admission.ts";
import { CheckTurns } from "../ledger/check-turns.ts";
import type { CheckPayer } from "../ledger/ledger-types.ts";
import { surface } from "./crash.ts";

/** How gossip treats a transaction: reject blames the peer that sent it. */
export type Verdict = "accept" | "ignore" | "reject";

/** What the intake needs of the ledger. */
export interface TransactionSink {
  submitAll(
    list: readonly Uint8Array[],
    payer: CheckPayer,
  ): Promise<readonly (LedgerError | { readonly status: string })[]>;
  pendingTransactions(): readonly Uint8Array[];
}

const kinds = { consensus: 0, transactions: 1 } as const;
/** Transactions handed to one proposer at one time-out, or to a peer that has just connected. */
const forwardedBytesMax = 4 * 1024 * 1024;
/** Forwarded bytes of one peer that may wait for their checks: the same and a frame. */
const waitingBytesMax = forwardedBytesMax + limits.transactionBytesMax;
/** What a frame that waits takes beside its bytes, so that empty ones are not free. */
const waitingEntryBytes = 1_024;
/** What reading a frame of 10,000 parts takes, as src/ledger/check-turns.ts counts. */
const frameUnits = 32;

/** Puts the kind before a direct frame. */
export function directFrame(kind: keyof typeof kinds, bytes: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(kinds[kind]), bytes);
}

/** Admits what peers send and counts what was refused, by code. */
export class TransactionIntake {
  readonly #sink: TransactionSink;
  readonly #payerOf: (peer: PublicKey) => CheckPayer;
  /** The last frame of each peer that has one waiting or under way. */
  readonly #last = new Map<PublicKey, Promise<unknown>>();
  /** Refusals of gossiped transactions since start, by error code. */
  readonly refused = new Map<string, number>();
  /** For reading frames; their transactions have those of the ledger. */
  readonly #turns = new CheckTurns();
  /** Forwarded bytes under way, by the peer that sent them. */
  readonly #waitingBytes = new Map<PublicKey, number>();
  /** Called after a frame brought something new. */
  onAdmitted: () => void = () => {};

  /** @param payerOf - Who pays for the checks of a peer's transactions. */
  constructor(sink: TransactionSink, payerOf: (peer: PublicKey) => CheckPayer) {
    this.#sink = sink;
    this.#payerOf = payerOf;
  }

  /** Judges the transactions of one gossiped frame, in order, after what the peer sent before. */
  judge(from: PublicKey, transactions: readonly Uint8Array[]): Promise<Verdict[]> {
    return this.#inTurn(from, () => this.#judge(transactions, this.#payerOf(from)));
  }

  /** Takes a direct frame: consensus messages go to `receive`. */
  receiveDirect(from: PublicKey, frame: Uint8Array, receive: (message: Uint8Array) => void): void {
    const body = frame.subarray(1);
    if (frame[0] === kinds.consensus) receive(body);
    else if (frame[0] === kinds.transactions) this.#takeForwarded(from, body).catch(surface);
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

  /** What one peer sends faster than it can be checked is dropped: it will be sent again. */
  async #takeForwarded(from: PublicKey, body: Uint8Array): Promise<void> {
    const bytes = body.length + waitingEntryBytes;
    const waiting = (this.#waitingBytes.get(from) ?? 0) + bytes;
    if (waiting > waitingBytesMax) return this.#count("FORWARDED_TOO_MUCH");
    this.#waitingBytes.set(from, waiting);
    try {
      await this.#inTurn(from, async () => {
        const payer = this.#payerOf(from);
        await payer.ready();
        await this.#turns.take(frameUnits);
        const transactions = payer.pay(() => readTransactions(body));
        await this.#judge(transactions, payer);
      });
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      this.#count(error.code);
    } finally {
      const rest = (this.#waitingBytes.get(from) ?? 0) - bytes;
      if (rest === 0) this.#waitingBytes.delete(from);
      else this.#waitingBytes.set(from, rest);
    }
  }

  async #inTurn<T>(from: PublicKey, work: () => Promise<T>): Promise<T> {
    const former = this.#last.get(from);
    const own = (async () => {
      // What became of the former one is told to whoever brought it.
      await former?.catch(() => {});
      return work();
    })();
    this.#last.set(from, own);
    try {
      return await own;
    } finally {
      if (this.#last.get(from) === own) this.#last.delete(from);
    }
  }

  async #judge(transactions: readonly Uint8Array[], payer: CheckPayer): Promise<Verdict[]> {
    const results = await this.#sink.submitAll(transactions, payer);
    const verdicts = results.map((result) => this.#verdictOf(result));
    if (verdicts.includes("accept")) this.onAdmitted();
    return verdicts;
  }

  #verdictOf(result: LedgerError | { readonly status: string }): Verdict {
    if (!isLedgerError(result)) return result.status === "pending" ? "accept" : "ignore";
    this.#count(result.code);
    return admissionClass(result.code) === "stateless" ? "reject" : "ignore";
  }

  #count(code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }
}

function readTransactions(body: Uint8Array): Uint8Array[] {
  const type = "forwarded transactions";
  const reader = TupleReader.decode(body, type);
  const transactions = reader.list("transactions", limits.blockTransactionsMax, (value) => {
    if (value instanceof Uint8Array && value.length >= limits.transactionBytesMin) return value;
    throw new LedgerError("CODEC_INVALID", { type, path: "", reason: "expected transactions" });
  });
  reader.end();
  return transactions;
}

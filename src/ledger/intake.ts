/**
 * Takes transactions in: both classes of admission, then the mempool. After each append it sorts
 * out what the new state no longer admits.
 *
 * Invariant: (1) every pending transaction was admissible on the present head, save that its time
 * may have run out.
 */
import { isLedgerError, type LedgerError } from "../base/errors.ts";
import { decodeWindow, windowKey } from "../base/format/replay-window.ts";
import type { Transaction } from "../base/format/transaction.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Clock } from "../base/log.ts";
import { passingRefusals, stateRefusal } from "./admission.ts";
import type { Head } from "./head.ts";
import type { CheckPayer, FinalStatus, SenderInfo, Submission } from "./ledger-types.ts";
import type { Mempool } from "./mempool.ts";
import type { SystemEntries } from "./system-entries.ts";
import type { VerifiedTransactions } from "./verified-transactions.ts";

type Parts = {
  readonly mempool: Mempool;
  readonly verified: VerifiedTransactions;
  readonly entries: SystemEntries;
  readonly clock: Clock;
  readonly head: () => Head;
  /** Finds a transaction that is final already. */
  readonly findFinal: (id: Hash) => Promise<FinalStatus | undefined>;
};

/** The way into the mempool. */
export class Intake {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Admits signed bytes. @throws {LedgerError} Why they are refused. */
  async submit(bytes: Uint8Array, payer?: CheckPayer): Promise<Submission> {
    const { mempool, verified, clock, findFinal } = this.#parts;
    const transaction = await verified.check(bytes, payer);
    const { id } = transaction;
    if (mempool.get(id) !== undefined) return { id, status: "pending", isNew: false };
    const refusal = this.#refusalOf(transaction, nextTimeMs(this.#parts.head(), clock.nowMs()));
    if (refusal !== undefined) {
      // A final transaction has used its nonce, so only refused ones need the look.
      const final = await findFinal(id);
      if (final === undefined) throw refusal;
      return { id, status: "final", height: final.height, index: final.index };
    }
    mempool.add(transaction);
    verified.remember(transaction);
    return { id, status: "pending", isNew: true };
  }

  /** Admits many; refusals come back in their places. */
  async submitAll(
    list: readonly Uint8Array[],
    payer?: CheckPayer,
  ): Promise<(Submission | LedgerError)[]> {
    const results: (Submission | LedgerError)[] = [];
    for (const bytes of list) {
      try {
        results.push(await this.submit(bytes, payer));
      } catch (error) {
        if (!isLedgerError(error)) throw error;
        results.push(error);
      }
    }
    return results;
  }

  /**
   * Takes what is final out of the mempool, and drops what the new head no longer admits.
   *
   * @param isSystemChanged - Whether the block changed accounts, roles, contracts or parameters.
   */
  onAppended(transactions: readonly Transaction[], isSystemChanged: boolean): void {
    const { mempool } = this.#parts;
    for (const { id } of transactions) mempool.remove(id);
    const head = this.#parts.head();
    const timeMs = head.parent.timestampMs + 1;
    mempool.expire(timeMs);
    const senders = isSystemChanged
      ? new Set(mempool.senders())
      : new Set(transactions.map(({ sender }) => sender));
    for (const sender of senders) this.#sortOut(sender, timeMs);
  }

  /** Returns what a sender needs to know before it signs. */
  senderInfo(sender: PublicKey): SenderInfo {
    const { entries, mempool } = this.#parts;
    const { state } = this.#parts.head();
    const did = entries.didOf(sender);
    const pending = mempool.ofSender(sender);
    return {
      did,
      entry: entries.sender(state, did),
      nonceHighest: decodeWindow(state.get(windowKey(did))).highest,
      pendingCount: pending.length,
      pendingNonceHighest: pending.reduce((most, { nonce }) => Math.max(most, nonce), 0),
    };
  }

  #sortOut(sender: PublicKey, timeMs: number): void {
    const { mempool } = this.#parts;
    const refusalOf = this.#refusals(sender, timeMs);
    for (const transaction of mempool.ofSender(sender)) {
      const refusal = refusalOf(transaction);
      if (refusal !== undefined && !passingRefusals.has(refusal.code))
        mempool.drop(transaction.id, refusal.code);
    }
  }

  #refusalOf(transaction: Transaction, timeMs: number): LedgerError | undefined {
    return this.#refusals(transaction.sender, timeMs)(transaction);
  }

  /** Reads what concerns a sender once: its window takes 3 us, and 50,000 may be pending. */
  #refusals(
    sender: PublicKey,
    timeMs: number,
  ): (transaction: Transaction) => LedgerError | undefined {
    const { entries } = this.#parts;
    const { state, parameters } = this.#parts.head();
    const did = entries.didOf(sender);
    const facts = {
      parameters,
      timeMs,
      sender: entries.sender(state, did),
      window: decodeWindow(state.get(windowKey(did))),
    };
    return (transaction) =>
      stateRefusal(transaction, {
        ...facts,
        contract: entries.contract(state, transaction.contract),
      });
  }
}

/** Returns the earliest time the next block can have, UTC milliseconds. */
export function nextTimeMs(head: Head, nowMs: number): number {
  return Math.max(nowMs, head.parent.timestampMs + 1);
}

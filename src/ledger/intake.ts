/**
 * Takes transactions in: both classes of admission, then the mempool. After each append it sorts
 * out what the new state no longer admits.
 *
 * Invariants:
 *
 * (1) Every pending transaction was admissible on the present head, save that its time may have run
 *     out by this node's clock.
 * (2) What is refused or dropped as expired no block can hold any more, at whatever time it was made:
 *     only the time of the last block says so, since a block under way may be dated long before now.
 *     What may be dead already thus takes room until the next block, within the bounds of the mempool.
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
    const { mempool, verified, findFinal } = this.#parts;
    const transaction = await verified.check(bytes, payer);
    const { id } = transaction;
    if (mempool.get(id) !== undefined) return { id, status: "pending", isNew: false };
    const refusal = this.#refusals(transaction.sender, this.#timeFor(transaction))(transaction);
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
    const timeMs = earliestTimeMs(this.#parts.head());
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

  /** Returns the time of the next block by the clock, the earliest one for what that is too late for. */
  #timeFor({ expiresAtMs }: Transaction): number {
    const { clock, head } = this.#parts;
    const timeMs = nextTimeMs(head(), clock.nowMs());
    return expiresAtMs > timeMs ? timeMs : earliestTimeMs(head());
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

/** Returns the time of the next block if it were made now, UTC milliseconds. */
export function nextTimeMs(head: Head, nowMs: number): number {
  return Math.max(nowMs, earliestTimeMs(head));
}

function earliestTimeMs({ parent }: Head): number {
  return parent.timestampMs + 1;
}

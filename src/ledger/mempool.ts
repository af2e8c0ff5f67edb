/**
 * Admitted transactions that are not final yet. It knows nothing of state or signatures: the ledger
 * admits, and tells it what left.
 *
 * Invariants:
 *
 * (1) The bytes held, each entry with `mempoolEntryBytes` for its fields, are at most `bytesMax`;
 *     those of one sender at most its share of that.
 * (2) A pending sender and nonce has one transaction.
 * (3) A full mempool gives way to a sender that holds less than the heaviest one: the heaviest
 *     loses its latest. So a flood displaces nobody but itself.
 * (4) Selection takes from the senders in turn, each in the order of its nonces: batches that a
 *     sender made one after the other stay in order although they arrive over several nodes.
 * (5) A sender that was put last comes after all others in each turn, as long as that is remembered.
 */
import { LedgerError } from "../base/errors.ts";
import type { Transaction } from "../base/format/transaction.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";

type Entry = { readonly transaction: Transaction; readonly arrival: number };

type SenderQueue = {
  /** By nonce, in order of arrival. */
  readonly entries: Map<number, Entry>;
  bytes: number;
};

/** Bounds, by default those of limits.ts, and who hears of what is dropped. */
type MempoolOptions = {
  readonly bytesMax?: number;
  /** A sender may fill one part in so many. */
  readonly senderShare?: number;
  readonly onDropped?: (id: Hash, code: string) => void;
};

/** The pending transactions of one node. */
export class Mempool {
  readonly #bytesMax: number;
  readonly #senderBytesMax: number;
  readonly #onDropped: (id: Hash, code: string) => void;
  readonly #byId = new Map<Hash, Transaction>();
  readonly #bySender = new Map<PublicKey, SenderQueue>();
  readonly #dropped = new Map<Hash, string>();
  readonly #last = new Set<PublicKey>();
  #bytes = 0;
  #arrivals = 0;
  /** No pending transaction expires before it; may be too low, never too high. */
  #expiryMsMin = Number.POSITIVE_INFINITY;

  constructor(options: MempoolOptions = {}) {
    this.#onDropped = options.onDropped ?? (() => {});
    this.#bytesMax = options.bytesMax ?? limits.mempoolBytesMax;
    const share = options.senderShare ?? limits.mempoolSenderShare;
    this.#senderBytesMax = Math.floor(this.#bytesMax / share);
  }

  /** Number of pending transactions. */
  get count(): number {
    return this.#byId.size;
  }

  /** Bytes held, as invariant 1 counts them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns a pending transaction. */
  get(id: Hash): Transaction | undefined {
    return this.#byId.get(id);
  }

  /** Returns the pending transactions of one sender, in order of arrival. */
  ofSender(sender: PublicKey): Transaction[] {
    const entries = this.#bySender.get(sender)?.entries.values() ?? [];
    return Array.from(entries, ({ transaction }) => transaction);
  }

  /** Returns the senders that have pending transactions. */
  senders(): Iterable<PublicKey> {
    return this.#bySender.keys();
  }

  /** Returns why a transaction left without becoming final, while that is remembered. */
  droppedCode(id: Hash): string | undefined {
    return this.#dropped.get(id);
  }

  /**
   * Takes in an admitted transaction; one that is pending already changes nothing.
   *
   * @throws {LedgerError} TRANSACTION_NONCE_CONFLICT, MEMPOOL_SENDER_SHARE or MEMPOOL_FULL.
   */
  add(transaction: Transaction): void {
    const { id, sender, nonce } = transaction;
    if (this.#byId.has(id)) return;
    const queue = this.#bySender.get(sender) ?? { entries: new Map(), bytes: 0 };
    const other = queue.entries.get(nonce);
    if (other !== undefined) {
      const pendingId = other.transaction.id;
      throw new LedgerError("TRANSACTION_NONCE_CONFLICT", { sender, nonce, pendingId });
    }
    const bytes = heldBytes(transaction);
    if (queue.bytes + bytes > this.#senderBytesMax) {
      const bytesMax = this.#senderBytesMax;
      throw new LedgerError("MEMPOOL_SENDER_SHARE", { sender, bytes: queue.bytes, bytesMax });
    }
    this.#makeRoom(bytes, queue.bytes + bytes);
    queue.entries.set(nonce, { transaction, arrival: this.#arrivals });
    queue.bytes += bytes;
    this.#arrivals += 1;
    this.#bySender.set(sender, queue);
    this.#byId.set(id, transaction);
    this.#bytes += bytes;
    this.#dropped.delete(id);
    this.#expiryMsMin = Math.min(this.#expiryMsMin, transaction.expiresAtMs);
  }

  /** Forgets a transaction that became final. */
  remove(id: Hash): void {
    const transaction = this.#byId.get(id);
    if (transaction === undefined) return;
    const queue = this.#bySender.get(transaction.sender) as SenderQueue;
    const bytes = heldBytes(transaction);
    this.#byId.delete(id);
    this.#bytes -= bytes;
    queue.entries.delete(transaction.nonce);
    queue.bytes -= bytes;
    if (queue.entries.size === 0) this.#bySender.delete(transaction.sender);
  }

  /** Forgets a transaction that can no longer become final, and remembers why. */
  drop(id: Hash, code: string): void {
    this.remove(id);
    if (this.#dropped.size >= limits.droppedTransactionsMax) {
      const [oldest] = this.#dropped.keys();
      this.#dropped.delete(oldest as Hash);
    }
    this.#dropped.set(id, code);
    this.#onDropped(id, code);
  }

  /** Tells whether a block of that time could hold anything pending. */
  holdsFor(timeMs: number): boolean {
    if (this.#byId.size === 0) return false;
    if (timeMs < this.#expiryMsMin) return true;
    for (const { expiresAtMs } of this.#byId.values()) if (expiresAtMs > timeMs) return true;
    return false;
  }

  /**
   * Drops what no block of that time or a later one can hold. Only for the time of a final block:
   * by a clock alone, a block that is dated earlier may still be decided with what seems expired.
   */
  expire(timeMs: number): void {
    if (timeMs < this.#expiryMsMin) return;
    const expired: Hash[] = [];
    this.#expiryMsMin = Number.POSITIVE_INFINITY;
    for (const { id, expiresAtMs } of this.#byId.values()) {
      if (expiresAtMs <= timeMs) expired.push(id);
      else this.#expiryMsMin = Math.min(this.#expiryMsMin, expiresAtMs);
    }
    for (const id of expired) this.drop(id, "TRANSACTION_EXPIRED");
  }

  /** Lets all others come before a sender, until the node is started again (invariant 5). */
  putLast(sender: PublicKey): void {
    if (this.#last.size >= limits.lastSendersMax) {
      const [oldest] = this.#last;
      this.#last.delete(oldest as PublicKey);
    }
    this.#last.add(sender);
  }

  /** Begins a fair selection (invariants 4 and 5) over what is pending from now on. */
  select(): FairSelection {
    const heads = Array.from(this.#bySender, ([sender, { entries }]) => {
      const [first] = entries.values();
      const isLast = this.#last.has(sender) ? 1 : 0;
      return { isLast, arrival: (first as Entry).arrival, rest: inNonceOrder(entries) };
    });
    heads.sort((left, right) => left.isLast - right.isLast || left.arrival - right.arrival);
    return new FairSelection(heads);
  }

  #makeRoom(bytes: number, senderBytes: number): void {
    while (this.#bytes + bytes > this.#bytesMax) {
      const heaviest = this.#heaviest();
      if (heaviest === undefined || heaviest.bytes <= senderBytes)
        throw new LedgerError("MEMPOOL_FULL", { bytes: this.#bytes, bytesMax: this.#bytesMax });
      const latest = Array.from(heaviest.entries.values()).at(-1) as Entry;
      this.drop(latest.transaction.id, "MEMPOOL_FULL");
    }
  }

  #heaviest(): SenderQueue | undefined {
    let heaviest: SenderQueue | undefined;
    for (const queue of this.#bySender.values())
      if (heaviest === undefined || queue.bytes > heaviest.bytes) heaviest = queue;
    return heaviest;
  }
}

type Head = { readonly rest: Iterator<Entry> };

/** Pending transactions, one a sender in turn. */
class FairSelection {
  #turn: Head[];
  #nextTurn: Head[] = [];
  #current: Head | undefined;

  constructor(heads: readonly Head[]) {
    this.#turn = heads.toReversed();
  }

  /** Returns the next transaction; `undefined` when none is left. */
  next(): Transaction | undefined {
    for (;;) {
      if (this.#current !== undefined) this.#nextTurn.push(this.#current);
      this.#current = this.#turn.pop();
      if (this.#current === undefined) {
        if (this.#nextTurn.length === 0) return undefined;
        this.#turn = this.#nextTurn.reverse();
        this.#nextTurn = [];
        continue;
      }
      const entry = this.#current.rest.next();
      if (entry.done !== true) return entry.value.transaction;
      this.#current = undefined;
    }
  }

  /** Takes no more from the sender of the last one, as it does not fit. */
  leaveSender(): void {
    this.#current = undefined;
  }
}

function inNonceOrder(entries: ReadonlyMap<number, Entry>): Iterator<Entry> {
  const pending = Array.from(entries.values());
  pending.sort((left, right) => left.transaction.nonce - right.transaction.nonce);
  return pending.values();
}

function heldBytes(transaction: Transaction): number {
  return transaction.bytes.length + limits.mempoolEntryBytes;
}

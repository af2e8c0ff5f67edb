/**
 * The reading side of the ledger: transactions, receipts, proofs and events of what is final. It
 * makes proofs; they are verified by src/base/proof. Nothing here changes anything.
 */
import { assert } from "../base/assert.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { Header } from "../base/format/block.ts";
import { decodeReceipt, type Receipt } from "../base/format/receipt.ts";
import { decodeTransaction } from "../base/format/transaction.ts";
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import { merklePath } from "../base/proof/merkle.ts";
import type {
  EventCursor,
  EventPage,
  LedgerEvent,
  StateProof,
  TransactionProof,
  TransactionStatus,
} from "./ledger-types.ts";
import type { LedgerStore } from "./store.ts";

/** What is kept of a block as long as it is recent. */
type RecentBlock = {
  readonly receipts: readonly Receipt[];
  readonly events: readonly LedgerEvent[];
  /** Length of the receipts, encoded. */
  readonly bytes: number;
};

/** Reads the final part of one chain. */
export class ChainReader {
  readonly #store: LedgerStore;
  /** The latest heights, ascending: those who follow the tip need no disk. */
  readonly #recent = new Map<number, RecentBlock>();
  #recentBytes = 0;
  /** The last older block whose events were read: pages of one block come in a row. */
  #lastRead: { readonly height: number; readonly events: readonly LedgerEvent[] } | undefined;

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  /** Keeps the receipts of a block that was just appended. */
  remember(height: number, block: RecentBlock): void {
    this.#recent.set(height, block);
    this.#recentBytes += block.bytes;
    for (const [oldest, { bytes }] of this.#recent) {
      const isWithin = this.#recentBytes <= limits.recentReceiptBytesMax;
      if (isWithin && this.#recent.size <= limits.recentEventBlocksMax) break;
      this.#recent.delete(oldest);
      this.#recentBytes -= bytes;
    }
  }

  /**
   * Returns where a final transaction is and what became of it; `undefined` also for one that is
   * pruned, however far its deletion is.
   */
  async findFinal(id: Hash): Promise<Extract<TransactionStatus, { status: "final" }> | undefined> {
    const place = await this.#store.findTransaction(id);
    if (place === undefined || place.height <= this.#store.baseHeight) return undefined;
    const { height, index } = place;
    const receipt = this.#recent.get(height)?.receipts[index];
    if (receipt !== undefined) return { status: "final", height, index, receipt };
    const receipts = await this.#readReceipts(height);
    if (receipts === undefined) return undefined;
    const bytes = receipts[index];
    assert(bytes !== undefined, "every indexed transaction has a receipt");
    return { status: "final", height, index, receipt: decodeReceipt(bytes) };
  }

  /**
   * Returns a final transaction with its proofs; `undefined` when it is not final here.
   *
   * @throws {LedgerError} LEDGER_PRUNED when it may have been, below the base.
   */
  async proveTransaction(id: Hash): Promise<TransactionProof | undefined> {
    const place = await this.#store.findTransaction(id);
    const { baseHeight } = this.#store;
    if (place === undefined && baseHeight > 0)
      throw new LedgerError("LEDGER_PRUNED", { height: null, baseHeight });
    if (place === undefined) return undefined;
    const { height, index } = place;
    const stored = await this.#store.readBlock(height);
    const receipts = await this.#store.readReceipts(height);
    const bytes = stored?.block.transactions[index];
    const receiptBytes = receipts[index];
    const certificate = stored?.certificate;
    assert(stored !== undefined && certificate !== undefined, "an indexed block is certified");
    assert(bytes !== undefined && receiptBytes !== undefined, "an indexed transaction is stored");
    const { header, transactions } = stored.block;
    return {
      transaction: decodeTransaction(bytes),
      receipt: decodeReceipt(receiptBytes),
      receiptBytes,
      header,
      certificate,
      index,
      size: transactions.length,
      transactionPath: merklePath(transactions, index),
      receiptPath: merklePath(receipts, index),
    };
  }

  /**
   * Proves a state value or its absence after a height, by default the tip's.
   *
   * @throws {LedgerError} LEDGER_PROOF_UNAVAILABLE when the state tree of that height is not kept;
   *   LEDGER_RECORD_CORRUPT when the value is damaged.
   */
  async proveState(key: string, height = this.#store.tip.height): Promise<StateProof> {
    const tree = await this.#store.stateTreeAt(height);
    const stored = tree === undefined ? undefined : await this.#store.readCertified(height);
    if (tree === undefined || stored === undefined) {
      const { tip, baseHeight } = this.#store;
      const heightMax = tip.height;
      const heightMin = Math.max(baseHeight, heightMax - limits.stateHistoryBlocks + 1);
      throw new LedgerError("LEDGER_PROOF_UNAVAILABLE", { height, heightMin, heightMax });
    }
    const { certificate, header } = stored;
    const head = { header, certificate, key };
    const inclusion = tree.proveInclusion(key);
    if (inclusion !== undefined) {
      const value = await this.#store.readProvenValue(key, height, tree.get(key) as Hash);
      return { ...head, value, inclusion };
    }
    const absence = tree.proveAbsence(key);
    if (absence === undefined) throw new LedgerError("LEDGER_KEY_INVALID", { key });
    return { ...head, value: undefined, absence };
  }

  /**
   * Lists events at and after a cursor, in order. A page may be short, even empty, although more
   * follows: go on at `next` until it is beyond the tip.
   *
   * @param query - `limit` is the most events of the page, at least 1.
   * @throws {LedgerError} LEDGER_PRUNED when the cursor is at or below the base.
   */
  async events(query: {
    readonly fromHeight: number;
    readonly fromIndex: number;
    readonly limit: number;
  }): Promise<EventPage> {
    const tip = this.#store.tip.height;
    const { baseHeight } = this.#store;
    const { fromHeight } = query;
    if (baseHeight > 0 && fromHeight <= baseHeight)
      throw new LedgerError("LEDGER_PRUNED", { height: fromHeight, baseHeight });
    const events: LedgerEvent[] = [];
    let next: EventCursor = { height: Math.max(1, query.fromHeight), index: query.fromIndex };
    for (let read = 0; read < limits.eventBlocksPerPageMax; read += 1) {
      if (next.height > tip) break;
      const { height, index } = next;
      const rest = (await this.#eventsOf(height)).slice(index);
      const room = query.limit - events.length;
      events.push(...rest.slice(0, room));
      if (rest.length > room) return { events, next: { height, index: index + room } };
      next = { height: height + 1, index: 0 };
      if (events.length >= query.limit) break;
    }
    return { events, next };
  }

  /** Returns `undefined` when they are pruned meanwhile. */
  async #readReceipts(height: number): Promise<Uint8Array[] | undefined> {
    try {
      return await this.#store.readReceipts(height);
    } catch (error) {
      if (isLedgerError(error, "LEDGER_PRUNED")) return undefined;
      throw error;
    }
  }

  async #eventsOf(height: number): Promise<readonly LedgerEvent[]> {
    const recent = this.#recent.get(height);
    if (recent !== undefined) return recent.events;
    if (this.#lastRead?.height === height) return this.#lastRead.events;
    const receipts = (await this.#store.readReceipts(height)).map(decodeReceipt);
    if (receipts.every(({ events }) => events.length === 0)) return [];
    const stored = await this.#store.readBlock(height);
    assert(stored !== undefined, "a height with receipts has a block");
    const events = eventsOf(stored.block.header, receipts);
    this.#lastRead = { height, events };
    return events;
  }
}

/** Returns the events of a block with their cursors. */
export function eventsOf(header: Header, receipts: readonly Receipt[]): LedgerEvent[] {
  const { height, timestampMs: timeMs } = header;
  const events = receipts.flatMap(({ transactionId, events }) =>
    events.map((event) => ({ transactionId, ...event })),
  );
  return events.map((event, index) => ({ height, index, timeMs, ...event }));
}

/**
 * Gossips again what has been pending for long. Gossip reaches only the peers that are connected
 * at the moment, and the hand-over at a time-out comes from voting nodes only: without this, what a
 * node alone knows could wait until it expires.
 *
 * It keeps no transaction: it looks twice, and what was there both times is old.
 */
import { type Cancel, realTimers, type Timers } from "./timers.ts";

/** Both less than a gateway waits before it tries another node. */
const periodMs = 4_000;
/** A few frames: what is oldest in its sender's order, the rest at a later look. */
const republishedBytesMax = 256 * 1024;

/** What is needed of ledger and network. */
export type RepublisherParts = {
  pendingTransactions(bytesMax: number): readonly Uint8Array[];
  publish(transactions: readonly Uint8Array[]): void;
  /** Default: those of the process. */
  readonly timers?: Timers | undefined;
};

/** Looks for old transactions every few seconds. */
export class Republisher {
  readonly #parts: RepublisherParts;
  #seen: ReadonlySet<Uint8Array> = new Set();
  #stopLooking: Cancel = () => {};

  constructor(parts: RepublisherParts) {
    this.#parts = parts;
  }

  start(): void {
    const { timers = realTimers } = this.#parts;
    this.#stopLooking = timers.every(periodMs, () => this.look());
  }

  stop(): void {
    this.#stopLooking();
  }

  /** Gossips what the last look saw, too. */
  look(): void {
    const pending = this.#parts.pendingTransactions(republishedBytesMax);
    const old = pending.filter((bytes) => this.#seen.has(bytes));
    this.#seen = new Set(pending);
    if (old.length > 0) this.#parts.publish(old);
  }
}

/**
 * The way to the disk of all that a node must write before it may go on: decided blocks and the
 * signing record. When one of them cannot be written, most often because the disk is full, the
 * gate closes: both wait, so nothing is signed and nothing appended, and the node says why. As
 * soon as there is room again the gate opens and what waited is done. Nobody restarts anything.
 *
 * Invariants:
 *
 * (1) While the gate is closed no write begins.
 * (2) What waits is tried again until it is done, or the gate ends: nothing is skipped.
 * (3) The gate opens only after `mend` succeeded and every place has the room it needs.
 * (4) What is no fault of the disk passes through at once: the gate judges nothing else.
 * (5) `closedBecause` stays until a write succeeded, or nothing waits: a disk that claims to have
 *     room and takes nothing does not look well in between.
 * (6) Once closed, it ends only by `stop`, by damage that no waiting mends, or by a bug: all else
 *     that a failing disk may say, also when it is asked for its room, passes.
 */
import { AssertionError } from "../base/assert.ts";
import { type ErrorCode, isLedgerError, LedgerError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Cancel, realTimers, type Timers } from "./timers.ts";

/** Free room of a place where the node writes. */
export type StoragePlace = {
  readonly directory: string;
  /** Bytes that must be free there before the gate opens. */
  readonly bytesMin: number;
  /** Bytes that may be written there. Whatever it throws is taken for a fault that passes. */
  freeBytes(): Promise<number>;
};

/** What a gate is made of. */
type StorageGateParts = {
  readonly places: readonly StoragePlace[];
  /**
   * Makes the ledger fit for writing again. It is called until it succeeds, or until it throws
   * what `isLasting` names.
   */
  mend(): Promise<void>;
  readonly log: Log;
  /** Default: those of the process. */
  readonly timers?: Timers | undefined;
};

/** Errors that pass when the disk has room again, or works again. */
const passingCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "LEDGER_STORE_CLOSED",
  "LEDGER_STORE_UNREADABLE",
  "LEDGER_WRITE_FAILED",
  "NODE_DISK_FULL",
  "SIGNING_RECORD_UNWRITABLE",
]);

/** Damage: the disk works, but what is on it is not what was written. */
const lastingCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "LEDGER_BASE_CORRUPT",
  "LEDGER_BLOCK_CORRUPT",
  "LEDGER_CHAIN_MISMATCH",
  "LEDGER_HOLE",
  "LEDGER_RECORD_CORRUPT",
  "LEDGER_ROOT_DIFFERS",
  "LEDGER_STATE_CORRUPT",
]);

/**
 * Time until the first try to go on, and the longest between two: each closes the database. To ask
 * for room costs nothing, so that is done every `retryMsMin`.
 */
const retryMsMin = 1_000;
const retryMsMax = 4_000;

/** Tells whether an error says that the disk cannot be written at the moment. */
function isStorageFault(error: unknown): boolean {
  return isLedgerError(error) && passingCodes.has(error.code);
}

/** Tells whether waiting does not mend it, so that whoever waits must hear of it. */
function isLasting(error: unknown): boolean {
  if (error instanceof AssertionError) return true;
  return isLedgerError(error) && lastingCodes.has(error.code);
}

/** Lets writes through, or makes them wait. */
export class StorageGate {
  readonly #parts: StorageGateParts;
  readonly #timers: Timers;
  #isClosed = false;
  #closedBecause: string | undefined;
  #waiting: { readonly goOn: () => void; readonly giveUp: (error: unknown) => void }[] = [];
  #retryMs = retryMsMin;
  #cancelRetry: Cancel = () => {};
  #end: { readonly error: unknown } | undefined;

  constructor(parts: StorageGateParts) {
    this.#parts = parts;
    this.#timers = parts.timers ?? realTimers;
  }

  /** Why nothing is written at the moment, for people; `undefined` while all is well. */
  get closedBecause(): string | undefined {
    return this.#closedBecause;
  }

  /**
   * Does a write, again and again if need be.
   *
   * @throws What is no fault of the disk; NODE_STOPPED when the gate ends meanwhile.
   */
  async pass<T>(write: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#open();
      try {
        const result = await write();
        if (!this.#isClosed) this.#onWell();
        return result;
      } catch (error) {
        if (!isStorageFault(error)) throw error;
        this.#close(error);
      }
    }
  }

  /** A write failed of which nobody waits for another try: closes until the ledger is mended. */
  report(error: unknown): void {
    if (isStorageFault(error)) this.#close(error);
  }

  /** Ends the waiting: what has not been written fails with NODE_STOPPED. */
  stop(): void {
    this.#endWith(new LedgerError("NODE_STOPPED", {}));
  }

  #open(): Promise<void> {
    if (this.#end !== undefined) return Promise.reject(this.#end.error);
    if (!this.#isClosed) return Promise.resolve();
    return new Promise((goOn, giveUp) => this.#waiting.push({ goOn, giveUp }));
  }

  #close(error: unknown): void {
    const isNews = this.#closedBecause === undefined;
    const reason = String(error);
    this.#closedBecause = reason;
    if (this.#isClosed || this.#end !== undefined) return;
    this.#isClosed = true;
    const { log } = this.#parts;
    if (isNews) log.error({ reason }, "cannot write to disk: this node takes no part until it can");
    else log.debug({ reason }, "still cannot write to disk");
    this.#retryLater();
  }

  #onWell(): void {
    this.#retryMs = retryMsMin;
    if (this.#closedBecause === undefined) return;
    this.#closedBecause = undefined;
    this.#parts.log.warn({}, "the disk can be written again: this node goes on");
  }

  #retryLater(): void {
    this.#cancelRetry = this.#timers.after(this.#retryMs, () => void this.#retry());
  }

  async #retry(): Promise<void> {
    try {
      await this.#checkRoom();
      // Who stopped the gate meanwhile closes the ledger.
      if (this.#end !== undefined) return;
      this.#retryMs = Math.min(2 * this.#retryMs, retryMsMax);
      await this.#parts.mend();
    } catch (error) {
      this.#closedBecause = String(error);
      if (isLasting(error)) this.#endWith(error);
      if (this.#end === undefined) this.#retryLater();
      return;
    }
    if (this.#end !== undefined) return;
    this.#isClosed = false;
    this.#parts.log.debug({}, "trying to write to disk again");
    if (this.#waiting.length === 0) this.#onWell();
    for (const { goOn } of this.#waiting.splice(0)) goOn();
  }

  async #checkRoom(): Promise<void> {
    for (const place of this.#parts.places) {
      const { directory, bytesMin } = place;
      const bytes = await place.freeBytes();
      if (bytes < bytesMin) throw new LedgerError("NODE_DISK_FULL", { directory, bytes, bytesMin });
    }
  }

  #endWith(error: unknown): void {
    this.#end ??= { error };
    this.#cancelRetry();
    for (const { giveUp } of this.#waiting.splice(0)) giveUp(error);
  }
}

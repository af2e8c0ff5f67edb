/**
 * Prunes a ledger in the background when the configuration says so, a little at a time between two
 * appends. What a restart or a full disk interrupts goes on by itself.
 */
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { unreadable } from "../ledger/database.ts";
import { isPruning, moveBase, pruningTarget, sweepBelowBase } from "../ledger/pruning.ts";
import type { LedgerStore } from "../ledger/store.ts";
import { surface } from "./crash.ts";
import type { StorageGate } from "./storage-gate.ts";
import { type Cancel, realTimers, type Timers } from "./timers.ts";

/** What pruning in the background is made of. */
export type PrunerParts = {
  readonly store: LedgerStore;
  /** Blocks kept at least; `undefined`: nothing more is pruned, but what was begun is ended. */
  readonly keepBlocks: number | undefined;
  /** Height of the checkpoint, whose header stays. */
  readonly keptHeight: number | undefined;
  /** Is told of a failed write, after which the ledger takes none, nor can be read, until it is mended. */
  readonly storage: Pick<StorageGate, "report">;
  /** Bytes of the ledger on disk, for the log; absent: there is none. */
  measureBytes?(): Promise<number | undefined>;
  readonly log: Log;
  /** Default: those of the process. */
  readonly timers?: Timers | undefined;
};

const lookMs = 2_000;
/** Appends that came meanwhile have their turn. */
const pauseMs = 5;

/** Prunes from time to time. */
export class BackgroundPruner {
  readonly #parts: PrunerParts;
  readonly #stopping = new AbortController();
  readonly #timers: Timers;
  #stopLooking: Cancel = () => {};
  #running: Promise<void> = Promise.resolve();
  #isRunning = false;

  constructor(parts: PrunerParts) {
    this.#parts = parts;
    this.#timers = parts.timers ?? realTimers;
  }

  start(): void {
    this.#stopLooking = this.#timers.every(lookMs, () => this.#look());
    this.#look();
  }

  /** Ends; the rest is left for the next start. */
  async stop(): Promise<void> {
    this.#stopLooking();
    this.#stopping.abort();
    await this.#running;
  }

  #look(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#running = this.#prune()
      .catch((error: unknown) => this.#onFailure(error))
      .finally(() => {
        this.#isRunning = false;
      });
  }

  async #prune(): Promise<void> {
    const { store, keepBlocks, keptHeight, log } = this.#parts;
    const pause = () => this.#pause();
    if (await isPruning(store)) await sweepBelowBase(store, { pause });
    const height = keepBlocks === undefined ? undefined : pruningTarget(store, keepBlocks);
    if (height === undefined || this.#stopping.signal.aborted) return;
    const bytesBefore = await this.#parts.measureBytes?.();
    const startMs = this.#timers.nowMs();
    await moveBase(store, height, { keptHeight });
    log.info({ baseHeight: height }, "pruning what lies below");
    await sweepBelowBase(store, { pause });
    const durationMs = Math.round(this.#timers.nowMs() - startMs);
    const bytesAfter = await this.#parts.measureBytes?.();
    log.info({ baseHeight: height, durationMs, bytesBefore, bytesAfter }, "pruned");
  }

  async #pause(): Promise<void> {
    if (this.#stopping.signal.aborted) throw new LedgerError("NODE_STOPPED", {});
    await new Promise<void>((resolve) => {
      this.#timers.after(pauseMs, resolve);
    });
  }

  /** A disk that is full or damaged is others' to report; here it is tried again. */
  #onFailure(cause: unknown): void {
    const error = unreadable(cause, "");
    if (!isLedgerError(error)) surface(error);
    if (!isLedgerError(error) || error.code === "NODE_STOPPED") return;
    const { log, storage } = this.#parts;
    log.warn({ error: String(error) }, "pruning did not end; it is tried again");
    // A read that fails here is no reason to take no part: blocks may be written all the same.
    if (error.code === "LEDGER_WRITE_FAILED") storage.report(error);
  }
}

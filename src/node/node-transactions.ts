/**
 * Transactions that the node sends by itself, signed with its peer key: that it is ready to vote,
 * or proof that a validator contradicted itself. One after the other, each until it is final.
 *
 * Invariants:
 *
 * (1) At most `waitingMax` calls wait; one that waits already, or is under way, is not taken twice.
 * (2) At most one transaction is under way, so its nonce is the next one.
 * (3) A call is signed at most `signingsMax` times, and a new one only when the former is dead.
 */
import { isLedgerError } from "../base/errors.ts";
import { signTransaction, type Transaction } from "../base/format/transaction.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey, Signer } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/log.ts";
import type { SenderInfo, TransactionStatus } from "../ledger/ledger-types.ts";
import { surface } from "./crash.ts";
import { isPassing } from "./own-fault.ts";
import { type Cancel, realTimers, type Timers } from "./timers.ts";

/** A call of a method of the system contract. */
export type SystemCall = {
  readonly method: string;
  readonly argsJson: string;
  /** Asked before each signing: tells that the call can have no effect any more. */
  readonly isMoot?: () => boolean;
};

/** What the ledger must offer. */
export interface SenderLedger {
  readonly chainId: Hash;
  readonly tip: { readonly timestampMs: number };
  senderInfo(sender: PublicKey): SenderInfo;
  status(id: Hash): Promise<TransactionStatus>;
}

type Parts = {
  readonly ledger: SenderLedger;
  /** The peer key. */
  readonly signer: Signer;
  /** Admits, gossips, wakes consensus. @throws {LedgerError} Why it is refused. */
  submit(bytes: Uint8Array): Promise<unknown>;
  readonly clock: Clock;
  readonly timers?: Timers | undefined;
  readonly log: Log;
};

const waitingMax = 64;
const signingsMax = 5;
const expiryMs = 600_000;
/** How often a transaction under way is looked at, and sent again. */
const lookMs = 500;
const resendLooks = 8;
/** Refusals that pass by themselves: the same bytes may be admitted later. */
const passing = new Set(["MEMPOOL_FULL", "MEMPOOL_SENDER_SHARE", "LEDGER_DIVERGENCE"]);
/** Its time is over, or its nonce went to a transaction that was signed before a restart. */
const lost = new Set([
  "TRANSACTION_EXPIRED",
  "TRANSACTION_NONCE_CONFLICT",
  "TRANSACTION_NONCE_USED",
]);

/** Sends the node's own calls. */
export class NodeTransactions {
  readonly #parts: Parts;
  readonly #timers: Timers;
  readonly #waiting: SystemCall[] = [];
  #working: Promise<void> | undefined;
  #current: SystemCall | undefined;
  #stopped = false;
  /** Ends the wait of the moment. */
  #wake: () => void = () => {};

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#timers = parts.timers ?? realTimers;
  }

  /** True while a call of a method waits or is under way. */
  has(method: string): boolean {
    return [this.#current, ...this.#waiting].some((call) => call?.method === method);
  }

  /** Sends a call when its turn comes, or drops it when too many wait. */
  submit(call: SystemCall): void {
    const isKnown = [this.#current, ...this.#waiting].some(
      (one) => one?.method === call.method && one.argsJson === call.argsJson,
    );
    if (isKnown || this.#stopped) return;
    if (this.#waiting.length >= waitingMax) {
      this.#parts.log.warn({ method: call.method }, "own call dropped: too many wait");
      return;
    }
    this.#waiting.push(call);
    this.#working ??= this.#work()
      .catch(surface)
      .finally(() => {
        this.#working = undefined;
      });
  }

  /** Ends; what was sent may still become final. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#working;
  }

  async #work(): Promise<void> {
    for (;;) {
      this.#current = this.#stopped ? undefined : this.#waiting.shift();
      if (this.#current === undefined) return;
      await this.#send(this.#current);
    }
  }

  async #send(call: SystemCall): Promise<void> {
    const { log } = this.#parts;
    const { method } = call;
    for (let signing = 1; signing <= signingsMax && !this.#stopped; signing += 1) {
      const transaction = await this.#patiently(() => this.#sign(call));
      if (transaction === undefined) {
        log.debug({ method }, "own call dropped: it is moot, or this node is no sender");
        return;
      }
      const ending = await this.#follow(transaction);
      if (ending === "again") continue;
      if (ending !== undefined) log.info({ method, outcome: ending }, "own call ended");
      return;
    }
  }

  /** Reads a ledger that is closed for a moment while its disk is mended, as soon as it can. */
  async #patiently<T>(read: () => T | Promise<T>): Promise<T | undefined> {
    while (!this.#stopped) {
      try {
        return await read();
      } catch (error) {
        if (!isPassing(error)) throw error;
        await this.#pause();
      }
    }
    return undefined;
  }

  #sign({ method, argsJson, isMoot }: SystemCall): Transaction | undefined {
    const { ledger, signer, clock } = this.#parts;
    if (isMoot?.() === true) return undefined;
    const info = ledger.senderInfo(signer.publicKey);
    if (info.entry?.status !== "active") return undefined;
    const { chainId, tip } = ledger;
    const nonce = Math.max(info.nonceHighest, info.pendingNonceHighest) + 1;
    // The least that every ledger permits is enough for every method that nodes call.
    const gasLimit = limits.callGasMin;
    const expiresAtMs = Math.max(clock.nowMs(), tip.timestampMs) + expiryMs;
    const call = { contract: "system", method, argsJson, gasLimit };
    return signTransaction({ chainId, nonce, expiresAtMs, ...call }, signer);
  }

  /** @returns The outcome, `again` when it must be signed anew, nothing when it was given up. */
  async #follow({ id, bytes }: Transaction): Promise<string | undefined> {
    for (let look = 0; !this.#stopped; look += 1) {
      const status = await this.#patiently(() => this.#parts.ledger.status(id));
      if (status === undefined) return undefined;
      if (status.status === "final") return status.receipt.outcome;
      if (status.status === "dropped" && !passing.has(status.code)) return "again";
      const isDue = status.status !== "pending" || look % resendLooks === 0;
      const refusal = isDue ? await this.#offer(bytes) : undefined;
      if (refusal !== undefined) return lost.has(refusal) ? "again" : refusal;
      await this.#pause();
    }
    return undefined;
  }

  /** @returns The code of a refusal for good. */
  async #offer(bytes: Uint8Array): Promise<string | undefined> {
    try {
      await this.#parts.submit(bytes);
      return undefined;
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      return isPassing(error) || passing.has(error.code) ? undefined : error.code;
    }
  }

  async #pause(): Promise<void> {
    let cancel: Cancel = () => {};
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      cancel = this.#timers.after(lookMs, resolve);
    });
    cancel();
  }
}

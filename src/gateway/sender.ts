/**
 * Brings the readings of an outbox onto the ledger: signs batches, sends them, waits, and forgets
 * a batch only when it has itself verified receipt, path and certificate.
 *
 * | what happens | what the sender does |
 * |---|---|
 * | node away, mempool full, window too far | tries again, the next node first, with a pause |
 * | final, outcome `ok` | forgets the readings |
 * | final, another outcome; transaction too large | halves the batch, down to one reading |
 * | one reading refused | sets it aside with the code; it stays in the outbox |
 * | expired, or its nonce was taken | signs again, once that is proven (see below) |
 * | sender unknown, suspended, without the role, other chain | stops and says why; keeps all |
 *
 * A transaction is signed again only when a certified header proves that the old one can never be
 * included: the header's time is at or past its expiry and the sender's replay window under the
 * header's state root does not hold its nonce. Even a wrong re-signing would bill nothing twice:
 * `metering.report` takes the same reading again without effect.
 */
import { bytesToHex, hexToBytes } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { didOf } from "../base/format/did.ts";
import { checkNonce, decodeWindow, windowKey } from "../base/format/replay-window.ts";
import type { Signer } from "../base/keys.ts";
import type { Clock } from "../base/log.ts";
import { type LedgerClient, signCall } from "../client/client.ts";
import type { FinalTransaction, Trust } from "../client/finality.ts";
import type { Outbox, StoredTransaction } from "./outbox.ts";
import type { Reading } from "./source-csv.ts";

/** What a sender is made of. */
export type SenderParts = {
  readonly outbox: Outbox;
  readonly client: LedgerClient;
  readonly trust: Trust;
  readonly signer: Signer;
  readonly clock: Clock;
  /** Readings in one transaction. */
  readonly batchCount: number;
  /** Transactions on their way at once. */
  readonly windowCount: number;
  readonly expiryMs?: number | undefined;
  readonly waitMs?: number | undefined;
};

const expiryMsDefault = 600_000;
const waitMsDefault = 20_000;
const pauseMsFirst = 100;
const pauseMsMax = 5_000;

/** Refusals that end by themselves. */
const passing: ReadonlySet<string> = new Set([
  "CLIENT_UNREACHABLE",
  "CLIENT_RESPONSE_INVALID",
  "CLIENT_WAIT_TIMEOUT",
  "CLIENT_PROOF_INVALID",
  "MEMPOOL_FULL",
  "MEMPOOL_SENDER_SHARE",
  "TRANSACTION_NONCE_TOO_FAR",
  "TRANSACTION_EXPIRY_TOO_FAR",
  "NODE_NOT_READY",
]);
/** The old bytes may never be included; whether that is so has to be proven first. */
const lost: ReadonlySet<string> = new Set([
  "TRANSACTION_EXPIRED",
  "TRANSACTION_NONCE_USED",
  "TRANSACTION_NONCE_CONFLICT",
]);

/** Sends what an outbox holds. */
export class Sender {
  readonly #parts: SenderParts;
  readonly #stop = new AbortController();
  readonly #driven = new Map<number, Promise<void>>();
  #wake: () => void = () => {};
  #failure: unknown;
  #lastError: string | undefined;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  /** The last thing that went wrong, also if it was put right since. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** True when it was stopped or has failed: nothing more is sent. */
  get isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Says that the outbox has new readings, or that no more will come. */
  notify(): void {
    this.#wake();
  }

  /** Ends `run` soon; nothing is lost. */
  stop(): void {
    this.#stop.abort();
    this.#wake();
  }

  /**
   * Sends until `isComplete` says that the source is at its end and the outbox is empty.
   *
   * @throws {LedgerError} GATEWAY_SENDER_REFUSED when the ledger refuses this gateway as such.
   */
  async run(isComplete: () => boolean): Promise<void> {
    await this.#learnNonce().catch((error: unknown) => {
      this.#stop.abort();
      throw error;
    });
    for (const transaction of await this.#parts.outbox.live()) this.#start(transaction);
    while (!this.#stop.signal.aborted && this.#failure === undefined) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await this.#fill();
      if (this.#driven.size === 0 && isComplete() && this.#parts.outbox.counts.queued === 0) return;
      await woken;
    }
    this.#stop.abort();
    await Promise.all(this.#driven.values());
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #fill(): Promise<void> {
    const { outbox, windowCount, batchCount } = this.#parts;
    while (this.#driven.size < windowCount && !this.#stop.signal.aborted) {
      const transaction = await outbox.sign(batchCount, (...input) => this.#sign(...input));
      if (transaction === undefined) return;
      this.#start(transaction);
    }
  }

  /** At the very first start the node tells which nonces this key has used elsewhere. */
  async #learnNonce(): Promise<void> {
    const { outbox, client, signer } = this.#parts;
    while (outbox.nextNonce === 0 && !this.#stop.signal.aborted) {
      try {
        const account = await client.account(didOf(signer.publicKey));
        if (!account.enrolled) throw this.#refusal("TRANSACTION_SENDER_UNKNOWN");
        const highest = Math.max(account.nonceHighest, account.pendingNonceHighest);
        await outbox.startNonces(highest + 1);
      } catch (error) {
        await this.#passOver(error, pauseMsFirst);
      }
    }
  }

  #sign(readings: readonly Reading[], nonce: number): StoredTransaction {
    const { signer, trust, clock, expiryMs = expiryMsDefault } = this.#parts;
    const expiresAtMs = clock.nowMs() + expiryMs;
    const args = { readings: readings.map((reading) => [...reading]) };
    const call = { contract: "metering", method: "report", args };
    const options = {
      signer,
      chainId: trust.chainId,
      nonce,
      expiresAtMs,
      gasLimit: gasLimitFor(readings),
    };
    const { id, bytes } = signCall(call, options);
    return { nonce, id, bytes: bytesToHex(bytes), expiresAtMs, readings };
  }

  #start(transaction: StoredTransaction): void {
    const driven = this.#drive(transaction)
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted) this.#failure ??= error;
      })
      .finally(() => {
        this.#driven.delete(transaction.nonce);
        this.#wake();
      });
    this.#driven.set(transaction.nonce, driven);
  }

  /** Takes one transaction to its end. */
  async #drive(transaction: StoredTransaction): Promise<void> {
    const { client, trust, waitMs: timeoutMs = waitMsDefault } = this.#parts;
    const { signal } = this.#stop;
    for (let pauseMs = pauseMsFirst; !signal.aborted; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
      try {
        await client.submit(hexToBytes(transaction.bytes), { signal });
        const final = await client.waitFinal(transaction.id, trust, { timeoutMs, signal });
        return await this.#settle(transaction, final);
      } catch (error) {
        const code = codeOf(error);
        if (code === "TRANSACTION_TOO_LARGE") return this.#split(transaction, code);
        if (code !== undefined && lost.has(code)) {
          if (await this.#replaceLost(transaction)) return;
        }
        await this.#passOver(error, pauseMs);
      }
    }
  }

  async #settle(transaction: StoredTransaction, { receipt }: FinalTransaction): Promise<void> {
    if (receipt.outcome === "ok") return this.#parts.outbox.forget(transaction);
    return this.#split(transaction, receipt.outcome);
  }

  /** Good readings must land although a bad one was among them. */
  async #split(transaction: StoredTransaction, code: string): Promise<void> {
    const { outbox } = this.#parts;
    const { readings } = transaction;
    this.#lastError = `${code}: ${readings.length} readings refused together`;
    if (readings.length === 1) return outbox.refuse(transaction, code);
    const half = Math.ceil(readings.length / 2);
    await this.#replace(transaction, [readings.slice(0, half), readings.slice(half)]);
  }

  async #replace(
    transaction: StoredTransaction,
    parts: readonly (readonly Reading[])[],
  ): Promise<void> {
    const { outbox } = this.#parts;
    const signer = this.#sign.bind(this);
    for (const part of await outbox.replace(transaction, parts, signer)) this.#start(part);
  }

  /** @returns True when the old bytes are proven dead and others took their place. */
  async #replaceLost(transaction: StoredTransaction): Promise<boolean> {
    try {
      if (!(await this.#isDead(transaction))) return false;
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      return false;
    }
    await this.#replace(transaction, [transaction.readings]);
    return true;
  }

  /** Asks for the proof of the head comment. */
  async #isDead({ id, nonce, expiresAtMs }: StoredTransaction): Promise<boolean> {
    const { client, trust, signer } = this.#parts;
    const status = await client.transaction(id);
    if (status?.status === "final") return false;
    const key = windowKey(didOf(signer.publicKey));
    const { text, header } = await client.provenState(key, trust);
    const verdict = checkNonce(decodeWindow(text), nonce);
    if (verdict === "fresh" || verdict === "tooFar") return header.timestampMs >= expiresAtMs;
    // The nonce was used and the ledger does not know these bytes: another body had it.
    return status === undefined || status.status === "dropped";
  }

  /** Waits after an error that passes. @throws the error itself when it does not. */
  async #passOver(error: unknown, pauseMs: number): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    const code = codeOf(error);
    if (code === undefined) throw error;
    this.#lastError = (error as Error).message;
    const isPassing = passing.has(code) || lost.has(code) || code === "CLIENT_TRANSACTION_DROPPED";
    if (!isPassing) throw this.#refusal(code, error);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pauseMs);
      const stop = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  #refusal(code: string, cause?: unknown): LedgerError {
    if (isLedgerError(cause, "GATEWAY_SENDER_REFUSED")) return cause;
    const gateway = didOf(this.#parts.signer.publicKey);
    return new LedgerError("GATEWAY_SENDER_REFUSED", { gateway, refusal: code }, { cause });
  }
}

/** The code of an error; a dropped transaction counts as the code it was dropped with. */
function codeOf(error: unknown): string | undefined {
  if (!isLedgerError(error)) return undefined;
  if (error.code !== "CLIENT_TRANSACTION_DROPPED") return error.code;
  const dropped = String(error.facts.dropped);
  return lost.has(dropped) ? dropped : error.code;
}

/** Gas for a batch: several times what a late reading costs, so only a fault runs out of it. */
function gasLimitFor(readings: readonly Reading[]): number {
  return Math.min(300_000_000, 5_000_000 + 1_500_000 * readings.length);
}

/**
 * Empties an outbox: signs batches, has them delivered, a window of them at once, and moves the
 * readings as the proven endings say (delivery.ts).
 *
 * | ending | what the sender does |
 * |---|---|
 * | final, outcome `ok` | forgets the readings |
 * | final, an outcome about readings | halves the batch, so that good readings land |
 * | the same with one reading | sets it aside with the code; it stays in the outbox |
 * | final, an outcome about the setting | signs again; stops and says why, see below |
 * | dead | signs again |
 * | refused for good by all nodes | stops and says why; keeps everything |
 *
 * A receipt about the setting may be older than its mending: bytes signed before this start are
 * signed again and tried once more before the sender stops.
 *
 * Expiries count from this device's clock, kept between certified block time and a day after it.
 * A slow clock would else sign what is dead already, for ever, and a clock years ahead what no
 * block may hold for years. After a longer stop of the ledger the first batches are signed twice.
 */
import { setMaxListeners } from "node:events";
import { bytesToHex } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { didOf } from "../base/format/did.ts";
import type { Signer } from "../base/keys.ts";
import type { Clock } from "../base/log.ts";
import { signCall } from "../client/client.ts";
import { Delivery, type DeliveryParts } from "./delivery.ts";
import type { Outbox, SignedPart, StoredTransaction } from "./outbox.ts";
import { isOutcomeOfSetting, refusalClass } from "./refusals.ts";
import type { Reading } from "./source-csv.ts";

/** What a sender is made of. */
export type SenderParts = Omit<DeliveryParts, "sender"> & {
  readonly outbox: Outbox;
  readonly signer: Signer;
  readonly clock: Clock;
  /** Readings in one transaction. */
  readonly batchCount: number;
  /** Transactions on their way at once. */
  readonly windowCount: number;
  /** The most gas a call of this ledger may ask for. */
  readonly gasLimitMax: number;
  /** Life of a signed transaction; default 10 minutes. */
  readonly expiryMs?: number | undefined;
};

const expiryMsDefault = 600_000;
/** How far the clock is followed ahead of certified block time; heartbeats are a minute apart. */
const clockLeadMsMax = 24 * 3_600_000;

/** Sends what an outbox holds. */
export class Sender {
  readonly #parts: SenderParts;
  readonly #delivery: Delivery;
  readonly #stop = new AbortController();
  /** On their way, by nonce. */
  readonly #driven = new Map<number, Promise<void>>();
  /** Signed, on disk, and not yet on their way: the window is full. */
  #waiting: StoredTransaction[] = [];
  /** Nonces of what was signed before this start. */
  #formerNonces: ReadonlySet<number> = new Set();
  #wake: () => void = () => {};
  #failure: { readonly error: unknown } | undefined;
  #lastRefusal: string | undefined;

  constructor(parts: SenderParts) {
    this.#parts = parts;
    this.#delivery = new Delivery({ ...parts, sender: parts.signer.publicKey });
    // Every delivery of the window listens to it.
    setMaxListeners(0, this.#stop.signal);
  }

  /** The last thing that went wrong, also if it was put right since. */
  get lastError(): string | undefined {
    return this.#lastRefusal ?? this.#delivery.lastError;
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
   * Sends until `isAtEnd` says that no more readings will come and the outbox is empty, or until
   * it is stopped. Afterwards nothing of it is under way any more.
   *
   * @throws {LedgerError} GATEWAY_SENDER_REFUSED when the ledger refuses this gateway as such;
   *   GATEWAY_OUTBOX_WRITE_FAILED.
   */
  async run(isAtEnd: () => boolean): Promise<void> {
    const { signal } = this.#stop;
    try {
      await this.#work(isAtEnd);
    } catch (error) {
      // The sender's own stop ends waits by an error that is none.
      if (!signal.aborted || error !== signal.reason) this.#failure ??= { error };
    } finally {
      this.#stop.abort();
      await Promise.all(this.#driven.values());
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #work(isAtEnd: () => boolean): Promise<void> {
    const { outbox } = this.#parts;
    this.#waiting = await outbox.live();
    this.#formerNonces = new Set(this.#waiting.map(({ nonce }) => nonce));
    await this.#learn();
    while (!this.isStopped) {
      // Made before looking, so that a call of `notify` while looking is not lost.
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const atEnd = isAtEnd();
      await this.#fill();
      if (atEnd && this.#isIdle && outbox.counts.queued === 0) return;
      if (!this.isStopped) await woken;
    }
  }

  /** A delivery may end while the window is filled, and leave parts that wait. */
  get #isIdle(): boolean {
    return this.#driven.size === 0 && this.#waiting.length === 0;
  }

  /** Before anything is signed a proof tells block time and which nonces this key has used. */
  async #learn(): Promise<void> {
    try {
      await this.#delivery.learn(this.#stop.signal);
    } catch (error) {
      throw this.#asRefusal(error);
    }
    await this.#raiseNonce();
  }

  #raiseNonce(): Promise<void> {
    return this.#parts.outbox.raiseNonce(this.#delivery.nonceHighest + 1);
  }

  /** Fills the window, with what is signed already first: nonces must not fall behind. */
  async #fill(): Promise<void> {
    const { outbox, windowCount, batchCount } = this.#parts;
    while (this.#driven.size < windowCount && !this.isStopped) {
      const transaction =
        this.#waiting.shift() ??
        (await outbox.sign(batchCount, (...input) => this.#sign(...input)));
      if (transaction === undefined) return;
      this.#start(transaction);
    }
  }

  #sign(readings: readonly Reading[], nonce: number): SignedPart {
    const { signer, trust, clock, gasLimitMax, expiryMs = expiryMsDefault } = this.#parts;
    const { certifiedMs } = this.#delivery;
    const nowMs = Math.min(Math.max(clock.nowMs(), certifiedMs), certifiedMs + clockLeadMsMax);
    const expiresAtMs = nowMs + expiryMs;
    const args = { readings: readings.map((reading) => [...reading]) };
    const call = { contract: "metering", method: "report", args };
    const gasLimit = Math.min(gasLimitMax, gasLimitFor(readings));
    const options = { signer, chainId: trust.chainId, nonce, expiresAtMs, gasLimit };
    const { id, bytes } = signCall(call, options);
    return { id, bytes: bytesToHex(bytes), expiresAtMs };
  }

  #start(transaction: StoredTransaction): void {
    const driven = this.#drive(transaction)
      .catch((error: unknown) => {
        if (error === this.#stop.signal.reason) return;
        this.#failure ??= { error };
        this.#stop.abort();
      })
      .finally(() => {
        this.#driven.delete(transaction.nonce);
        this.#wake();
      });
    this.#driven.set(transaction.nonce, driven);
  }

  /** Takes one transaction to its end. */
  async #drive(transaction: StoredTransaction): Promise<void> {
    const { outbox } = this.#parts;
    const { readings } = transaction;
    const ending = await this.#delivery
      .deliver(transaction, this.#stop.signal)
      .catch((error: unknown) => {
        throw this.#asRefusal(error);
      });
    if (ending.kind === "dead") return this.#replace(transaction, [readings]);
    const { outcome } = ending;
    if (outcome === "ok") return outbox.forget(transaction);
    this.#lastRefusal = `${outcome}: ${readings.length} readings from ${placeOf(readings[0])}`;
    if (isOutcomeOfSetting(outcome)) {
      // These bytes are used up; a later start needs others.
      await this.#replace(transaction, [readings]);
      if (this.#formerNonces.has(transaction.nonce)) return;
      throw this.#refusal(`${outcome} for ${metersOf(readings)}`);
    }
    if (readings.length === 1) return outbox.refuse(transaction, outcome);
    const half = Math.ceil(readings.length / 2);
    return this.#replace(transaction, [readings.slice(0, half), readings.slice(half)]);
  }

  /** Parts wait for their turn, so that a batch in many parts does not burst the window. */
  async #replace(
    transaction: StoredTransaction,
    parts: readonly (readonly Reading[])[],
  ): Promise<void> {
    await this.#raiseNonce();
    const sign = this.#sign.bind(this);
    this.#waiting.push(...(await this.#parts.outbox.replace(transaction, parts, sign)));
  }

  /** A refusal of all nodes is one of this gateway; other errors stay what they are. */
  #asRefusal(error: unknown): unknown {
    return refusalClass(error) === "final" && isLedgerError(error)
      ? this.#refusal(error.code, error)
      : error;
  }

  #refusal(refusal: string, cause?: unknown): LedgerError {
    const gateway = didOf(this.#parts.signer.publicKey);
    return new LedgerError("GATEWAY_SENDER_REFUSED", { gateway, refusal }, { cause });
  }
}

function placeOf(reading: Reading | undefined): string {
  const [meter = "", instantMs = 0] = reading ?? [];
  return `${meter} at ${new Date(instantMs).toISOString()}`;
}

function metersOf(readings: readonly Reading[]): string {
  const meters = [...new Set(readings.map(([meter]) => meter))];
  return meters.slice(0, 3).join(", ") + (meters.length > 3 ? ", ..." : "");
}

/** Gas for a batch: several times what a late reading costs, so only a fault runs out of it. */
function gasLimitFor(readings: readonly Reading[]): number {
  return 5_000_000 + 1_500_000 * readings.length;
}

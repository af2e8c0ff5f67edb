/**
 * Takes one signed transaction to a proven end, over any number of nodes of which some may be
 * away, behind, or lie. It changes nothing on disk; sender.ts acts on the ending.
 *
 * Every attempt asks one node; one that does not end the transaction is followed by another at the
 * next node after a growing pause. What a node says is never more than a reason to go on:
 *
 * (1) `final` needs the receipt's path and a certificate of the genesis' validators.
 * (2) `dead` needs a certified header that proves it. Its state does not hold the nonce as used,
 *     and its time is at or past the expiry: block time only rises, so no block can hold the bytes.
 *     Or its state holds the nonce as used or too old: then no later block can, and whether an
 *     earlier one did is asked of all nodes, after the state was proven. The node that proved the
 *     state must deny it, and none may prove the contrary.
 * (3) A refusal for good counts when all nodes refuse, those apart that say nothing.
 *
 * In (2) all nodes that answer could lie together about an earlier block. Then readings are
 * reported twice, which `metering.report` takes without effect; none is lost.
 */
import { hexToBytes } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { didOf } from "../base/format/did.ts";
import { checkNonce, decodeWindow, windowKey } from "../base/format/replay-window.ts";
import type { PublicKey } from "../base/keys.ts";
import type { LedgerClient } from "../client/client.ts";
import { pause } from "../client/event-stream.ts";
import type { ProvenState, Trust } from "../client/finality.ts";
import type { StoredTransaction } from "./outbox.ts";
import { refusalClass } from "./refusals.ts";

/** What a delivery is made of. */
export type DeliveryParts = {
  /** One client for each node, in order of preference; at least one. */
  readonly clients: readonly LedgerClient[];
  readonly trust: Trust;
  readonly sender: PublicKey;
  /** How long one node is waited for; default 10 s. */
  readonly waitMs?: number | undefined;
  /** First pause after an attempt; doubles up to 5 s. Default 100 ms. */
  readonly pauseMs?: number | undefined;
};

/** The proven end of a transaction: its receipt's outcome, or that it can have none. */
export type Ending =
  | { readonly kind: "final"; readonly outcome: string }
  | { readonly kind: "dead" };

const waitMsDefault = 10_000;
const pauseMsFirst = 100;
const pauseMsMax = 5_000;

/** Delivers transactions of one sender. Many may be under way at once. */
export class Delivery {
  readonly #parts: DeliveryParts;
  /** The node that is asked first: the last one that worked. */
  #preferred = 0;
  #lastError: string | undefined;
  #certifiedMs = 0;
  #nonceHighest = 0;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /** The last thing a node said or did that was no success. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** The latest time of a certified header seen, UTC milliseconds; 0 before the first. */
  get certifiedMs(): number {
    return this.#certifiedMs;
  }

  /** The highest used nonce of the sender that was proven so far. */
  get nonceHighest(): number {
    return this.#nonceHighest;
  }

  /**
   * Asks until a node proves a recent state; see `nonceHighest` and `certifiedMs`.
   *
   * @throws {LedgerError} The refusal of all nodes. @throws the reason of `signal`.
   */
  learn(signal: AbortSignal): Promise<void> {
    return this.#inTurn(signal, async (client) => {
      await this.#window(client, signal);
      return { value: undefined };
    });
  }

  /**
   * Sends a transaction, again and again, until its end is proven.
   *
   * @throws {LedgerError} The refusal of all nodes. @throws the reason of `signal`.
   */
  deliver(transaction: StoredTransaction, signal: AbortSignal): Promise<Ending> {
    return this.#inTurn(signal, async (client) => {
      try {
        return { value: await this.#send(client, transaction, signal) };
      } catch (error) {
        if (refusalClass(error) !== "lost") throw error;
        const value = await this.#endOfLost(client, transaction, signal);
        if (value === undefined) throw error;
        return { value };
      }
    });
  }

  /** Makes attempts at one node after the other until one returns. */
  async #inTurn<T>(
    signal: AbortSignal,
    attempt: (client: LedgerClient) => Promise<{ readonly value: T }>,
  ): Promise<T> {
    const { clients, pauseMs: first = pauseMsFirst } = this.#parts;
    const refused = new Map<number, LedgerError>();
    const silent = new Set<number>();
    let index = this.#preferred;
    for (let pauseMs = first; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
      signal.throwIfAborted();
      try {
        const { value } = await attempt(clients[index] as LedgerClient);
        this.#preferred = index;
        return value;
      } catch (error) {
        signal.throwIfAborted();
        const verdict = refusalClass(error);
        if (verdict === undefined) throw error;
        this.#lastError = (error as LedgerError).message;
        refused.delete(index);
        silent.delete(index);
        if (verdict === "final") refused.set(index, error as LedgerError);
        if (verdict === "silent") silent.add(index);
        if (refused.size > 0 && refused.size + silent.size === clients.length)
          throw refused.get(index) ?? [...refused.values()][0];
      }
      const next = (index + 1) % clients.length;
      if (this.#preferred === index) this.#preferred = next;
      index = next;
      await pause(pauseMs, signal);
    }
  }

  async #send(
    client: LedgerClient,
    { id, bytes }: StoredTransaction,
    signal: AbortSignal,
  ): Promise<Ending> {
    const { waitMs = waitMsDefault } = this.#parts;
    const sent = await client.submit(hexToBytes(bytes), { signal });
    const status =
      sent.status === "pending" ? await client.transaction(id, { waitMs, signal }) : sent;
    if (status?.status === "final") return this.#proven(client, id, signal);
    if (status?.status === "dropped")
      throw new LedgerError("CLIENT_TRANSACTION_DROPPED", { id, dropped: status.code });
    throw new LedgerError("CLIENT_WAIT_TIMEOUT", { id, timeoutMs: waitMs });
  }

  /** (1) */
  async #proven(client: LedgerClient, id: string, signal: AbortSignal): Promise<Ending> {
    const { receipt, header } = await unlessAborted(client.final(id, this.#parts.trust), signal);
    this.#certifiedMs = Math.max(this.#certifiedMs, header.timestampMs);
    return { kind: "final", outcome: receipt.outcome };
  }

  /** (2) @returns `undefined` when the end is not proven yet. */
  async #endOfLost(
    client: LedgerClient,
    transaction: StoredTransaction,
    signal: AbortSignal,
  ): Promise<Ending | undefined> {
    const { text, header } = await this.#window(client, signal);
    const verdict = checkNonce(decodeWindow(text), transaction.nonce);
    if (verdict === "fresh" || verdict === "tooFar")
      return header.timestampMs >= transaction.expiresAtMs ? { kind: "dead" } : undefined;
    const own = await this.#finalOrDenied(client, transaction.id, signal);
    if (own === undefined || own !== "denied") return own;
    for (const other of this.#parts.clients) {
      const answer = await this.#finalOrDenied(other, transaction.id, signal);
      if (answer !== undefined && answer !== "denied") return answer;
    }
    return { kind: "dead" };
  }

  /** Asks one node for the proof. @returns `undefined` when its answer is neither. */
  async #finalOrDenied(
    client: LedgerClient,
    id: string,
    signal: AbortSignal,
  ): Promise<Ending | "denied" | undefined> {
    try {
      return await this.#proven(client, id, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (refusalClass(error) === undefined) throw error;
      return isLedgerError(error, "API_TRANSACTION_UNKNOWN") ? "denied" : undefined;
    }
  }

  async #window(client: LedgerClient, signal: AbortSignal): Promise<ProvenState> {
    const key = windowKey(didOf(this.#parts.sender));
    const proven = await unlessAborted(client.provenState(key, this.#parts.trust), signal);
    this.#certifiedMs = Math.max(this.#certifiedMs, proven.header.timestampMs);
    this.#nonceHighest = Math.max(this.#nonceHighest, decodeWindow(proven.text).highest);
    return proven;
  }
}

/** For requests that take no signal: they end by their own time-out, but nobody waits for them. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason);
  });
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

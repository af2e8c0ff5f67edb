/**
 * Gossip of transactions in frames of many: one message per transaction costs every node 186 us,
 * in frames of 64 KiB it is 6 to 7 (cost budget). It does not read transactions and keeps none.
 *
 * Gossip frame: u8 version = 0 | 8 random bytes | list of transactions (frame.ts)
 *
 * The random bytes make a frame that is published again, because its transactions were lost
 * somewhere, differ from the first, which every peer would drop as seen.
 *
 * Invariants:
 *
 * (1) A transaction waits at most `gossipDelayMs`, and a frame holds at most
 *     `gossipFrameBytesTarget` bytes of transactions unless it holds only one.
 * (2) A malformed frame, or one with a transaction to reject, is not passed on, its sender blamed.
 * (3) At most `gossipPendingBytesMax` bytes of one peer are under validation, each
 *     frame with `pendingEntryBytes` more.
 */
import "./polyfill.ts";
import { randomBytes } from "node:crypto";
import { TopicValidatorResult } from "@libp2p/gossipsub";
import type { PeerId } from "@libp2p/interface";
import { assert } from "../base/assert.ts";
import { concatBytes } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Counters } from "./counters.ts";
import { decodeList, encodeList } from "./frame.ts";
import type { Host } from "./host.ts";
import { peerKeyOf } from "./identity.ts";

/** What to do with a gossiped transaction: `reject` blames the peer that passed it on. */
export type TransactionVerdict = "accept" | "ignore" | "reject";

/** Judges the transactions of one frame, one verdict each, in order. */
export type OnTransactions = (
  from: PublicKey,
  transactions: readonly Uint8Array[],
) => readonly TransactionVerdict[] | Promise<readonly TransactionVerdict[]>;

/** What the gossip needs. */
type TransactionGossipOptions = {
  readonly host: Host;
  readonly topic: string;
  readonly counters: Counters;
  readonly log: Log;
  readonly onTransactions: OnTransactions;
};

const frameVersion = 0;
const saltBytes = 8;
const headBytes = 1 + saltBytes;
/** What a frame under validation takes beside its bytes, so that many small ones are not free. */
const pendingEntryBytes = 1_024;

/** Returns the bytes of one gossip frame. */
export function encodeGossipFrame(
  transactions: readonly Uint8Array[],
  salt: Uint8Array = randomBytes(saltBytes),
): Uint8Array {
  return concatBytes(Uint8Array.of(frameVersion), salt, encodeList(transactions));
}

/**
 * Returns the transactions of a gossip frame, each in memory of its own: what keeps one of them
 * must not keep the whole message it came in.
 *
 * @throws {LedgerError} P2P_FRAME_INVALID when the frame is malformed or over a limit.
 */
export function decodeGossipFrame(bytes: Uint8Array): Uint8Array[] {
  const invalid = (reason: string): LedgerError =>
    new LedgerError("P2P_FRAME_INVALID", { frame: "gossip", reason });
  if (bytes.length > limits.gossipFrameBytesMax) {
    throw invalid(`is over ${limits.gossipFrameBytesMax} bytes`);
  }
  if (bytes[0] !== frameVersion) throw invalid("is of an unknown version");
  if (bytes.length <= headBytes) throw invalid("has no transactions");
  const transactions = decodeList(bytes.subarray(headBytes), {
    name: "gossip",
    countMax: limits.gossipFrameTransactionsMax,
    itemBytesMax: limits.transactionBytesMax,
  });
  return transactions.map((transaction) => transaction.slice());
}

/** Publishes and receives frames of transactions. */
export class TransactionGossip {
  readonly #options: TransactionGossipOptions;
  readonly #pendingBytes = new Map<PublicKey, number>();
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TransactionGossipOptions) {
    this.#options = options;
  }

  /** Subscribes to the topic. */
  start(): void {
    const { pubsub } = this.#options.host.services;
    pubsub.topicValidators.set(this.#options.topic, (peerId, message) =>
      this.#validate(peerId, message.data),
    );
    pubsub.subscribe(this.#options.topic);
  }

  /** Publishes what waits and ends. */
  stop(): void {
    this.#flush();
    this.#options.host.services.pubsub.topicValidators.delete(this.#options.topic);
  }

  /**
   * Sends transactions to all peers within `gossipDelayMs`.
   *
   * @param transactions - Each 1 to `transactionBytesMax` bytes; not changed afterwards.
   */
  publish(transactions: readonly Uint8Array[]): void {
    for (const transaction of transactions) {
      assert(
        transaction.length > 0 && transaction.length <= limits.transactionBytesMax,
        "a transaction to gossip was admitted, so it is within its limit",
      );
      const full =
        this.#waitingBytes + transaction.length > limits.gossipFrameBytesTarget ||
        this.#waiting.length === limits.gossipFrameTransactionsMax;
      if (full) this.#flush();
      this.#waiting.push(transaction);
      this.#waitingBytes += transaction.length;
    }
    if (this.#waiting.length > 0) {
      this.#timer ??= setTimeout(() => this.#flush(), limits.gossipDelayMs);
    }
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    const frame = encodeGossipFrame(this.#waiting);
    this.#options.counters.gossipFramesSent += 1;
    this.#options.counters.gossipTransactionsSent += this.#waiting.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const { host, topic, log } = this.#options;
    host.services.pubsub.publish(topic, frame).catch((error: unknown) => {
      log.warn({ reason: String(error) }, "gossip frame not published");
    });
  }

  async #validate(peerId: PeerId, bytes: Uint8Array): Promise<TopicValidatorResult> {
    const from = peerKeyOf(peerId);
    if (from === undefined) return TopicValidatorResult.Reject;
    const { counters } = this.#options;
    const frameBytes = bytes.length + pendingEntryBytes;
    const pendingBytes = (this.#pendingBytes.get(from) ?? 0) + frameBytes;
    if (pendingBytes > limits.gossipPendingBytesMax) {
      counters.gossipFramesDropped += 1;
      return TopicValidatorResult.Ignore;
    }
    this.#pendingBytes.set(from, pendingBytes);
    try {
      const verdict = await this.#judge(from, bytes);
      if (verdict === TopicValidatorResult.Reject) counters.gossipFramesRejected += 1;
      if (verdict === TopicValidatorResult.Ignore) counters.gossipFramesIgnored += 1;
      return verdict;
    } finally {
      const rest = (this.#pendingBytes.get(from) as number) - frameBytes;
      if (rest === 0) this.#pendingBytes.delete(from);
      else this.#pendingBytes.set(from, rest);
    }
  }

  async #judge(from: PublicKey, bytes: Uint8Array): Promise<TopicValidatorResult> {
    const { counters, log } = this.#options;
    let transactions: Uint8Array[];
    try {
      transactions = decodeGossipFrame(bytes);
    } catch (error) {
      if (!isLedgerError(error)) return surface(error);
      log.warn({ peer: from, code: error.code, ...error.facts }, "gossip frame rejected");
      return TopicValidatorResult.Reject;
    }
    counters.gossipFramesReceived += 1;
    counters.gossipTransactionsReceived += transactions.length;
    try {
      const verdicts = await this.#options.onTransactions(from, transactions);
      assert(verdicts.length === transactions.length, "each transaction has one verdict");
      return frameVerdict(verdicts);
    } catch (error) {
      if (!isLedgerError(error)) return surface(error);
      log.warn({ peer: from, code: error.code, ...error.facts }, "gossip frame not judged");
      return TopicValidatorResult.Ignore;
    }
  }
}

/** Gossipsub swallows what a validator throws; a broken invariant must stop the node. */
function surface(error: unknown): TopicValidatorResult {
  queueMicrotask(() => {
    throw error;
  });
  return TopicValidatorResult.Ignore;
}

/** One transaction to reject spoils the frame; one that is welcome is worth passing the rest on. */
function frameVerdict(verdicts: readonly TransactionVerdict[]): TopicValidatorResult {
  if (verdicts.includes("reject")) return TopicValidatorResult.Reject;
  return verdicts.includes("accept") ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore;
}

/**
 * Clients of a simulated world: they sign, submit to whatever honest node answers, ask what became
 * of it, and bring it to another node when theirs is gone. All they are told is held against the
 * chain at once.
 */
import { isLedgerError } from "../../../src/base/errors.ts";
import { signTransaction, type Transaction } from "../../../src/base/format/transaction.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Random } from "../random.ts";
import { fakeSigner, type SimArgs, senderCount, senderKey, worldStartMs } from "./chain.ts";
import type { Canon } from "./checkers.ts";
import type { WorldNode } from "./node.ts";
import type { VirtualTime } from "./time.ts";

/** A transaction as its client follows it. */
type Order = {
  readonly transaction: Transaction;
  readonly sentMs: number;
  node: WorldNode | undefined;
  /** Life of the node that admitted it. */
  life: object | undefined;
  isAsked: boolean;
};

/** What clients are made of. */
export type ClientOptions = {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly chainId: string;
  readonly canon: Canon;
  readonly sent: Map<string, Uint8Array>;
  /** Honest nodes that a client may turn to. */
  readonly nodes: readonly WorldNode[];
  /** A client was told something that does not hold. */
  onViolation(error: unknown): void;
};

/** Refusals that no other node and no later time will lift. */
const finalRefusals = new Set([
  "TRANSACTION_NONCE_USED",
  "TRANSACTION_NONCE_TOO_OLD",
  "TRANSACTION_NONCE_CONFLICT",
]);

/** Transactions that clients have on their way at once. */
const openMax = 24;

/** All clients of a world. */
export class Clients {
  readonly #options: ClientOptions;
  readonly #open = new Set<Order>();
  readonly #nonces: number[] = new Array(senderCount).fill(0);
  /** Transactions that clients were told are final. */
  finalCount = 0;
  /** Longest time to finality of transactions sent since `measureFromMs`. */
  slowestMs = 0;
  measureFromMs = 0;
  /** Nodes that may be asked; default all. */
  eligible: (node: WorldNode) => boolean = () => true;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Transactions sent since a time that are neither final nor expired. */
  openSince(sentMs: number): number {
    return [...this.#open].filter((order) => order.sentMs >= sentMs).length;
  }

  /** Signs a new transaction and brings it to a node, unless enough are on their way. */
  send(): void {
    if (this.#open.size >= openMax) return;
    const { random, time, sent } = this.#options;
    const transaction = this.#sign();
    sent.set(transaction.id, transaction.bytes);
    const sentMs = time.nowMs;
    const order: Order = { transaction, sentMs, node: undefined, life: undefined, isAsked: false };
    this.#open.add(order);
    this.#bring(order);
    // Some bring the same to a second node at once.
    if (random.chance(0.1)) this.#bring({ ...order });
  }

  /** Asks for everything that is open. */
  ask(): void {
    for (const order of this.#open) this.#follow(order);
  }

  #sign(): Transaction {
    const { random, time, chainId } = this.#options;
    const sender = random.below(senderCount);
    const skipped = random.chance(0.05) ? random.below(20) : 0;
    const last = this.#nonces[sender] as number;
    // Now and then a sender uses a nonce twice: only one of the two may be executed.
    const nonce = random.chance(0.03) && last > 0 ? last : last + 1 + skipped;
    this.#nonces[sender] = Math.max(last, nonce);
    const lifeMs = random.chance(0.2) ? 3_000 + random.below(20_000) : 3_600_000;
    const args: SimArgs = { key: `k${random.below(8)}`, amount: random.below(1_000_000_000) };
    const method = random.chance(0.8) ? "add" : random.chance(0.5) ? "forget" : "refuse";
    const body = {
      chainId,
      nonce,
      expiresAtMs: worldStartMs + time.nowMs + lifeMs,
      contract: "sim",
      method,
      argsJson: JSON.stringify(args),
      gasLimit: limits.callGasMin,
    };
    return signTransaction(body, fakeSigner(senderKey(sender)));
  }

  #bring(order: Order): void {
    const { nodes, random } = this.#options;
    const ready = nodes.filter(
      (node) => node.running !== undefined && node.life?.isPaused === false && this.eligible(node),
    );
    const node = ready[random.below(ready.length)];
    if (node?.running === undefined) return;
    order.node = node;
    order.life = node.life;
    node.running.shell.submit(order.transaction.bytes).then(
      (submission) => {
        if (submission.status === "final") this.#onFinal(order, submission);
      },
      (error: unknown) => this.#onRefused(order, error),
    );
  }

  #onRefused(order: Order, error: unknown): void {
    order.node = undefined;
    if (!isLedgerError(error)) this.#options.onViolation(error);
    else if (finalRefusals.has(error.code)) this.#open.delete(order);
  }

  #follow(order: Order): void {
    const { time } = this.#options;
    const { node, transaction } = order;
    const { expiresAtMs } = transaction;
    const isGone = node?.life === undefined || node.life !== order.life || !this.eligible(node);
    if (isGone) {
      // Expired for every clock, and by now for block times.
      if (expiresAtMs < worldStartMs + time.nowMs - 60_000) this.#open.delete(order);
      else this.#bring(order);
      return;
    }
    if (order.isAsked || node.running === undefined || node.life?.isPaused === true) return;
    order.isAsked = true;
    node.running.ledger.status(transaction.id).then(
      (status) => {
        order.isAsked = false;
        if (status.status === "final") this.#onFinal(order, status);
        else if (status.status !== "pending") this.#onLost(order);
      },
      (error: unknown) => this.#options.onViolation(error),
    );
  }

  /** Dropped or unknown: expired, pushed out by another of that nonce, or the node has forgotten. */
  #onLost(order: Order): void {
    const { time } = this.#options;
    order.node = undefined;
    const wallMs = worldStartMs + time.nowMs;
    if (order.transaction.expiresAtMs < wallMs - 10_000) this.#open.delete(order);
  }

  #onFinal(order: Order, told: Parameters<Canon["checkPromise"]>[1]): void {
    const { canon, time, onViolation } = this.#options;
    this.#open.delete(order);
    this.finalCount += 1;
    if (order.sentMs >= this.measureFromMs)
      this.slowestMs = Math.max(this.slowestMs, time.nowMs - order.sentMs);
    try {
      canon.checkPromise(order.transaction.id, told);
    } catch (error) {
      onViolation(error);
    }
  }
}

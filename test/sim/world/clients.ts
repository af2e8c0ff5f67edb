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
import { isGrounded, isTelling, type Refusal } from "./refusals.ts";
import type { VirtualTime } from "./time.ts";

/** A transaction as its client follows it. */
type Order = {
  readonly transaction: Transaction;
  readonly sentMs: number;
  node: WorldNode | undefined;
  /** Life of the node that admitted it. */
  life: object | undefined;
  isAsked: boolean;
  /** Why it will never be final, as a node said; it stays open until the chain shows it. */
  refusal: Refusal | undefined;
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

/** Transactions that clients have on their way at once. */
const openMax = 24;

/** All clients of a world. */
export class Clients {
  readonly #options: ClientOptions;
  readonly #open = new Set<Order>();
  readonly #nonces: number[] = new Array(senderCount).fill(0);
  /** How often each nonce of a sender was used to sign. */
  readonly #signed = new Map<string, number>();
  /** Transactions that clients were told are final. */
  finalCount = 0;
  /** Transactions sent. */
  sentCount = 0;
  /** Longest time to finality of transactions sent since `measureFromMs`. */
  slowestMs = 0;
  measureFromMs = 0;
  /** Nodes that may be asked; default all. */
  eligible: (node: WorldNode) => boolean = () => true;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Transactions of any age that could still become final, and refusals that nothing bears out. */
  get unsettled(): readonly string[] {
    const wallMs = worldStartMs + this.#options.time.nowMs;
    return [...this.#open]
      .filter(({ transaction, refusal }) => refusal ?? transaction.expiresAtMs > wallMs)
      .map(
        ({ transaction, refusal }) => `${transaction.id.slice(0, 8)} ${refusal?.code ?? "open"}`,
      );
  }

  /** Signs a new transaction and brings it to a node, unless enough are on their way. */
  send(): void {
    if (this.#open.size >= openMax) return;
    const { random, time, sent } = this.#options;
    const transaction = this.#sign();
    sent.set(transaction.id, transaction.bytes);
    const sentMs = time.nowMs;
    const idle = { node: undefined, life: undefined, isAsked: false, refusal: undefined };
    const order: Order = { transaction, sentMs, ...idle };
    this.#open.add(order);
    this.sentCount += 1;
    this.#bring(order);
    // Some bring the same to a second node at once.
    if (random.chance(0.1)) this.#bring(order);
  }

  /** Asks for everything that is open. */
  ask(): void {
    for (const order of this.#open) {
      if (order.refusal === undefined) this.#follow(order);
      else this.#doubt(order, order.refusal);
    }
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
    const transaction = signTransaction(body, fakeSigner(senderKey(sender)));
    const name = nonceName(transaction);
    this.#signed.set(name, (this.#signed.get(name) ?? 0) + 1);
    return transaction;
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
    const { shell, ledger } = node.running;
    shell.submit(order.transaction.bytes).then(
      (submission) => {
        if (submission.status === "final") this.#onFinal(order, submission);
      },
      (error: unknown) => {
        if (order.node === node) order.node = undefined;
        const { baseHeight, tip } = ledger;
        if (isLedgerError(error)) this.#onRefused(order, { code: error.code, baseHeight }, tip);
        else this.#options.onViolation(error);
      },
    );
  }

  /** A node with this tip says that nothing will come of it, now or ever. */
  #onRefused(order: Order, refusal: Refusal, tip: { readonly timestampMs: number }): void {
    const { transaction } = order;
    const { canon, onViolation } = this.#options;
    const hasRival = (this.#signed.get(nonceName(transaction)) ?? 0) > 1;
    try {
      // By block time, so it stays true; who has pruned its block cannot know that it is final.
      const isKnowable =
        (canon.heightOf(transaction.id) ?? Number.POSITIVE_INFINITY) > refusal.baseHeight;
      if (refusal.code === "TRANSACTION_EXPIRED" && isKnowable)
        canon.noteExpired(transaction, tip.timestampMs);
      if (isTelling(transaction, refusal.code, hasRival)) order.refusal = refusal;
    } catch (error) {
      onViolation(error);
    }
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
    const { ledger } = node.running;
    ledger.status(transaction.id).then(
      (status) => {
        order.isAsked = false;
        if (status.status === "final") this.#onFinal(order, status);
        else if (status.status === "dropped") this.#onDropped(order, status.code, ledger.tip);
        else if (status.status !== "pending") this.#onLost(order);
      },
      (error: unknown) => this.#options.onViolation(error),
    );
  }

  /** Looks whether the chain bears a refusal out. */
  #doubt(order: Order, refusal: Refusal): void {
    const { canon, onViolation } = this.#options;
    try {
      if (isGrounded(order.transaction, refusal, canon)) this.#open.delete(order);
    } catch (error) {
      onViolation(error);
    }
  }

  /** Expired, or the nonce was used by another. */
  #onDropped(order: Order, code: string, tip: { readonly timestampMs: number }): void {
    this.#onRefused(order, { code, baseHeight: 0 }, tip);
    if (order.refusal === undefined) this.#onLost(order);
  }

  /** The node does not know it, or not any more. */
  #onLost(order: Order): void {
    const { time } = this.#options;
    order.node = undefined;
    const wallMs = worldStartMs + time.nowMs;
    if (order.transaction.expiresAtMs < wallMs - 10_000) this.#open.delete(order);
  }

  #onFinal(order: Order, told: Parameters<Canon["checkPromise"]>[1]): void {
    const { canon, time, onViolation } = this.#options;
    if (this.#open.delete(order)) {
      this.finalCount += 1;
      if (order.sentMs >= this.measureFromMs)
        this.slowestMs = Math.max(this.slowestMs, time.nowMs - order.sentMs);
    }
    try {
      canon.checkPromise(order.transaction.id, told);
    } catch (error) {
      onViolation(error);
    }
  }
}

function nonceName({ sender, nonce }: Transaction): string {
  return `${sender}/${nonce}`;
}

/** Callers that wait until a transaction is final or dropped. Bounded; nobody waits for ever. */
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import type { TransactionStatus } from "./ledger-types.ts";

/** How long a caller waits. */
export type WaitOptions = {
  readonly timeoutMs: number;
  /** Ends the wait early, as the time-out does. */
  readonly signal?: AbortSignal | undefined;
};

type Resolve = (status: TransactionStatus | undefined) => void;

/** Waiting callers by transaction id. */
export class FinalWaiters {
  readonly #waiting = new Map<Hash, Set<Resolve>>();
  #count = 0;

  /**
   * Waits until a transaction is final or dropped.
   *
   * @param look - Finds the present status. It is called once the wait has begun, so that nothing
   *   happens unseen between looking and waiting.
   * @returns `undefined` when time is up, or too many wait already.
   */
  async wait(
    id: Hash,
    options: WaitOptions,
    look: () => Promise<TransactionStatus>,
  ): Promise<TransactionStatus | undefined> {
    const { timeoutMs, signal } = options;
    if (this.#count >= limits.finalWaitersMax || signal?.aborted) return undefined;
    const { promise, resolve } = deferred();
    const giveUp = () => resolve(undefined);
    const timer = setTimeout(giveUp, timeoutMs);
    signal?.addEventListener("abort", giveUp, { once: true });
    this.#add(id, resolve);
    try {
      const present = await look();
      if (present.status === "final" || present.status === "dropped") return present;
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
      this.#delete(id, resolve);
    }
  }

  /** Tells whether anybody waits for a transaction. */
  has(id: Hash): boolean {
    return this.#waiting.has(id);
  }

  /** Answers all who wait for a transaction. */
  resolve(id: Hash, status: TransactionStatus): void {
    for (const resolve of this.#waiting.get(id) ?? []) resolve(status);
  }

  #add(id: Hash, resolve: Resolve): void {
    const resolves = this.#waiting.get(id) ?? new Set();
    resolves.add(resolve);
    this.#waiting.set(id, resolves);
    this.#count += 1;
  }

  #delete(id: Hash, resolve: Resolve): void {
    const resolves = this.#waiting.get(id);
    resolves?.delete(resolve);
    if (resolves?.size === 0) this.#waiting.delete(id);
    this.#count -= 1;
  }
}

function deferred() {
  let resolve: Resolve = () => {};
  const promise = new Promise<TransactionStatus | undefined>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/**
 * Has peers pay for the checks of their transactions from the same budget as for their consensus
 * messages (verification-budget.ts). What costs too much waits; it is not dropped.
 */
import { LedgerError } from "../base/errors.ts";
import type { PublicKey } from "../base/keys.ts";
import type { CheckPayer } from "../ledger/ledger-types.ts";
import type { Timers } from "./timers.ts";
import type { VerificationBudget } from "./verification-budget.ts";

/** Whose bucket a peer uses, and how fast it fills. */
export type Account = { readonly payer: string; readonly share: number };

type Parts = {
  readonly budget: VerificationBudget;
  readonly timers: Timers;
  accountOf(peer: PublicKey): Account;
};

/** The peers of one node as payers. */
export class PeerPayers {
  readonly #parts: Parts;
  readonly #wakes = new Set<() => void>();
  #isStopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Returns what checks for a peer ask and charge. */
  of(peer: PublicKey): CheckPayer {
    const { budget, accountOf } = this.#parts;
    const { payer, share } = accountOf(peer);
    return {
      ready: () => this.#ready(() => budget.waitMs(payer, share)),
      pay: (work) => budget.charge(payer, share, work),
    };
  }

  /** Ends the waiting: what has not been checked fails with NODE_STOPPED. */
  stop(): void {
    this.#isStopped = true;
    for (const wake of [...this.#wakes]) wake();
  }

  async #ready(waitMs: () => number): Promise<void> {
    for (;;) {
      if (this.#isStopped) throw new LedgerError("NODE_STOPPED", {});
      const delayMs = waitMs();
      if (delayMs === 0) return;
      // Others may use the same bucket meanwhile, so it is looked at again.
      await this.#pause(delayMs);
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel();
        this.#wakes.delete(wake);
        resolve();
      };
      const cancel = this.#parts.timers.after(delayMs, wake);
      this.#wakes.add(wake);
    });
  }
}

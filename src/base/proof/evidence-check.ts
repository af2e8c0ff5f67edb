/**
 * What the checks of evidence share: the list in which each leaves its result, and the proven
 * parts that one check hands to the next.
 */
import { isLedgerError } from "../errors.ts";
import type { Header } from "../format/block.ts";
import type { EvidenceEntry } from "../format/evidence.ts";
import type { JsonValue } from "../format/json.ts";
import type { Receipt } from "../format/receipt.ts";
import type { Transaction } from "../format/transaction.ts";

/** One check. `name` is stable and documented; `detail` is for people. */
export type EvidenceCheck = {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
};

/** A transaction of the bundle that decoded. */
export type ProvenTransaction = {
  readonly transaction: Transaction;
  readonly receipt: Receipt;
  readonly header: Header;
  readonly index: number;
};

/** An entry with its value parsed, and the transaction that wrote it. */
export type ProvenEntry = Omit<EvidenceEntry, "value" | "transaction"> & {
  readonly value: JsonValue;
  readonly by: ProvenTransaction;
};

/** Notes checks under their names. A check that throws a `LedgerError` has failed. */
export class Checklist {
  readonly checks: EvidenceCheck[] = [];

  /** Runs a check: it answers with what is wrong, or with undefined when all is right. */
  check(name: string, detail: string, problem: () => string | undefined): boolean {
    const wrong = this.#outcome(problem);
    this.checks.push({ name, ok: wrong === undefined, detail: wrong ?? detail });
    return wrong === undefined;
  }

  get ok(): boolean {
    return this.checks.every(({ ok }) => ok);
  }

  #outcome(problem: () => string | undefined): string | undefined {
    try {
      return problem();
    } catch (error) {
      if (isLedgerError(error)) return error.message;
      throw error;
    }
  }
}

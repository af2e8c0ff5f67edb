/**
 * Every error an operator, a client or a peer can meet. A code is never renamed and never reused;
 * `docs/ERRORS.md` is made from this table and a test compares both. The rows are in `errors/`, a
 * file a part.
 *
 * Broken invariants are not here: see assert.ts. What a contract refuses is data in a receipt.
 */
import { apiErrors } from "./errors/api.ts";
import { baseErrors } from "./errors/base.ts";
import { clientErrors } from "./errors/client.ts";
import { contractErrors } from "./errors/contracts.ts";
import { ledgerErrors } from "./errors/ledger.ts";
import { networkErrors } from "./errors/network.ts";
import { nodeErrors } from "./errors/node.ts";
import type { ErrorRow } from "./errors/row.ts";

/** Facts that come with a code: plain data, no secrets. */
export type Facts = Readonly<Record<string, string | number | boolean | null | undefined>>;

const table = {
  ...baseErrors,
  ...ledgerErrors,
  ...networkErrors,
  ...contractErrors,
  ...nodeErrors,
  ...apiErrors,
  ...clientErrors,
};

/** A stable error code. */
export type ErrorCode = keyof typeof table;

/** The facts a code must come with. */
export type ErrorFacts<C extends ErrorCode> = {
  readonly [K in (typeof table)[C]["facts"][number]]: string | number | boolean | null;
};

/** The table, total over `ErrorCode`. */
export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = table;

/** An operating error: something outside the program is not as it should be. */
export class LedgerError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = "LedgerError";
  readonly code: C;
  readonly facts: Facts;

  constructor(code: C, facts: ErrorFacts<C>, options?: ErrorOptions) {
    super(`${code} ${JSON.stringify(facts)}`, options);
    this.code = code;
    this.facts = facts as Facts;
  }
}

/** Narrows a caught value to a `LedgerError`, of one code when it is given. */
export function isLedgerError<C extends ErrorCode = ErrorCode>(
  error: unknown,
  code?: C,
): error is LedgerError<C> {
  return error instanceof LedgerError && (code === undefined || error.code === code);
}

/** Returns a caught error of one code. Whatever else was caught is thrown on. */
export function caughtAs<C extends ErrorCode>(error: unknown, code: C): LedgerError<C> {
  if (!isLedgerError(error, code)) throw error;
  return error;
}

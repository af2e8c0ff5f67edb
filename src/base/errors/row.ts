/** The form of one row of the error table. */

/** One row: the facts' names, the HTTP status, what it means and what to do next. */
export type ErrorRow = {
  readonly httpStatus: number;
  readonly facts: readonly string[];
  readonly meaning: string;
  readonly next: string;
};

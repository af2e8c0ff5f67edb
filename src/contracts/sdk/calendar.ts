/**
 * The UTC calendar: instants as sortable text and the bounds of months. Years 1970 to 9999.
 *
 * Of `Date` it uses only what the language defines without a time zone or a locale: `toISOString`,
 * `Date.UTC` with a full year, and `Date.parse` of the form that `toISOString` writes, checked by
 * writing it again. Accessors such as `getMonth` and other texts would know the machine's zone.
 */

/**
 * Returns an instant as text such as `2019-01-01T00:00:00.000Z`; the order of texts is the order
 * of instants.
 *
 * @param instantMs - Milliseconds since 1970, to the end of the year 9999.
 */
export function instantText(instantMs: number): string {
  return new Date(instantMs).toISOString();
}

/**
 * Returns the instant that `instantText` wrote, milliseconds since 1970.
 *
 * @throws {Error} when the text is not such an instant.
 */
export function instantOf(text: string): number {
  const instantMs = Date.parse(text);
  if (Number.isNaN(instantMs) || instantText(instantMs) !== text)
    throw new Error(`not an instant: ${text}`);
  return instantMs;
}

/**
 * Returns the first instant of a UTC month and of the month after it.
 *
 * @param month - Such as `2019-01`.
 */
export function monthBounds(month: string): { readonly startMs: number; readonly endMs: number } {
  const year = Number(month.slice(0, 4));
  const number = monthNumber(month);
  return { startMs: Date.UTC(year, number - 1, 1), endMs: Date.UTC(year, number, 1) };
}

/** Returns the number of a month, 1 to 12. */
export function monthNumber(month: string): number {
  return Number(month.slice(5, 7));
}

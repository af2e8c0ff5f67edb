/**
 * The UTC calendar by integer arithmetic: instants as sortable text and the bounds of months.
 *
 * It does not use `Date`: its parser and its accessors know a local time zone and forms of text
 * that differ between engines. Years 1970 to 9999.
 */

const dayMs = 86_400_000;
/** Days before each month of a common year; the last entry is the whole year. */
const daysBeforeMonth = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
const instantPattern =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{3})Z$/;

/** "00" to "59". A look-up costs a third of the gas of putting the text together. */
const twoDigits = Array.from({ length: 60 }, (_, value) => two(value));

/** The day of the last `instantText` and its text: readings of one batch mostly share it. */
let memoDay = Number.NaN;
let memoText = "";

/**
 * Returns an instant as text such as `2019-01-01T00:00:00.000Z`; the order of texts is the order
 * of instants.
 *
 * @param instantMs - Milliseconds since 1970, to the end of the year 9999.
 */
export function instantText(instantMs: number): string {
  const day = Math.floor(instantMs / dayMs);
  if (day !== memoDay) {
    memoDay = day;
    memoText = `${dayText(day)}T`;
  }
  const ms = instantMs - day * dayMs;
  const minute = Math.floor(ms / 60_000);
  const rest = ms - minute * 60_000;
  const time = `${twoDigits[Math.floor(minute / 60)]}:${twoDigits[minute % 60]}`;
  // Meters mostly read at full minutes.
  return memoText + time + (rest === 0 ? ":00.000Z" : secondText(rest));
}

/**
 * Returns the instant that `instantText` wrote, milliseconds since 1970.
 *
 * @throws {Error} when the text is not such an instant.
 */
export function instantOf(text: string): number {
  const parts = instantPattern.exec(text)?.slice(1).map(Number);
  if (parts === undefined) throw new Error(`not an instant: ${text}`);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0] = parts;
  const days = daysBefore(year, month) + day - 1;
  const result = days * dayMs + ((hour * 60 + minute) * 60 + second) * 1_000 + ms;
  if (instantText(result) !== text) throw new Error(`not an instant: ${text}`);
  return result;
}

/**
 * Returns the first instant of a UTC month and of the month after it.
 *
 * @param month - Such as `2019-01`.
 */
export function monthBounds(month: string): { readonly startMs: number; readonly endMs: number } {
  const year = Number(month.slice(0, 4));
  const number = monthNumber(month);
  const startMs = daysBefore(year, number) * dayMs;
  const endMs = (number === 12 ? daysBefore(year + 1, 1) : daysBefore(year, number + 1)) * dayMs;
  return { startMs, endMs };
}

/** Returns the number of a month, 1 to 12. */
export function monthNumber(month: string): number {
  return Number(month.slice(5, 7));
}

/** Days from 1970-01-01 to the first day of a month. */
function daysBefore(year: number, month: number): number {
  const leapDay = month > 2 && isLeap(year) ? 1 : 0;
  const leapDays = leapYearsTo(year - 1) - leapYearsTo(1969);
  return 365 * (year - 1970) + leapDays + (daysBeforeMonth[month - 1] ?? 0) + leapDay;
}

/** Leap years in the years 1 to `year`. */
function leapYearsTo(year: number): number {
  return Math.floor(year / 4) - Math.floor(year / 100) + Math.floor(year / 400);
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

function dayText(day: number): string {
  // The guess is exact or one too high: a year has at most 366 days and at least 365.
  let year = 1970 + Math.floor(day / 365.2425);
  while (daysBefore(year + 1, 1) <= day) year += 1;
  while (daysBefore(year, 1) > day) year -= 1;
  let month = 12;
  while (daysBefore(year, month) > day) month -= 1;
  return `${year}-${two(month)}-${two(day - daysBefore(year, month) + 1)}`;
}

function secondText(ms: number): string {
  return `:${twoDigits[Math.floor(ms / 1_000)]}.${`${1_000 + (ms % 1_000)}`.slice(1)}Z`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}

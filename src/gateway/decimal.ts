/**
 * Decimal text of a source to the integers that go on the ledger.
 *
 * It works on the digits, never on a double: `Number(text) * 1000` has already rounded once, and
 * one register of the demo's meter comes out wrong that way.
 */
import { LedgerError } from "../base/errors.ts";

const decimalPattern = /^(-?)([0-9]{1,24})(?:\.([0-9]{1,64}))?$/;

/**
 * Returns a decimal text times 1000 as an integer, rounded half to even: kWh to Wh, m3 to L.
 *
 * @param text - Such as `5347.61445783133`, with at most 24 digits before the point.
 * @throws {LedgerError} GATEWAY_DECIMAL_INVALID for other text, or a result beyond 2^53.
 */
export function decimalTimesThousand(text: string): number {
  const match = decimalPattern.exec(text);
  if (match === null) throw invalid(text, "expected digits with at most one point");
  const [, sign = "", whole = "", fraction = ""] = match;
  const floor = BigInt(whole + fraction.slice(0, 3).padEnd(3, "0"));
  const size = Number(floor + (roundsUp(floor, fraction.slice(3)) ? 1n : 0n));
  if (!Number.isSafeInteger(size)) throw invalid(text, "beyond 2^53 after scaling");
  return sign === "-" && size !== 0 ? -size : size;
}

/** Tells whether `floor` and the digits behind it are nearer to `floor + 1`; a tie goes to even. */
function roundsUp(floor: bigint, rest: string): boolean {
  const half = "5".padEnd(Math.max(rest.length, 1), "0");
  const digits = rest.padEnd(half.length, "0");
  // Texts of equal length compare as their numbers do.
  return digits === half ? floor % 2n === 1n : digits > half;
}

function invalid(text: string, reason: string): LedgerError {
  return new LedgerError("GATEWAY_DECIMAL_INVALID", { text: text.slice(0, 80), reason });
}

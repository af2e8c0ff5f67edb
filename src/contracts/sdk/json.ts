/**
 * Canonical JSON text (RFC 8785) of what contracts store, emit and return.
 *
 * Restricted to what the ledger permits: integers within 2^53, text, booleans, null, arrays and
 * plain objects. Everything else is a mistake of the contract and throws.
 */

/** A value that state, events and results may hold. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/**
 * Returns the canonical text of a value. Fields that are `undefined` are left out; -0 is
 * written as 0, as RFC 8785 says.
 *
 * @throws {Error} on a fraction, an integer beyond 2^53, a function, a bigint or undefined.
 */
export function canonicalText(value: unknown): string {
  if (typeof value === "number") return integerText(value);
  if (typeof value === "string" || typeof value === "boolean") return JSON.stringify(value);
  if (value === null) return "null";
  if (Array.isArray(value)) return arrayText(value);
  if (typeof value === "object") return objectText(value as Record<string, unknown>);
  throw new Error(`a ${typeof value} has no JSON form`);
}

function integerText(value: number): string {
  if (!Number.isSafeInteger(value)) throw new Error(`not an integer within 2^53: ${value}`);
  return `${value}`;
}

function arrayText(items: readonly unknown[]): string {
  let text = "[";
  for (let index = 0; index < items.length; index += 1) {
    const item = items[index];
    if (index > 0) text += ",";
    // Rows of numbers are what ledgers store most. The engine keeps integers of 32 bits apart, and
    // any operation that mixes them with others costs ten times the gas.
    if (typeof item === "number" && (item | 0) === item) text += item;
    else text += canonicalText(item);
  }
  return `${text}]`;
}

function objectText(fields: Record<string, unknown>): string {
  // Sorted by UTF-16 units as RFC 8785 asks; an object literal would put "10" before "9" back.
  const parts: string[] = [];
  for (const key of Object.keys(fields).sort())
    if (fields[key] !== undefined)
      parts.push(`${JSON.stringify(key)}:${canonicalText(fields[key])}`);
  return `{${parts.join(",")}}`;
}

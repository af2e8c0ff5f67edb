/**
 * JSON text of what contracts store, emit and return. The host puts it into canonical form
 * (RFC 8785) and refuses fractions and integers beyond 2^53; here only what the engine's writer
 * would lose in silence is caught.
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
 * Returns the JSON text of a value, not yet canonical. Fields that are `undefined` are left out.
 *
 * The engine writes it: sorting keys in the contract cost 250,000 gas for a small record.
 *
 * @throws {Error} on what has no JSON form: NaN, an infinity, a bigint, a function, undefined.
 */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  // NaN and infinities come out as null; only then is it worth to look at every value.
  if (text === undefined || text.includes("null")) canonicalText(value);
  return text as string;
}

/**
 * Returns the canonical text of a value, to compare two values. Costs some 1,000 gas a character.
 *
 * @throws {Error} as `jsonText` does, and on numbers other than integers within 2^53.
 */
export function canonicalText(value: unknown): string {
  if (typeof value === "number") return integerText(value);
  if (typeof value === "string" || typeof value === "boolean") return JSON.stringify(value);
  if (value === null) return "null";
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  if (typeof value === "object") return objectText(value as Record<string, unknown>);
  throw new Error(`a ${typeof value} has no JSON form`);
}

function integerText(value: number): string {
  if (!Number.isSafeInteger(value)) throw new Error(`not an integer within 2^53: ${value}`);
  return `${value}`;
}

function objectText(fields: Record<string, unknown>): string {
  // Sorted by UTF-16 units as RFC 8785 asks; an object literal would put "10" before "9" back.
  const parts: string[] = [];
  for (const key of Object.keys(fields).sort())
    if (fields[key] !== undefined)
      parts.push(`${JSON.stringify(key)}:${canonicalText(fields[key])}`);
  return `{${parts.join(",")}}`;
}

/**
 * Plain checks of arguments: the small subset of a schema library that a contract needs.
 *
 * A check answers undefined when the value has its form, else what is wrong, led by the path. The
 * path is put together only on failure, as a batch of readings passes thousands of checks.
 */

/** Checks that a value is a `T`; answers undefined or the problem, such as `[3].month: ...`. */
export type Check<T> = ((value: unknown) => string | undefined) & { readonly checked?: T };

/** A field that may be left out of an object. */
export type OptionalField<T> = { readonly optional: Check<T> };

/** The type that a check vouches for. */
export type Checked<C> = C extends Check<infer T> ? T : never;

type Fields = Readonly<Record<string, Check<unknown> | OptionalField<unknown>>>;
type RequiredKeys<F> = {
  [K in keyof F]: F[K] extends OptionalField<unknown> ? never : K;
}[keyof F];
type FieldsChecked<F extends Fields> = {
  readonly [K in RequiredKeys<F>]: Checked<F[K]>;
} & {
  readonly [K in Exclude<keyof F, RequiredKeys<F>>]?: F[K] extends OptionalField<infer T>
    ? T
    : never;
};

/** An integer in `min..max`, both included. */
export function integer(
  min: number = Number.MIN_SAFE_INTEGER,
  max: number = Number.MAX_SAFE_INTEGER,
): Check<number> {
  const expected = `: expected an integer in ${min}..${max}`;
  return (value) =>
    typeof value === "number" && value >= min && value <= max && value % 1 === 0
      ? undefined
      : expected;
}

/** A text of 1 to `charsMax` UTF-16 units that matches `pattern`, if one is given. */
export function text(charsMax: number, pattern?: RegExp): Check<string> {
  const form = pattern === undefined ? "" : ` that matches ${pattern.source}`;
  const expected = `: expected a text of 1 to ${charsMax} characters${form}`;
  return (value) =>
    typeof value === "string" &&
    value.length > 0 &&
    value.length <= charsMax &&
    (pattern === undefined || pattern.test(value))
      ? undefined
      : expected;
}

/** One of the given texts. */
export function oneOf<const T extends string>(...options: readonly T[]): Check<T> {
  const expected = `: expected one of ${options.join(", ")}`;
  return (value) => (options.includes(value as T) ? undefined : expected);
}

/** A list of `min..max` items of one form. */
export function list<T>(item: Check<T>, min: number, max: number): Check<readonly T[]> {
  const expected = `: expected a list of ${min} to ${max} items`;
  return (value) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) return expected;
    for (let index = 0; index < value.length; index += 1) {
      const problem = item(value[index]);
      if (problem !== undefined) return `[${index}]${problem}`;
    }
    return undefined;
  };
}

/** A list of fixed length with a form for each place. */
export function tuple<const C extends readonly Check<unknown>[]>(
  ...items: C
): Check<{ readonly [K in keyof C]: Checked<C[K]> }> {
  const expected = `: expected a list of exactly ${items.length} items`;
  return (value) => {
    if (!Array.isArray(value) || value.length !== items.length) return expected;
    for (let index = 0; index < items.length; index += 1) {
      const problem = (items[index] as Check<unknown>)(value[index]);
      if (problem !== undefined) return `[${index}]${problem}`;
    }
    return undefined;
  };
}

/** Marks a field of `object` that may be left out. */
export function optional<T>(check: Check<T>): OptionalField<T> {
  return { optional: check };
}

/** An object with exactly these fields: a misspelt field must not pass unseen. */
export function object<F extends Fields>(fields: F): Check<FieldsChecked<F>> {
  const names = Object.keys(fields);
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return ": expected an object";
    for (const name of Object.keys(value))
      if (!Object.hasOwn(fields, name)) return `.${name}: unknown field`;
    for (const name of names) {
      const problem = fieldProblem(value as Record<string, unknown>, name, fields);
      if (problem !== undefined) return `.${name}${problem}`;
    }
    return undefined;
  };
}

function fieldProblem(
  value: Record<string, unknown>,
  name: string,
  fields: Fields,
): string | undefined {
  const field = fields[name] as Check<unknown> | OptionalField<unknown>;
  const present = Object.hasOwn(value, name);
  if (typeof field === "function") return present ? field(value[name]) : ": missing";
  return present ? field.optional(value[name]) : undefined;
}

/** A `did:key` of an Ed25519 key by its form; whether the key is sound is checked at enrolment. */
export const did: Check<string> = text(
  56,
  /^did:key:z6Mk[123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz]{44}$/,
);

/** A calendar month such as `2019-01`, in the years 1970 to 9999. */
export const month: Check<string> = text(7, /^(19[7-9]|[2-9][0-9]{2})[0-9]-(0[1-9]|1[0-2])$/);

/** A UTC instant: whole milliseconds since 1970, up to the end of the year 9999. */
export const instant: Check<number> = integer(0, 253_402_300_799_999);

/** An exact decimal such as `8.50`: up to 12 digits before and 9 after the point. */
export const decimal: Check<string> = text(23, /^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,9})?$/);

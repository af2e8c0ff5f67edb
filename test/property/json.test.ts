/**
 * Properties of the JSON scanner, with `JSON.parse` and `JSON.stringify` as oracles.
 *
 * Shown able to fail: comparing keys by code points, dropping the second scan for duplicates,
 * accepting upper-case digits in `\u001F` as shortest.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLedgerError } from "../../src/base/errors.ts";
import { canonicalJson, type JsonValue, parseJson } from "../../src/base/format/json.ts";
import { seedOf } from "../helpers/seed.ts";

const parameters = { seed: seedOf(20_180_102), numRuns: 2_000 };

const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...'ab"\\\n\u0001/', "\ufb33", "\u{1f600}"),
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
  ),
  maxLength: 8,
});
const value = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: "small" },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger().map((integer) => (integer === 0 ? 0 : integer)),
    text,
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(
      text.filter((key) => key !== "__proto__"),
      tie("value"),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
})).value;

/** Writes a value in a random permitted form: shuffled keys, white space, longer escapes. */
function write(item: JsonValue, random: () => number): string {
  const space = () => ["", "", " ", "\n\t"][Math.floor(random() * 4)] ?? "";
  const hex = (digits: string) => (random() < 0.5 ? digits : digits.toUpperCase());
  const unicode = (unit: string) => `\\u${hex(unit.charCodeAt(0).toString(16).padStart(4, "0"))}`;
  const quoted = (plain: string) =>
    random() < 0.5 ? JSON.stringify(plain) : `"${plain.split("").map(unicode).join("")}"`;
  if (typeof item === "string") return quoted(item);
  if (typeof item !== "object" || item === null) return JSON.stringify(item);
  const parts = Array.isArray(item)
    ? item.map((element) => space() + write(element, random) + space())
    : Object.entries(item)
        .map(
          ([key, field]) => `${space()}${quoted(key)}${space()}:${space()}${write(field, random)}`,
        )
        .sort(() => random() - 0.5);
  return Array.isArray(item) ? `[${parts.join(",")}]` : `{${parts.join(",")}}`;
}

/** Returns what a function gives, or the offset and reason of its JSON_INVALID. */
function outcome<T>(run: () => T): { ok: T } | { refused: string } {
  try {
    return { ok: run() };
  } catch (error) {
    if (!isLedgerError(error, "JSON_INVALID")) throw error;
    return { refused: error.message };
  }
}

describe("canonicalJson", () => {
  it("gives one text for all ways to write a value, and that text parses to the value", () => {
    fc.assert(
      fc.property(
        value,
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })),
        (item, stream) => {
          const iterator = stream[Symbol.iterator]();
          const random = () => iterator.next().value as number;
          const form = canonicalJson(JSON.stringify(item));
          expect(canonicalJson(write(item, random))).toBe(form);
          expect(canonicalJson(form)).toBe(form);
          expect(JSON.parse(form)).toEqual(item);
          expect(parseJson(form)).toEqual(item);
        },
      ),
      parameters,
    );
  });

  it("orders keys by UTF-16 units", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          text.filter((key) => key !== "__proto__"),
          { maxLength: 8 },
        ),
        (keys) => {
          const sorted = keys.toSorted((left, right) => (left < right ? -1 : 1));
          const expected = `{${sorted.map((key) => `${JSON.stringify(key)}:0`).join(",")}}`;
          expect(
            canonicalJson(`{${keys.map((key) => `${JSON.stringify(key)}:0`).join(",")}}`),
          ).toBe(expected);
        },
      ),
      parameters,
    );
  });

  it("accepts no text that JSON.parse refuses, and throws nothing but JSON_INVALID", () => {
    const token = fc.constantFrom(
      ...'{}[],:"\\ -0123456789.eE',
      "true",
      "null",
      '"a"',
      '"b":',
      "\\u",
      "d83d",
      "\ud83d",
      "\ude00",
      "\n",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(token, { maxLength: 14 }).map((tokens) => tokens.join("")),
          fc.string({ unit: "binary" }),
        ),
        (source) => {
          const result = outcome(() => canonicalJson(source));
          expect(outcome(() => parseJson(source))).toEqual(
            "ok" in result ? { ok: JSON.parse(source) } : result,
          );
          if (!("ok" in result)) return;
          expect(JSON.parse(result.ok)).toEqual(JSON.parse(source));
          expect(canonicalJson(result.ok)).toBe(result.ok);
          expect(result.ok.isWellFormed()).toBe(true);
        },
      ),
      { ...parameters, numRuns: 20_000 },
    );
  });

  it("refuses a repeated key wherever it stands", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          text.filter((key) => key !== "__proto__"),
          { minLength: 1, maxLength: 6 },
        ),
        fc.nat(),
        fc.nat(),
        (keys, from, to) => {
          const repeated = keys.toSpliced(
            to % (keys.length + 1),
            0,
            keys[from % keys.length] as string,
          );
          const source = `{${repeated.map((key) => `${JSON.stringify(key)}:0`).join(",")}}`;
          expect(outcome(() => canonicalJson(source))).toHaveProperty("refused");
        },
      ),
      parameters,
    );
  });
});

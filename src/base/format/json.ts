/**
 * The JSON of contract arguments, state values and events (D10), and its one form (RFC 8785).
 *
 * Permitted is less than RFC 8259: integers within +-(2^53 - 1) without fraction, exponent, leading
 * zero or minus zero; keys unique after unescaping and never `__proto__`; no lone surrogates, raw
 * or escaped; nesting up to `limits.jsonDepthMax` (a scalar has depth 0, `[]` has depth 1).
 *
 * The scanner decides alone what is permitted, before `JSON.parse` sees the text: `JSON.parse`
 * drops duplicate keys and rounds numbers in silence. Time is linear; recursion is bounded by the
 * depth limit. What it does not do: bound the length of a text, which callers do in bytes.
 */
import { LedgerError } from "../errors.ts";
import { limits } from "../limits.ts";

/** A value of the permitted JSON. Numbers are safe integers, never -0. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/**
 * Brings a text to RFC 8785 form: no white space, keys ascending by UTF-16 units, shortest escapes.
 * A text that has this form already is returned as it is.
 *
 * @throws {LedgerError} JSON_INVALID with the offset in UTF-16 units.
 */
export function canonicalJson(text: string): string {
  return scan(text) ? text : serialise(JSON.parse(text) as JsonValue);
}

/** Parses a text of the permitted form, canonical or not. @throws {LedgerError} JSON_INVALID */
export function parseJson(text: string): JsonValue {
  scan(text);
  return JSON.parse(text) as JsonValue;
}

/**
 * Returns the canonical text of a value.
 *
 * @throws {LedgerError} JSON_INVALID when the value is not of the permitted form.
 */
export function encodeJson(value: JsonValue): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined)
    throw new LedgerError("JSON_INVALID", { offset: 0, reason: "not a JSON value" });
  return canonicalJson(text);
}

/** Checks a text and tells whether it is canonical. */
function scan(text: string): boolean {
  const scanner = new Scanner(text, false);
  scanner.document();
  // Ascending keys cannot repeat. Only a text with other keys pays for sets of keys.
  if (!scanner.ascending) new Scanner(text, true).document();
  return scanner.ascending && scanner.shortest;
}

/** Object keys in order of UTF-16 units, which is how `sort` compares texts. */
function serialise(value: JsonValue): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (isArray(value)) return `[${value.map(serialise).join(",")}]`;
  const keys = Object.keys(value).sort();
  const fields = keys.map((key) => `${JSON.stringify(key)}:${serialise(value[key] as JsonValue)}`);
  return `{${fields.join(",")}}`;
}

function isArray(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}

const quote = 0x22;
const comma = 0x2c;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Two-character escapes; those of "bfnrt" stand for control characters, the others for themselves. */
const simpleEscapes = new Set([...'"\\/bfnrt'].map((character) => character.charCodeAt(0)));
/** Control characters that have a two-character escape, which is then the shortest. */
const shortControls = new Set([0x08, 0x09, 0x0a, 0x0c, 0x0d]);
const hexPattern = /^[0-9a-fA-F]{4}$/;

/** A string token: the offsets of its quotes, and whether it holds escapes. */
type Token = { readonly start: number; readonly end: number; readonly escaped: boolean };

/** One walk over a text. `ascending` and `shortest` together mean canonical. */
class Scanner {
  ascending = true;
  shortest = true;
  readonly #text: string;
  readonly #collectKeys: boolean;
  #offset = 0;

  constructor(text: string, collectKeys: boolean) {
    this.#text = text;
    this.#collectKeys = collectKeys;
  }

  document(): void {
    this.#value(0);
    this.#space();
    if (this.#offset < this.#text.length) throw this.#unexpected("the end");
  }

  #value(depth: number): void {
    this.#space();
    const unit = this.#text.charCodeAt(this.#offset);
    if (unit === quote) this.#string();
    else if (unit === openBrace) this.#object(depth + 1);
    else if (unit === openBracket) this.#array(depth + 1);
    else if (unit === minus || (unit >= zero && unit <= nine)) this.#integer();
    else this.#word();
  }

  #object(depth: number): void {
    this.#open(depth);
    if (this.#closes(closeBrace)) return;
    const seen = this.#collectKeys ? new Set<string>() : undefined;
    let previous: Token | undefined;
    do {
      this.#space();
      if (this.#text.charCodeAt(this.#offset) !== quote) throw this.#unexpected("a key");
      const key = this.#string();
      this.#checkKey(key, previous, seen);
      previous = key;
      this.#space();
      if (this.#text.charCodeAt(this.#offset) !== colon) throw this.#unexpected('":"');
      this.#offset += 1;
      this.#value(depth);
    } while (this.#continues(closeBrace));
  }

  #array(depth: number): void {
    this.#open(depth);
    if (this.#closes(closeBracket)) return;
    do this.#value(depth);
    while (this.#continues(closeBracket));
  }

  #open(depth: number): void {
    if (depth > limits.jsonDepthMax)
      throw this.#invalid(`nested deeper than ${limits.jsonDepthMax}`);
    this.#offset += 1;
    this.#space();
  }

  #closes(close: number): boolean {
    if (this.#text.charCodeAt(this.#offset) !== close) return false;
    this.#offset += 1;
    return true;
  }

  /** After an element: steps over a comma (true) or the closing character (false). */
  #continues(close: number): boolean {
    this.#space();
    const unit = this.#text.charCodeAt(this.#offset);
    if (unit !== comma && unit !== close)
      throw this.#unexpected(`"," or "${String.fromCharCode(close)}"`);
    this.#offset += 1;
    return unit === comma;
  }

  #checkKey(key: Token, previous: Token | undefined, seen: Set<string> | undefined): void {
    if (this.#isProto(key)) throw this.#invalid("the key __proto__ is not permitted", key.start);
    if (previous !== undefined && this.ascending) this.ascending = this.#isBefore(previous, key);
    if (seen === undefined) return;
    const text = this.#textOf(key);
    if (seen.has(text)) throw this.#invalid("a key occurs twice", key.start);
    seen.add(text);
  }

  #isProto(key: Token): boolean {
    // Eleven units with quotes; an escape only makes it longer, never shorter.
    if (!key.escaped && key.end - key.start !== 10) return false;
    return this.#textOf(key) === "__proto__";
  }

  #isBefore(left: Token, right: Token): boolean {
    if (left.escaped || right.escaped) return this.#textOf(left) < this.#textOf(right);
    // In place, because cutting out 600 keys of a batch would cost more than the rest of the walk.
    const shift = right.start - left.start;
    for (let index = left.start + 1; index < left.end; index += 1) {
      const other = index + shift;
      if (other === right.end) return false;
      const difference = this.#text.charCodeAt(index) - this.#text.charCodeAt(other);
      if (difference !== 0) return difference < 0;
    }
    return left.end + shift < right.end;
  }

  #textOf({ start, end, escaped }: Token): string {
    if (escaped) return JSON.parse(this.#text.slice(start, end + 1)) as string;
    return this.#text.slice(start + 1, end);
  }

  #string(): Token {
    const text = this.#text;
    const start = this.#offset;
    let escaped = false;
    this.#offset += 1;
    for (;;) {
      const unit = text.charCodeAt(this.#offset);
      if (unit === quote) break;
      if (unit === backslash) {
        escaped = true;
        this.#escape();
      } else if (unit >= 0xd800 && unit <= 0xdfff) this.#rawPair(unit);
      // A NaN means the end of the text, and compares false with everything.
      else if (unit >= 0x20) this.#offset += 1;
      else throw this.#unterminated(unit);
    }
    const end = this.#offset;
    this.#offset += 1;
    return { start, end, escaped };
  }

  #unterminated(unit: number): LedgerError {
    if (Number.isNaN(unit)) return this.#invalid("the text ends within a string");
    return this.#invalid("a control character must be escaped");
  }

  #rawPair(unit: number): void {
    const next = this.#text.charCodeAt(this.#offset + 1);
    if (unit > 0xdbff || !isLowSurrogate(next)) throw this.#invalid("a lone surrogate");
    this.#offset += 2;
  }

  #escape(): void {
    const letter = this.#text.charCodeAt(this.#offset + 1);
    if (letter === 0x75) {
      this.#unicodeEscape();
      return;
    }
    if (!simpleEscapes.has(letter)) throw this.#invalid("an unknown escape");
    if (letter === 0x2f) this.shortest = false;
    this.#offset += 2;
  }

  #unicodeEscape(): void {
    const unit = this.#hexUnit(this.#offset);
    if (unit < 0xd800 || unit > 0xdfff) {
      const digits = this.#text.slice(this.#offset + 2, this.#offset + 6);
      const needed = unit < 0x20 && !shortControls.has(unit);
      if (!needed || digits !== digits.toLowerCase()) this.shortest = false;
      this.#offset += 6;
      return;
    }
    const paired = unit <= 0xdbff && this.#text.startsWith("\\u", this.#offset + 6);
    if (!paired || !isLowSurrogate(this.#hexUnit(this.#offset + 6)))
      throw this.#invalid("a lone surrogate");
    this.shortest = false;
    this.#offset += 12;
  }

  #hexUnit(offset: number): number {
    const digits = this.#text.slice(offset + 2, offset + 6);
    if (!hexPattern.test(digits)) throw this.#invalid("expected four hexadecimal digits", offset);
    return Number.parseInt(digits, 16);
  }

  #integer(): void {
    const text = this.#text;
    const start = this.#offset;
    const first = text.charCodeAt(start) === minus ? start + 1 : start;
    let value = 0;
    let offset = first;
    for (; isDigit(text.charCodeAt(offset)); offset += 1) {
      // Exact up to the bound, and from there on it only grows.
      value = value * 10 + (text.charCodeAt(offset) - zero);
    }
    this.#offset = offset;
    this.#checkInteger(value, first, start);
  }

  #checkInteger(value: number, first: number, start: number): void {
    const count = this.#offset - first;
    const next = this.#text[this.#offset];
    if (count === 0) throw this.#unexpected("a digit");
    if (count > 1 && this.#text.charCodeAt(first) === zero)
      throw this.#invalid("a leading zero", first);
    if (next === "." || next === "e" || next === "E")
      throw this.#invalid("a number is not written as an integer", start);
    if (value > Number.MAX_SAFE_INTEGER) throw this.#invalid("an integer beyond 2^53-1", start);
    if (value === 0 && first > start) throw this.#invalid("minus zero", start);
  }

  #word(): void {
    for (const word of ["true", "false", "null"])
      if (this.#text.startsWith(word, this.#offset)) {
        this.#offset += word.length;
        return;
      }
    throw this.#unexpected("a value");
  }

  #space(): void {
    const text = this.#text;
    let offset = this.#offset;
    while (isSpace(text.charCodeAt(offset))) offset += 1;
    if (offset === this.#offset) return;
    this.shortest = false;
    this.#offset = offset;
  }

  #unexpected(expected: string): LedgerError {
    const atEnd = this.#offset >= this.#text.length;
    return this.#invalid(`expected ${expected}${atEnd ? ", got the end of the text" : ""}`);
  }

  #invalid(reason: string, offset: number = this.#offset): LedgerError {
    return new LedgerError("JSON_INVALID", { offset, reason });
  }
}

function isSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;
}

function isDigit(unit: number): boolean {
  return unit >= zero && unit <= nine;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

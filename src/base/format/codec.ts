/**
 * The canonical codec (D9): MessagePack tuples of a small subset with one encoding a value.
 *
 * | value | bytes |
 * |---|---|
 * | nil, false, true | c0, c2, c3 |
 * | integer 0..2^64-1 | shortest of: 00-7f, cc u8, cd u16, ce u32, cf u64 (big endian) |
 * | text (valid UTF-8) | shortest of: a0-bf, d9 u8, da u16, db u32 |
 * | bytes | shortest of: c4 u8, c5 u16, c6 u32 |
 * | tuple | shortest of: 90-9f, dc u16, dd u32 |
 *
 * Anything else (maps, floats, negative integers, extensions, longer forms, bytes after the end)
 * is refused, so two different byte strings never decode to one value. Limits are applied while
 * decoding: a length is believed only when that many bytes are really there.
 */
import { assert } from "../assert.ts";
import { utf8, utf8Text } from "../bytes.ts";
import { LedgerError } from "../errors.ts";
import { limits } from "../limits.ts";

/** A value of the subset. Integers above 2^53-1 are bigints, all others numbers. */
export type Value = null | boolean | number | bigint | string | Uint8Array | readonly Value[];

/** Encodes a value in its only encoding. */
export function encode(value: Value): Uint8Array {
  const writer = new Writer();
  writer.value(value);
  return writer.finish();
}

/**
 * Decodes untrusted bytes.
 *
 * @param type - Name of what is decoded, for the error.
 * @throws {LedgerError} CODEC_INVALID when the bytes are not the canonical encoding of a value.
 */
export function decode(bytes: Uint8Array, type: string): Value {
  const reader = new Reader(bytes, type);
  const value = reader.value(0);
  if (reader.offset !== bytes.length) throw reader.invalid("bytes after the end");
  return value;
}

class Writer {
  #buffer = new Uint8Array(256);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  value(value: Value): void {
    if (value === null) this.#byte(0xc0);
    else if (typeof value === "boolean") this.#byte(value ? 0xc3 : 0xc2);
    else if (typeof value === "number") this.#integer(value);
    else if (typeof value === "bigint") this.#bigInteger(value);
    else if (typeof value === "string") this.#text(value);
    else if (value instanceof Uint8Array) this.#bytes(value);
    else this.#tuple(value);
  }

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #reserve(count: number): number {
    const start = this.#length;
    this.#length += count;
    if (this.#length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, start));
      this.#buffer = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  #byte(byte: number): void {
    const start = this.#reserve(1);
    this.#buffer[start] = byte;
  }

  #head(first: number, width: 1 | 2 | 4, count: number): void {
    const start = this.#reserve(1 + width);
    this.#buffer[start] = first;
    if (width === 1) this.#view.setUint8(start + 1, count);
    else if (width === 2) this.#view.setUint16(start + 1, count);
    else this.#view.setUint32(start + 1, count);
  }

  #integer(value: number): void {
    assert(Number.isSafeInteger(value), "an encoded number is a safe integer");
    assert(value >= 0 && !Object.is(value, -0), "an encoded number is not negative");
    if (value < 0x80) this.#byte(value);
    else if (value < 0x100) this.#head(0xcc, 1, value);
    else if (value < 0x10000) this.#head(0xcd, 2, value);
    else if (value < 0x100000000) this.#head(0xce, 4, value);
    else this.#wide(BigInt(value));
  }

  #bigInteger(value: bigint): void {
    assert(value >= 0n && value < 1n << 64n, "an encoded bigint fits 64 bits without sign");
    if (value < 0x100000000n) this.#integer(Number(value));
    else this.#wide(value);
  }

  #wide(value: bigint): void {
    const start = this.#reserve(9);
    this.#buffer[start] = 0xcf;
    this.#view.setBigUint64(start + 1, value);
  }

  #text(text: string): void {
    assert(text.isWellFormed(), "encoded text is well-formed Unicode");
    const bytes = utf8(text);
    const count = bytes.length;
    if (count < 32) this.#byte(0xa0 | count);
    else if (count < 0x100) this.#head(0xd9, 1, count);
    else if (count < 0x10000) this.#head(0xda, 2, count);
    else this.#head(0xdb, 4, count);
    this.#append(bytes);
  }

  #bytes(bytes: Uint8Array): void {
    const count = bytes.length;
    if (count < 0x100) this.#head(0xc4, 1, count);
    else if (count < 0x10000) this.#head(0xc5, 2, count);
    else this.#head(0xc6, 4, count);
    this.#append(bytes);
  }

  #append(bytes: Uint8Array): void {
    const start = this.#reserve(bytes.length);
    this.#buffer.set(bytes, start);
  }

  #tuple(values: readonly Value[]): void {
    const count = values.length;
    if (count < 16) this.#byte(0x90 | count);
    else if (count < 0x10000) this.#head(0xdc, 2, count);
    else this.#head(0xdd, 4, count);
    for (const value of values) this.value(value);
  }
}

class Reader {
  offset = 0;
  #valuesLeft: number = limits.tupleValuesMax;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #type: string;

  constructor(bytes: Uint8Array, type: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#type = type;
  }

  invalid(reason: string, cause?: unknown): LedgerError<"CODEC_INVALID"> {
    const facts = { type: this.#type, path: `byte ${this.offset}`, reason };
    return new LedgerError("CODEC_INVALID", facts, cause === undefined ? {} : { cause });
  }

  value(depth: number): Value {
    if (depth > limits.tupleDepthMax) throw this.invalid("tuples nest too deep");
    this.#valuesLeft -= 1;
    if (this.#valuesLeft < 0) throw this.invalid("too many values");
    const first = this.#take(1)[0] as number;
    if (first < 0x80) return first;
    if (first >= 0x90 && first < 0xa0) return this.#tuple(first & 0x0f, depth);
    if (first >= 0xa0 && first < 0xc0) return this.#text(first & 0x1f);
    return this.#wideValue(first, depth);
  }

  #wideValue(first: number, depth: number): Value {
    switch (first) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#copy(this.#count(1, 0));
      case 0xc5:
        return this.#copy(this.#count(2, 0x100));
      case 0xc6:
        return this.#copy(this.#count(4, 0x10000));
      case 0xcc:
        return this.#count(1, 0x80);
      case 0xcd:
        return this.#count(2, 0x100);
      case 0xce:
        return this.#count(4, 0x10000);
      case 0xcf:
        return this.#wideInteger();
      case 0xd9:
        return this.#text(this.#count(1, 32));
      case 0xda:
        return this.#text(this.#count(2, 0x100));
      case 0xdb:
        return this.#text(this.#count(4, 0x10000));
      case 0xdc:
        return this.#tuple(this.#count(2, 16), depth);
      case 0xdd:
        return this.#tuple(this.#count(4, 0x10000), depth);
      default:
        throw this.invalid(`type byte 0x${first.toString(16)} is not in the subset`);
    }
  }

  #take(count: number): Uint8Array {
    if (count > this.#bytes.length - this.offset) throw this.invalid("the bytes end too early");
    const start = this.offset;
    this.offset += count;
    return this.#bytes.subarray(start, this.offset);
  }

  #count(width: 1 | 2 | 4, least: number): number {
    const start = this.offset;
    this.#take(width);
    const count =
      width === 1
        ? this.#view.getUint8(start)
        : width === 2
          ? this.#view.getUint16(start)
          : this.#view.getUint32(start);
    if (count < least) throw this.invalid("not the shortest form");
    return count;
  }

  #wideInteger(): number | bigint {
    const start = this.offset;
    this.#take(8);
    const value = this.#view.getBigUint64(start);
    if (value < 0x100000000n) throw this.invalid("not the shortest form");
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  #copy(count: number): Uint8Array {
    // `slice` of a Buffer would share its memory.
    return new Uint8Array(this.#take(count));
  }

  #text(count: number): string {
    const bytes = this.#take(count);
    try {
      return utf8Text(bytes);
    } catch (cause) {
      throw this.invalid("text is not valid UTF-8", cause);
    }
  }

  #tuple(count: number, depth: number): Value {
    // Each element takes at least one byte, so a forged count cannot make a large array.
    if (count > this.#bytes.length - this.offset) throw this.invalid("the bytes end too early");
    if (count > limits.tupleElementsMax) throw this.invalid("too many elements");
    const values: Value[] = [];
    for (let index = 0; index < count; index += 1) values.push(this.value(depth + 1));
    return values;
  }
}

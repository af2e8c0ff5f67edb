/**
 * Reads the fields of decoded tuples one by one, each with its type, so that every format checks
 * untrusted bytes the same way and names the field that is wrong.
 */
import { bytesToHex } from "../bytes.ts";
import { LedgerError } from "../errors.ts";
import type { Hash } from "../hash.ts";
import { decode, type Value } from "./codec.ts";

/** A cursor over the fields of one tuple. Call one reader a field, in wire order, then `end`. */
export class TupleReader {
  readonly #values: readonly Value[];
  readonly #type: string;
  #index = 0;

  private constructor(values: readonly Value[], type: string) {
    this.#values = values;
    this.#type = type;
  }

  /** Decodes bytes that must be one tuple. @throws {LedgerError} CODEC_INVALID */
  static decode(bytes: Uint8Array, type: string): TupleReader {
    return TupleReader.of(decode(bytes, type), type);
  }

  /** Reads a value that must be a tuple. @throws {LedgerError} CODEC_INVALID */
  static of(value: Value, type: string): TupleReader {
    if (!Array.isArray(value)) throw invalid(type, "", "expected a tuple");
    return new TupleReader(value, type);
  }

  /** Next field: an integer in 0..2^53-1. */
  integer(field: string): number {
    const value = this.#next(field);
    if (typeof value !== "number") throw this.#invalid(field, "expected an integer below 2^53");
    return value;
  }

  /** Next field: a text. */
  text(field: string): string {
    const value = this.#next(field);
    if (typeof value !== "string") throw this.#invalid(field, "expected a text");
    return value;
  }

  /** Next field: bytes, of exactly `count` bytes when that is given. */
  bytes(field: string, count?: number): Uint8Array {
    const value = this.#next(field);
    if (!(value instanceof Uint8Array)) throw this.#invalid(field, "expected bytes");
    if (count !== undefined && value.length !== count)
      throw this.#invalid(field, `expected ${count} bytes, got ${value.length}`);
    return value;
  }

  /** Next field: any value, for a reader of its own. */
  value(field: string): Value {
    return this.#next(field);
  }

  /** Next field: 32 bytes, as a hash or public key in hexadecimal. */
  hash(field: string): Hash {
    return bytesToHex(this.bytes(field, 32));
  }

  /** Next field: a hash, or nil. */
  optionalHash(field: string): Hash | undefined {
    return this.#nilAhead() ? undefined : this.hash(field);
  }

  /** Next field: an integer, or nil. */
  optionalInteger(field: string): number | undefined {
    return this.#nilAhead() ? undefined : this.integer(field);
  }

  /** Next field: bytes, or nil. */
  optionalBytes(field: string): Uint8Array | undefined {
    return this.#nilAhead() ? undefined : this.bytes(field);
  }

  /** Next field: a list of tuples or values, at most `countMax`, each read by `read`. */
  list<T>(field: string, countMax: number, read: (value: Value, type: string) => T): T[] {
    const value = this.#next(field);
    if (!Array.isArray(value)) throw this.#invalid(field, "expected a list");
    if (value.length > countMax) throw this.#invalid(field, `more than ${countMax} elements`);
    return value.map((element, index) => read(element, `${this.#type}.${field}[${index}]`));
  }

  /** Says that no field is left. @throws {LedgerError} CODEC_INVALID */
  end(): void {
    if (this.#index !== this.#values.length)
      throw this.#invalid("", `expected ${this.#index} fields, got ${this.#values.length}`);
  }

  #nilAhead(): boolean {
    if (this.#values[this.#index] !== null) return false;
    this.#index += 1;
    return true;
  }

  #next(field: string): Value {
    const value = this.#values[this.#index];
    if (value === undefined) throw this.#invalid(field, "missing");
    this.#index += 1;
    return value;
  }

  #invalid(field: string, reason: string): LedgerError {
    return invalid(this.#type, field, reason);
  }
}

/** Makes the error for a field of a format. */
export function invalid(type: string, path: string, reason: string): LedgerError<"CODEC_INVALID"> {
  return new LedgerError("CODEC_INVALID", { type, path, reason });
}

/**
 * Reads and writes the pieces of the WebAssembly binary format that the meter needs: LEB128
 * numbers, sections, and how long the immediates of each instruction are. It knows the
 * instructions of the MVP with sign extension, saturating conversion and bulk memory; an
 * instruction it does not know is refused, never skipped.
 */
import { LedgerError } from "../base/errors.ts";

/** A cursor over wasm bytes. Every read is bounds-checked. */
export class WasmReader {
  readonly bytes: Uint8Array;
  position: number;
  readonly end: number;

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  /** Tells whether everything was read. */
  get done(): boolean {
    return this.position >= this.end;
  }

  /** Reads one byte. */
  byte(): number {
    if (this.position >= this.end) throw invalidWasm("bytes end too early");
    const value = this.bytes[this.position] as number;
    this.position += 1;
    return value;
  }

  /** Reads an unsigned LEB128 number of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw invalidWasm("number longer than 32 bits");
  }

  /** Passes over one LEB128 number of any width. */
  skipLeb(): void {
    for (let length = 0; length < 10; length += 1) if (this.byte() < 0x80) return;
    throw invalidWasm("number longer than 64 bits");
  }

  /** Takes the next `length` bytes. */
  take(length: number): Uint8Array {
    if (this.position + length > this.end) throw invalidWasm("bytes end too early");
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  /** Takes a name or another vector of bytes. */
  vector(): Uint8Array {
    return this.take(this.u32());
  }
}

/** Collects bytes. */
export class WasmWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  /** Appends single bytes. */
  push(...bytes: readonly number[]): void {
    this.#reserve(bytes.length);
    for (const byte of bytes) {
      this.#bytes[this.#length] = byte;
      this.#length += 1;
    }
  }

  /** Appends a byte string. */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Appends an unsigned LEB128 number. */
  u32(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.push(rest);
  }

  /** Appends a signed LEB128 number, |value| <= 2^53. */
  signed(value: number): void {
    let rest = BigInt(value);
    for (;;) {
      const byte = Number(rest & 0x7fn);
      rest >>= 7n;
      const last = (rest === 0n && byte < 0x40) || (rest === -1n && byte >= 0x40);
      this.push(last ? byte : byte | 0x80);
      if (last) return;
    }
  }

  /** Appends a length and the bytes. */
  vector(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.append(bytes);
  }

  /** Returns a copy of everything written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(extra: number): void {
    if (this.#length + extra <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + extra));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** Splits a module into its sections, keyed by section id. Custom sections are dropped. */
export function readSections(module: Uint8Array): Map<number, Uint8Array> {
  const reader = new WasmReader(module);
  const head = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  if (head.some((byte) => reader.byte() !== byte)) throw invalidWasm("no module of version 1");
  const sections = new Map<number, Uint8Array>();
  while (!reader.done) {
    const id = reader.byte();
    const content = reader.vector();
    if (id === 0) continue;
    if (sections.has(id)) throw invalidWasm(`section ${id} twice`);
    sections.set(id, content);
  }
  return sections;
}

/** Puts sections together in the order that the format asks for. */
export function writeSections(sections: ReadonlyMap<number, Uint8Array>): Uint8Array {
  const writer = new WasmWriter();
  writer.push(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);
  for (const id of [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11]) {
    const content = sections.get(id);
    if (content === undefined) continue;
    writer.push(id);
    writer.vector(content);
  }
  return writer.finish();
}

/** unreachable, nop, else, end, return, drop, select. */
const bare: readonly number[] = [0x00, 0x01, 0x05, 0x0b, 0x0f, 0x1a, 0x1b];
/** block loop if br br_if call, access to locals and globals, memory.size and .grow, constants. */
const oneNumber: readonly number[] = [
  ...[0x02, 0x03, 0x04, 0x0c, 0x0d, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24],
  ...[0x3f, 0x40, 0x41, 0x42],
];
const [brTable, callIndirect, f32Const, f64Const, prefix] = [0x0e, 0x11, 0x43, 0x44, 0xfc];
/** LEB128 immediates after the sub-opcode: saturating conversions, memory.copy, memory.fill. */
const prefixed: readonly (number | undefined)[] = [
  ...[0, 0, 0, 0, 0, 0, 0, 0],
  ...[undefined, undefined, 2, 1],
];

/** Passes over the immediates of one instruction whose first byte was just read. */
export function skipImmediates(reader: WasmReader, opcode: number): void {
  if (opcode === f32Const) reader.take(4);
  else if (opcode === f64Const) reader.take(8);
  else for (let left = numbersAfter(reader, opcode); left > 0; left -= 1) reader.skipLeb();
}

/** Counts the LEB128 numbers that follow; reads the count where it is itself an immediate. */
function numbersAfter(reader: WasmReader, opcode: number): number {
  if (opcode >= 0x45 && opcode <= 0xc4) return 0; // comparisons, arithmetic, conversions
  if (opcode >= 0x28 && opcode <= 0x3e) return 2; // loads and stores
  if (bare.includes(opcode)) return 0;
  if (oneNumber.includes(opcode)) return 1;
  if (opcode === callIndirect) return 2;
  if (opcode === brTable) return reader.u32() + 1;
  const count = opcode === prefix ? prefixed[reader.u32()] : undefined;
  if (count === undefined) throw invalidWasm(`unknown instruction 0x${opcode.toString(16)}`);
  return count;
}

/** Makes the error of a module that the meter cannot rewrite. */
export function invalidWasm(reason: string): LedgerError {
  return new LedgerError("CONTRACT_ENGINE_INVALID", { reason });
}

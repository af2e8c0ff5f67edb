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

/** Passes over the immediates of one instruction whose first byte was just read. */
export function skipImmediates(reader: WasmReader, opcode: number): void {
  if (opcode >= 0x45 && opcode <= 0xc4) return;
  if (opcode >= 0x28 && opcode <= 0x3e) return skipLebs(reader, 2);
  switch (opcode) {
    case 0x00: // unreachable
    case 0x01: // nop
    case 0x05: // else
    case 0x0b: // end
    case 0x0f: // return
    case 0x1a: // drop
    case 0x1b: // select
      return;
    case 0x02: // block
    case 0x03: // loop
    case 0x04: // if
    case 0x0c: // br
    case 0x0d: // br_if
    case 0x10: // call
    case 0x20: // local.get
    case 0x21: // local.set
    case 0x22: // local.tee
    case 0x23: // global.get
    case 0x24: // global.set
    case 0x3f: // memory.size
    case 0x40: // memory.grow
    case 0x41: // i32.const
    case 0x42: // i64.const
      return reader.skipLeb();
    case 0x11: // call_indirect
      return skipLebs(reader, 2);
    case 0x0e: // br_table
      return skipLebs(reader, reader.u32() + 1);
    case 0x43: // f32.const
      reader.take(4);
      return;
    case 0x44: // f64.const
      reader.take(8);
      return;
    case 0xfc:
      return skipPrefixed(reader);
    default:
      throw invalidWasm(`unknown instruction 0x${opcode.toString(16)}`);
  }
}

function skipPrefixed(reader: WasmReader): void {
  const sub = reader.u32();
  if (sub <= 7) return; // saturating conversions
  if (sub === 0x0a) return skipLebs(reader, 2); // memory.copy
  if (sub === 0x0b) return skipLebs(reader, 1); // memory.fill
  throw invalidWasm(`unknown instruction 0xfc ${sub}`);
}

function skipLebs(reader: WasmReader, count: number): void {
  for (let index = 0; index < count; index += 1) reader.skipLeb();
}

/** Makes the error of a module that the meter cannot rewrite. */
export function invalidWasm(reason: string): LedgerError {
  return new LedgerError("CONTRACT_ENGINE_INVALID", { reason });
}

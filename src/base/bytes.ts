/** Byte helpers that run in Node and in a browser alike. They know nothing of formats. */
export { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Returns the UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/**
 * Returns the text of UTF-8 bytes.
 *
 * @throws {TypeError} when the bytes are not valid UTF-8.
 */
export function utf8Text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Tells whether two byte strings are the same. Not constant time: for public data only. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && compareBytes(left, right) === 0;
}

/** Orders byte strings: negative, zero or positive as `left` is before, equal to or after `right`. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const shorter = Math.min(left.length, right.length);
  for (let index = 0; index < shorter; index += 1) {
    const difference = (left[index] as number) - (right[index] as number);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/**
 * Orders texts by their UTF-8 bytes, which is the order of code points and so the order of state
 * keys. JavaScript's own `<` orders by UTF-16 units and differs above U+FFFF.
 */
export function compareUtf8(left: string, right: string): number {
  const shorter = Math.min(left.length, right.length);
  for (let index = 0; index < shorter; index += 1) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a !== b) return orderUnit(a) - orderUnit(b);
  }
  return left.length - right.length;
}

/** Moves surrogates above the rest of the basic plane, where their code points belong. */
function orderUnit(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

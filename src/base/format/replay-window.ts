/**
 * The replay window of one sender (D5): the highest nonce used and which of the 1,024 nonces up to
 * it were used. It lives in the state under `system/window/<did>`, so every node refuses the same.
 *
 * After RFC 6479 the bits form a ring that never shifts: nonce n has bit `n mod 1024`. It stands
 * for the only nonce of that residue in the window (highest - 1024, highest].
 *
 * Invariants:
 *
 * (1) A nonce is accepted at most once in the life of a ledger: below the window all are refused.
 * (2) The value depends on the highest nonce and the set of used ones alone, not on their order.
 * (3) One nonce moves the window by at most 1,024, so nobody who holds a sender's key for a moment
 *     can bury all its nonces.
 *
 * | field of the value | meaning |
 * |---|---|
 * | `bits` | 256 hex digits; bit i is bit `i mod 8` (least first) of byte `floor(i / 8)` |
 * | `highest` | the highest nonce used |
 */
import { assert } from "../assert.ts";
import { bytesToHex, hexToBytes } from "../bytes.ts";
import { limits } from "../limits.ts";

/** A decoded window. Never changed in place. */
export type ReplayWindow = {
  /** 0 before the first transaction. */
  readonly highest: number;
  readonly bits: Uint8Array;
};

/** What the window says about a nonce. Only `fresh` may be used. */
export type NonceVerdict = "fresh" | "used" | "tooOld" | "tooFar";

const windowBits = limits.replayWindowBits;

const emptyWindow: ReplayWindow = { highest: 0, bits: new Uint8Array(windowBits / 8) };

/** Decodes the state value of a window; a sender without one has used no nonce. */
export function decodeWindow(value: string | undefined): ReplayWindow {
  if (value === undefined) return emptyWindow;
  const { highest, bits } = JSON.parse(value) as { highest: number; bits: string };
  assert(Number.isSafeInteger(highest), "the highest nonce of a window is an integer");
  assert(bits.length === windowBits / 4, "a window has all its bits");
  return { highest, bits: hexToBytes(bits) };
}

/** Encodes a window as a state value in RFC 8785 form. */
export function encodeWindow(window: ReplayWindow): string {
  return `{"bits":"${bytesToHex(window.bits)}","highest":${window.highest}}`;
}

/** Beginning of the state keys of windows. */
export const windowPrefix = "system/window/";

/** Returns the state key of a sender's window. */
export function windowKey(did: string): string {
  return windowPrefix + did;
}

/** Tells whether a nonce, an integer of at least 1, may be used now. */
export function checkNonce(window: ReplayWindow, nonce: number): NonceVerdict {
  if (nonce > window.highest + windowBits) return "tooFar";
  if (nonce > window.highest) return "fresh";
  if (nonce <= window.highest - windowBits) return "tooOld";
  return hasBit(window.bits, nonce) ? "used" : "fresh";
}

/**
 * Returns the window after a nonce was used.
 *
 * @param nonce - Must be `fresh`.
 */
export function useNonce(window: ReplayWindow, nonce: number): ReplayWindow {
  assert(checkNonce(window, nonce) === "fresh", "only a fresh nonce is used");
  const bits = window.bits.slice();
  // The ring's places between the old and the new highest stood for nonces that fall out.
  for (let skipped = window.highest + 1; skipped < nonce; skipped += 1) clearBit(bits, skipped);
  setBit(bits, nonce);
  return { highest: Math.max(window.highest, nonce), bits };
}

function hasBit(bits: Uint8Array, nonce: number): boolean {
  const place = nonce % windowBits;
  return ((bits[place >> 3] as number) & (1 << (place & 7))) !== 0;
}

function setBit(bits: Uint8Array, nonce: number): void {
  const place = nonce % windowBits;
  bits[place >> 3] = (bits[place >> 3] as number) | (1 << (place & 7));
}

function clearBit(bits: Uint8Array, nonce: number): void {
  const place = nonce % windowBits;
  bits[place >> 3] = (bits[place >> 3] as number) & ~(1 << (place & 7));
}

/**
 * SHA-256 and domain separation (D8). The default implementation runs everywhere; a node injects
 * the native one at start, which is about twice as fast and gives the same bytes.
 */
import { sha256 as portableSha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes, utf8 } from "./bytes.ts";

/** A SHA-256 digest as 64 lowercase hexadecimal digits. */
export type Hash = string;

/** Form of a `Hash` or a `PublicKey`. */
export const hash32Pattern = /^[0-9a-f]{64}$/;

/** The hash that stands for "none": 32 zero bytes. */
export const zeroHash: Hash = "0".repeat(64);

let implementation: (bytes: Uint8Array) => Uint8Array = portableSha256;

/** Puts a faster implementation of the same function in place. */
export function injectSha256(native: (bytes: Uint8Array) => Uint8Array): void {
  implementation = native;
}

/** Returns the 32 bytes of SHA-256. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return implementation(bytes);
}

/** Returns SHA-256 as a `Hash`. */
export function hashOf(bytes: Uint8Array): Hash {
  return bytesToHex(implementation(bytes));
}

/** Returns the hash of a state value, which is text: SHA-256 of its UTF-8 bytes. */
export function valueHashOf(value: string): Hash {
  return hashOf(utf8(value));
}

/**
 * What is signed or hashed, kept apart by purpose: a signature given for one purpose must never be
 * valid for another. The zero byte ends the tag, so no tag is the beginning of another.
 */
export const tags = {
  transaction: "loopledger/v0/transaction",
  block: "loopledger/v0/block",
  proposal: "loopledger/v0/proposal",
  prepare: "loopledger/v0/prepare",
  commit: "loopledger/v0/commit",
  roundChange: "loopledger/v0/round-change",
  validators: "loopledger/v0/validators",
  ready: "loopledger/v0/ready",
} as const;

/** One of the domain tags. */
export type Tag = (typeof tags)[keyof typeof tags];

const prefixes = new Map<Tag, Uint8Array>(
  Object.values(tags).map((tag) => [tag, utf8(`${tag}\0`)]),
);

/** Returns `utf8(tag) || 0x00 || bytes`, the message that is signed or hashed. */
export function tagged(tag: Tag, bytes: Uint8Array): Uint8Array {
  return concatBytes(prefixes.get(tag) as Uint8Array, bytes);
}

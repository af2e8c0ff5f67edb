/**
 * Bytes that keys sign and that sets of validators are hashed from, put together from
 * docs/DATA_FORMAT.md apart from the product's codec.
 */
import { createHash } from "node:crypto";
import type { Claim } from "../../../src/base/format/message.ts";

/** Bytes that a claim is signed over. */
export function signedBytes(chainId: string, claim: Claim): Buffer {
  const { height, round } = claim;
  const head = [packHash(chainId), packInteger(height), packInteger(round)];
  if (claim.kind !== "roundChange")
    return taggedArray(claim.kind, [...head, packHash(claim.blockHash)]);
  const { prepared } = claim;
  const nil = Buffer.of(0xc0);
  const rest = prepared ? [packInteger(prepared.round), packHash(prepared.blockHash)] : [nil, nil];
  return taggedArray("round-change", [...head, ...rest]);
}

/** Bytes of a candidate's word that it has followed the chain up to a block. */
export function readyBytes(
  chainId: string,
  said: { readonly height: number; readonly blockHash: string; readonly peerKey: string },
): Buffer {
  const { height, blockHash, peerKey } = said;
  const fields = [packHash(chainId), packInteger(height), packHash(blockHash), packHash(peerKey)];
  return taggedArray("ready", fields);
}

/** The hash by which headers name a set of at most 15 validators. */
export function hashOfSet(validators: readonly string[]): string {
  const bytes = taggedArray("validators", validators.map(packHash));
  return createHash("sha256").update(bytes).digest("hex");
}

/** Tells whether a signature is the one that a key of this world makes. */
export function isSignedBy(key: string, message: Uint8Array, signature: Uint8Array): boolean {
  return createHash("sha512").update(key).update(message).digest().equals(signature);
}

/** A tuple of at most 15 elements behind the tag of its purpose. */
export function taggedArray(tag: string, items: readonly Buffer[]): Buffer {
  const head = Buffer.of(0x90 + items.length);
  return Buffer.concat([Buffer.from(`loopledger/v0/${tag}\0`), head, ...items]);
}

/** 32 bytes of a tuple. */
export function packHash(hash: string): Buffer {
  return Buffer.concat([Buffer.of(0xc4, 32), Buffer.from(hash, "hex")]);
}

/** The shortest MessagePack form of an unsigned integer. */
export function packInteger(value: number): Buffer {
  if (value < 0x80) return Buffer.of(value);
  if (value < 0x100) return Buffer.of(0xcc, value);
  const bytes = Buffer.alloc(9);
  if (value < 0x10000) {
    bytes[0] = 0xcd;
    bytes.writeUInt16BE(value, 1);
    return bytes.subarray(0, 3);
  }
  if (value < 0x100000000) {
    bytes[0] = 0xce;
    bytes.writeUInt32BE(value, 1);
    return bytes.subarray(0, 5);
  }
  bytes[0] = 0xcf;
  bytes.writeBigUInt64BE(BigInt(value), 1);
  return bytes;
}

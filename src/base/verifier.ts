/**
 * Ed25519 verification that runs everywhere, with the one acceptance set of the ledger (D6).
 *
 * A signature (R, S) by key A over M is accepted exactly if
 * 1. S < L (the group order),
 * 2. A is the canonical encoding of a point that has not small order,
 * 3. R' = S*B - k*A with k = SHA-512(R || A || M) mod L has the very bytes R (no cofactor),
 * 4. R' has not small order.
 *
 * This is what libsodium 1.0.21 accepts; RFC 8032 leaves 2 to 4 open, and nodes that answer them
 * differently fork. Noble's own `verify` is not used because it multiplies by the cofactor. A key
 * with a torsion part passes here as it does there, hence `checkPublicKey` before one is enrolled.
 *
 * About 2 ms a signature: for browsers and auditors. A node uses src/node/native-crypto.ts.
 */
import { hashes, Point } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { concatBytes, equalBytes, hexToBytes } from "./bytes.ts";
import { LedgerError } from "./errors.ts";
import { hash32Pattern } from "./hash.ts";
import { type PublicKey, signatureBytes, type Verifier } from "./keys.ts";

hashes.sha512 = sha512;

const groupOrder = Point.CURVE().n;

/** The verifier for browsers, auditors and tests. */
export const portableVerifier: Verifier = { verify };

/**
 * Checks a public key before it is enrolled anywhere.
 *
 * @throws {LedgerError} KEY_INVALID when it is malformed, not canonical, of small order, or outside
 * the subgroup of prime order.
 */
export function checkPublicKey(key: PublicKey): void {
  const reason = keyProblem(key);
  if (reason !== undefined)
    throw new LedgerError("KEY_INVALID", { key: String(key).slice(0, 80), reason });
}

function keyProblem(key: PublicKey): string | undefined {
  if (!hash32Pattern.test(key)) return "expected 64 lowercase hexadecimal digits";
  const point = decodePoint(key);
  if (point === undefined) return "not the canonical encoding of a curve point";
  if (point.isSmallOrder()) return "a point of small order";
  if (!point.isTorsionFree()) return "a point outside the subgroup of prime order";
  return undefined;
}

function verify(message: Uint8Array, signature: Uint8Array, publicKey: PublicKey): boolean {
  if (signature.length !== signatureBytes || !hash32Pattern.test(publicKey)) return false;
  const commitment = signature.subarray(0, 32);
  const scalar = littleEndian(signature.subarray(32));
  if (scalar >= groupOrder) return false;
  const point = decodePoint(publicKey);
  if (point === undefined || point.isSmallOrder()) return false;
  const challenge = sha512(concatBytes(commitment, hexToBytes(publicKey), message));
  const k = littleEndian(challenge) % groupOrder;
  const computed = Point.BASE.multiplyUnsafe(scalar).subtract(point.multiplyUnsafe(k));
  return !computed.isSmallOrder() && equalBytes(computed.toBytes(), commitment);
}

/** Strict decoding of RFC 8032 5.1.3: y < p, and no sign on x = 0. */
function decodePoint(key: PublicKey): Point | undefined {
  try {
    return Point.fromBytes(hexToBytes(key));
  } catch {
    return undefined;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes.toReversed()) value = (value << 8n) | BigInt(byte);
  return value;
}

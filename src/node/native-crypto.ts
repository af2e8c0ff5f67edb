/**
 * The cryptography of a node: libsodium for Ed25519 (61 us a verification) and node:crypto for
 * SHA-256. Same results as src/base/verifier.ts, which test/golden/ed25519-edge.json holds it to.
 */
import * as crypto from "node:crypto";
import sodium from "sodium-native";
import { assert } from "../base/assert.ts";
import { bytesToHex } from "../base/bytes.ts";
import { hash32Pattern, injectSha256 } from "../base/hash.ts";
import { type Signer, signatureBytes, type Verifier } from "../base/keys.ts";

/** The verifier of a node. */
export const nativeVerifier: Verifier = {
  verify(message, signature, publicKey) {
    if (signature.length !== signatureBytes || !hash32Pattern.test(publicKey)) return false;
    const key = Buffer.from(publicKey, "hex");
    return sodium.crypto_sign_verify_detached(asBuffer(signature), asBuffer(message), key);
  },
};

/**
 * The verifier of contracts' host function. It also refuses every key that `checkPublicKey`
 * refuses, as no enrolment has looked at the keys that contracts bring (D6).
 */
export const nativeStrictVerifier: Verifier = {
  verify(message, signature, publicKey) {
    if (!hash32Pattern.test(publicKey)) return false;
    if (!sodium.crypto_core_ed25519_is_valid_point(Buffer.from(publicKey, "hex"))) return false;
    return nativeVerifier.verify(message, signature, publicKey);
  },
};

/**
 * Makes a signer from a private key, which it keeps in guarded memory (out of core dumps and swap
 * where the system permits).
 *
 * @param seed - The 32 secret bytes of RFC 8032; the caller may overwrite them afterwards.
 */
export function nativeSigner(seed: Uint8Array): Signer {
  assert(seed.length === sodium.crypto_sign_SEEDBYTES, "a seed has 32 bytes");
  const publicKey = Buffer.alloc(sodium.crypto_sign_PUBLICKEYBYTES);
  const secretKey = sodium.sodium_malloc(sodium.crypto_sign_SECRETKEYBYTES);
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, asBuffer(seed));
  return {
    publicKey: bytesToHex(publicKey),
    sign(message) {
      const signature = new Uint8Array(signatureBytes);
      sodium.crypto_sign_detached(asBuffer(signature), asBuffer(message), secretKey);
      return signature;
    },
  };
}

/** Puts the native SHA-256 in place for the whole process. */
export function injectNative(): void {
  injectSha256(nativeSha256);
}

/** Returns the 32 bytes of SHA-256. */
function nativeSha256(bytes: Uint8Array): Uint8Array {
  const digest = crypto.hash("sha256", bytes, "buffer");
  // A plain array: `slice` of a Buffer shares memory, which code for Uint8Array does not expect.
  return new Uint8Array(digest.buffer, digest.byteOffset, digest.length);
}

/** A view of the same memory, as the types of sodium-native ask for. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

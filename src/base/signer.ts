/**
 * Ed25519 signing that runs everywhere (RFC 8032, deterministic). About 1 ms a signature, and the
 * seed lives in ordinary memory: for browsers and tests. A node uses src/node/native-crypto.ts.
 */
import { getPublicKey, hashes, sign } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { assert } from "./assert.ts";
import { bytesToHex } from "./bytes.ts";
import type { Signer } from "./keys.ts";

hashes.sha512 = sha512;

/**
 * Makes a signer from a private key.
 *
 * @param seed - The 32 secret bytes of RFC 8032; they are copied.
 */
export function portableSigner(seed: Uint8Array): Signer {
  assert(seed.length === 32, "a seed has 32 bytes");
  const secret = seed.slice();
  return {
    publicKey: bytesToHex(getPublicKey(secret)),
    sign: (message) => sign(message, secret),
  };
}

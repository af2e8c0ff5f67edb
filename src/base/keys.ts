/**
 * What the node needs of Ed25519. Exactly one acceptance set of signatures exists (D6); every
 * implementation of `Verifier` is tested against the same table of edge vectors.
 */

/** An Ed25519 public key as 64 lowercase hexadecimal digits. */
export type PublicKey = string;

/** Bytes of an Ed25519 signature. */
export const signatureBytes = 64;

/** Verifies signatures. Never throws, whatever the bytes are. */
export interface Verifier {
  verify(message: Uint8Array, signature: Uint8Array, publicKey: PublicKey): boolean;
}

/** Signs with one private key, which it never gives away. */
export interface Signer {
  readonly publicKey: PublicKey;
  /** @returns The 64 bytes of the deterministic signature of RFC 8032. */
  sign(message: Uint8Array): Uint8Array;
}

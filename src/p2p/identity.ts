/**
 * The peer id of a member is its `peerKey`: libp2p writes the Ed25519 public key into the id, so
 * both can be had from each other without a table. It does not read key files.
 */
import "./polyfill.ts";
import { generateKeyPairFromSeed, publicKeyFromRaw } from "@libp2p/crypto/keys";
import type { PeerId, PrivateKey } from "@libp2p/interface";
import { peerIdFromPublicKey } from "@libp2p/peer-id";
import { bytesToHex, hexToBytes } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { hash32Pattern } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";

const seedBytes = 32;

/**
 * Returns the private key that libp2p proves in its handshake.
 *
 * @param seed - The 32 bytes an Ed25519 key is made from (RFC 8032).
 * @throws {LedgerError} KEY_INVALID when there are not 32 bytes.
 */
export async function privateKeyOf(seed: Uint8Array): Promise<PrivateKey> {
  if (seed.length !== seedBytes) {
    throw new LedgerError("KEY_INVALID", { key: "peerSeed", reason: "is not 32 bytes" });
  }
  return generateKeyPairFromSeed("Ed25519", seed);
}

/**
 * Returns the peer id of a peer key.
 *
 * @throws {LedgerError} KEY_INVALID when the text is no Ed25519 public key.
 */
export function peerIdOf(peerKey: PublicKey): PeerId {
  if (!hash32Pattern.test(peerKey)) {
    throw new LedgerError("KEY_INVALID", {
      key: peerKey,
      reason: "is not 64 lowercase hex digits",
    });
  }
  try {
    return peerIdFromPublicKey(publicKeyFromRaw(hexToBytes(peerKey)));
  } catch (cause) {
    const facts = { key: peerKey, reason: "is not an Ed25519 public key" };
    throw new LedgerError("KEY_INVALID", facts, { cause });
  }
}

/** Returns the peer key of a peer id, or undefined when its key is not Ed25519. */
export function peerKeyOf(peerId: PeerId): PublicKey | undefined {
  return peerId.type === "Ed25519" ? bytesToHex(peerId.publicKey.raw) : undefined;
}

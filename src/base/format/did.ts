/**
 * `did:key` identities of Ed25519 public keys (D18): "did:key:z" followed by base58btc of the
 * multicodec prefix ed01 and the 32 bytes. Source: W3C CCG, The did:key Method v0.7, section 3.
 */
import { bytesToHex, hexToBytes } from "../bytes.ts";
import { LedgerError } from "../errors.ts";
import { hash32Pattern } from "../hash.ts";
import type { PublicKey } from "../keys.ts";

const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const prefix = "did:key:z";
/** Every Ed25519 did:key has this many base58 digits, because the prefix ed01 leads. */
const digitsCount = 47;

/** An identity as text, such as `did:key:z6Mk...`. */
export type Did = string;

/** Returns the did:key of a public key. */
export function didOf(publicKey: PublicKey): Did {
  if (!hash32Pattern.test(publicKey))
    throw new LedgerError("KEY_INVALID", { key: publicKey, reason: "expected 64 hex digits" });
  let value = BigInt(`0xed01${publicKey}`);
  let digits = "";
  while (value > 0n) {
    digits = alphabet[Number(value % 58n)] + digits;
    value /= 58n;
  }
  return prefix + digits;
}

/**
 * Returns the public key of a did:key.
 *
 * @throws {LedgerError} KEY_INVALID when the text is not the canonical did:key of an Ed25519 key.
 */
export function publicKeyOf(did: Did): PublicKey {
  const invalid = (reason: string) =>
    new LedgerError("KEY_INVALID", { key: did.slice(0, 80), reason });
  if (!did.startsWith(prefix)) throw invalid(`expected ${prefix}...`);
  const digits = did.slice(prefix.length);
  if (digits.length !== digitsCount) throw invalid(`expected ${digitsCount} base58 digits`);
  let value = 0n;
  for (const digit of digits) {
    const index = alphabet.indexOf(digit);
    if (index < 0) throw invalid("a character is not base58");
    value = value * 58n + BigInt(index);
  }
  const hex = value.toString(16);
  if (hex.length !== 68 || !hex.startsWith("ed01")) throw invalid("not an Ed25519 key");
  return bytesToHex(hexToBytes(hex).subarray(2));
}

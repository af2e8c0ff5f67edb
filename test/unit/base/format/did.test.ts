/** did:key: known pairs, and one text per key. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLedgerError } from "../../../../src/base/errors.ts";
import { didOf, publicKeyOf } from "../../../../src/base/format/did.ts";
import { seedOf } from "../../../helpers/seed.ts";

/** The key of RFC 8032 test 1, and the bounds. */
const pairs = [
  [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
  ],
] as const;

function isRefused(action: () => unknown): boolean {
  try {
    action();
    return false;
  } catch (error) {
    return isLedgerError(error, "KEY_INVALID");
  }
}

describe("did:key", () => {
  it.each(pairs)("of %s is %s", (publicKey, did) => {
    expect(didOf(publicKey)).toBe(did);
    expect(publicKeyOf(did)).toBe(publicKey);
  });

  it("is found back for every key", () => {
    const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(key, (bytes) => {
        const publicKey = Buffer.from(bytes).toString("hex");
        const did = didOf(publicKey);
        expect(did).toMatch(/^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$/);
        expect(publicKeyOf(did)).toBe(publicKey);
      }),
      { seed: seedOf(18), numRuns: 500 },
    );
  });

  it("has one text per key: any other text is refused or another key", () => {
    const [[publicKey, did]] = pairs;
    const character = fc.constantFrom(
      ..."123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl ",
    );
    fc.assert(
      fc.property(fc.nat(did.length - 1), character, (at, letter) => {
        const other = did.slice(0, at) + letter + did.slice(at + 1);
        if (other === did || isRefused(() => publicKeyOf(other))) return;
        expect(publicKeyOf(other)).not.toBe(publicKey);
        expect(didOf(publicKeyOf(other))).toBe(other);
      }),
      { seed: seedOf(18), numRuns: 1_000 },
    );
  });

  it.each([
    "",
    "did:key:",
    "did:key:z",
    "did:web:example.org",
    "did:key:z1",
    // The same key with a leading zero digit, a line break, other case, other base.
    `did:key:z1${pairs[0][1].slice(9)}`,
    `${pairs[0][1]}\n`,
    pairs[0][1].toUpperCase(),
    pairs[0][1].replace("did:key:z", "did:key:m"),
    // X25519 and secp256k1 keys.
    "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
    "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
  ])("refuses %j", (text) => {
    expect(isRefused(() => publicKeyOf(text))).toBe(true);
  });

  it.each(["", "00", "D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A"])(
    "is not made from %j",
    (text) => {
      expect(isRefused(() => didOf(text))).toBe(true);
    },
  );
});

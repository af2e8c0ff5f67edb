/**
 * One acceptance set (D6): every verifier gives the stated verdict on every edge vector, and all
 * agree on mutated signatures. The table is test/golden/ed25519-edge.json; BLESS=1 makes it
 * anew with test/helpers/ed25519-vectors.ts, and check_formats.py verifies it in Python.
 *
 * Shown able to fail: portable verifier with the cofactor, without rule 4, without S < L.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hexToBytes, utf8 } from "../../../src/base/bytes.ts";
import { isLedgerError } from "../../../src/base/errors.ts";
import type { Verifier } from "../../../src/base/keys.ts";
import { portableSigner } from "../../../src/base/signer.ts";
import { checkPublicKey, portableVerifier } from "../../../src/base/verifier.ts";
import { nativeSigner, nativeVerifier } from "../../../src/node/native-crypto.ts";
import {
  type EdgeKey,
  type EdgeVector,
  edgeKeys,
  edgeVectors,
} from "../../helpers/ed25519-vectors.ts";
import { seedOf } from "../../helpers/seed.ts";

const goldenFile = fileURLToPath(new URL("../../golden/ed25519-edge.json", import.meta.url));
if (process.env.BLESS === "1") {
  const golden = { keys: edgeKeys(), signatures: edgeVectors() };
  writeFileSync(goldenFile, `${JSON.stringify(golden, undefined, 2)}\n`);
}
const table = JSON.parse(readFileSync(goldenFile, "utf8")) as {
  readonly keys: readonly EdgeKey[];
  readonly signatures: readonly EdgeVector[];
};

const verifiers: readonly [string, Verifier][] = [
  ["portable", portableVerifier],
  ["native", nativeVerifier],
];

/** RFC 8032, 7.1: tests 1 to 3 and SHA(abc). */
const knownAnswers = [
  {
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature:
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature:
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature:
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
  {
    seed: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    publicKey: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    message:
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    signature:
      "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
  },
] as const;

function verdict(verifier: Verifier, { message, signature, publicKey }: EdgeVector): boolean {
  return verifier.verify(hexToBytes(message), hexToBytes(signature), publicKey);
}

describe("the table of edge vectors", () => {
  it("is what its generator makes", () => {
    expect(table).toEqual({ keys: edgeKeys(), signatures: edgeVectors() });
  });

  it.each(verifiers)("gets the stated verdicts from the %s verifier", (_, verifier) => {
    const actual = table.signatures.map((row) => ({ ...row, valid: verdict(verifier, row) }));
    expect(actual).toEqual(table.signatures);
  });

  it("gets the stated answers of checkPublicKey", () => {
    const enrolled = (publicKey: string) => {
      try {
        checkPublicKey(publicKey);
        return true;
      } catch (error) {
        if (isLedgerError(error, "KEY_INVALID")) return false;
        throw error;
      }
    };
    const actual = table.keys.map((row) => ({ ...row, enrolled: enrolled(row.publicKey) }));
    expect(actual).toEqual(table.keys);
    expect(enrolled("")).toBe(false);
    expect(enrolled((table.keys[0] as EdgeKey).publicKey.toUpperCase())).toBe(false);
  });
});

describe("verifiers and signers", () => {
  it.each(knownAnswers)("give the answers of RFC 8032 for message $message", (known) => {
    const message = hexToBytes(known.message);
    for (const makeSigner of [portableSigner, nativeSigner]) {
      const signer = makeSigner(hexToBytes(known.seed));
      expect(signer.publicKey).toBe(known.publicKey);
      expect(signer.sign(message)).toEqual(hexToBytes(known.signature));
    }
    for (const [, verifier] of verifiers)
      expect(verifier.verify(message, hexToBytes(known.signature), known.publicKey)).toBe(true);
  });

  it("agree on signatures with random changes, of which most are refused", () => {
    const signer = nativeSigner(new Uint8Array(32).fill(7));
    const edges = table.signatures.filter(({ signature }) => signature.length === 128);
    const mutation = fc.record({
      row: fc.nat(edges.length),
      bits: fc.array(fc.nat(96 * 8 - 1), { maxLength: 2 }),
      tail: fc.constantFrom("", "x"),
    });
    let accepted = 0;
    fc.assert(
      fc.property(mutation, ({ row, bits, tail }) => {
        const edge = edges[row];
        const message = edge === undefined ? utf8("m") : hexToBytes(edge.message);
        const signature = edge === undefined ? signer.sign(message) : hexToBytes(edge.signature);
        const key = hexToBytes(edge?.publicKey ?? signer.publicKey);
        for (const bit of bits) {
          const target = bit < 512 ? signature : key;
          const byte = (bit >> 3) % 64;
          target[byte] = (target[byte] as number) ^ (1 << (bit & 7));
        }
        const changed = Uint8Array.from([...message, ...utf8(tail)]);
        const publicKey = Buffer.from(key).toString("hex");
        const [portable, native] = verifiers.map(([, verifier]) =>
          verifier.verify(changed, signature, publicKey),
        );
        expect(portable).toBe(native);
        if (native) accepted += 1;
      }),
      { seed: seedOf(8032), numRuns: 250 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  it("never throw, whatever the key text is", () => {
    for (const [, verifier] of verifiers)
      for (const key of ["", "zz", "0".repeat(63), "g".repeat(64), "0".repeat(128)])
        expect(verifier.verify(utf8(""), new Uint8Array(64), key)).toBe(false);
  });
});

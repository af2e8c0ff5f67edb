/**
 * Certificates: distinct signers, a quorum of one round, of this height, block and chain.
 *
 * Shown able to fail: `<` instead of `<=` for the order of signers; 2f + 1 as quorum.
 */
import { describe, expect, it } from "vitest";
import { blockOf, type Header, validatorsHash } from "../../../../src/base/format/block.ts";
import { type Certificate, claimMessage } from "../../../../src/base/format/message.ts";
import { zeroHash } from "../../../../src/base/hash.ts";
import type { Signer } from "../../../../src/base/keys.ts";
import {
  faultyMax,
  quorumSize,
  verifyCertificate,
} from "../../../../src/base/proof/certificate.ts";
import { nativeSigner, nativeVerifier } from "../../../../src/node/native-crypto.ts";

const chainId = "cc".repeat(32);
const signers = Array.from({ length: 7 }, (_, index) =>
  nativeSigner(new Uint8Array(32).fill(index)),
).sort((left, right) => (left.publicKey < right.publicKey ? -1 : 1));

function headerFor(validators: readonly Signer[], change: Partial<Header> = {}): Header {
  const setHash = validatorsHash(validators.map(({ publicKey }) => publicKey));
  return {
    chainId,
    height: 5,
    parentHash: zeroHash,
    timestampMs: 1,
    proposer: zeroHash,
    transactionsRoot: zeroHash,
    receiptsRoot: zeroHash,
    stateRoot: zeroHash,
    validatorsHash: setHash,
    nextValidatorsHash: setHash,
    gasUsed: 0,
    ...change,
  };
}

/** Signs for a header, by default honestly; `vote` changes what is signed. */
function certify(
  header: Header,
  validators: readonly Signer[],
  options: {
    readonly indexes?: readonly number[];
    readonly vote?: object;
    readonly chain?: string;
  } = {},
): Certificate {
  const { hash } = blockOf(header, []);
  const place = { height: header.height, round: 1, blockHash: hash };
  const vote = { kind: "commit", ...place, ...options.vote } as const;
  const message = claimMessage(vote, options.chain ?? chainId);
  const indexes = options.indexes ?? validators.map((_, index) => index);
  const signatures = indexes.map((validatorIndex) => ({
    validatorIndex,
    signature: (validators[validatorIndex] ?? (validators[0] as Signer)).sign(message),
  }));
  return { ...place, signatures };
}

/** Returns the reason for which a certificate is refused, or undefined. */
function refusal(certificate: Certificate, header: Header, validators: readonly Signer[]) {
  const context = {
    chainId,
    validators: validators.map(({ publicKey }) => publicKey),
    verifier: nativeVerifier,
  };
  try {
    verifyCertificate(certificate, header, context);
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: "CERTIFICATE_INVALID" });
    return (error as { facts: { reason: string } }).facts.reason;
  }
}

describe("quorum arithmetic", () => {
  it("holds for 1 to 200 validators", () => {
    for (let count = 1; count <= 200; count += 1) {
      const faulty = faultyMax(count);
      const quorum = quorumSize(count);
      expect(3 * faulty).toBeLessThan(count);
      expect(3 * (faulty + 1)).toBeGreaterThanOrEqual(count);
      // Two quorums share an honest validator, and the honest alone are a quorum.
      expect(2 * quorum - count).toBeGreaterThan(faulty);
      expect(quorum).toBeLessThanOrEqual(count - faulty);
      // It is the least such number.
      expect(2 * (quorum - 1) - count).toBeLessThanOrEqual(faulty);
    }
    expect([1, 2, 3, 4, 5, 6, 7, 10].map(quorumSize)).toEqual([1, 2, 2, 3, 4, 4, 5, 7]);
  });

  it("is not defined for no validators", () => {
    for (const count of [0, -1, 1.5, Number.NaN])
      expect(() => quorumSize(count)).toThrow("broken invariant");
  });
});

describe("a certificate", () => {
  it.each([1, 2, 3, 4, 5, 6, 7])("of a quorum of %i holds, of one less does not", (count) => {
    const validators = signers.slice(0, count);
    const header = headerFor(validators);
    const quorum = [...validators.keys()].slice(count - quorumSize(count));
    expect(
      refusal(certify(header, validators, { indexes: quorum }), header, validators),
    ).toBeUndefined();
    const fewer = certify(header, validators, { indexes: quorum.slice(1) });
    expect(refusal(fewer, header, validators)).toBe("too few signatures");
  });

  const four = signers.slice(0, 4);
  const header = headerFor(four);
  const good = certify(header, four);
  const { hash } = blockOf(header, []);

  it.each<[string, Certificate]>([
    ["a signer twice", certify(header, four, { indexes: [0, 1, 1] })],
    ["signers out of order", certify(header, four, { indexes: [0, 2, 1] })],
    ["a signer outside of the validators", certify(header, four, { indexes: [0, 1, 4] })],
  ])("with %s is refused", (_, certificate) => {
    expect(refusal(certificate, header, four)).toBe("a signer is out of order");
  });

  it.each<[string, Certificate]>([
    ["another round", certify(header, four, { vote: { round: 2 } })],
    ["another height", certify(header, four, { vote: { height: 6 } })],
    ["another block", certify(header, four, { vote: { blockHash: zeroHash } })],
    ["another chain", certify(header, four, { chain: zeroHash })],
    ["a prepare", certify(header, four, { vote: { kind: "prepare" } })],
    ["a proposal", certify(header, four, { vote: { kind: "proposal" } })],
    ["another round than it says", { ...good, round: 2 }],
    [
      "the signature of another validator",
      {
        ...good,
        signatures: good.signatures.map((one, index) => ({
          ...one,
          signature: (good.signatures[(index + 1) % 4] as typeof one).signature,
        })),
      },
    ],
    [
      "one bad signature beyond the quorum",
      {
        ...good,
        signatures: [
          ...good.signatures.slice(0, 3),
          { validatorIndex: 3, signature: new Uint8Array(64) },
        ],
      },
    ],
  ])("with signatures for %s is refused", (_, certificate) => {
    expect(refusal(certificate, header, four)).toMatch(
      /^the signature of validator \d does not hold$/,
    );
  });

  it("for another header is refused", () => {
    expect(refusal({ ...good, height: 6 }, header, four)).toBe("it is for another height");
    expect(refusal({ ...good, blockHash: zeroHash }, header, four)).toBe("it is for another block");
    const changed = headerFor(four, { timestampMs: 2 });
    expect(refusal(good, changed, four)).toBe("it is for another block");
    const foreign = headerFor(four, { chainId: zeroHash });
    expect(refusal(certify(foreign, four), foreign, four)).toBe("the header is of another chain");
    expect(hash).toBe(good.blockHash);
  });

  it("of validators that the header does not name is refused", () => {
    const others = signers.slice(3, 7);
    expect(refusal(certify(header, others), header, others)).toBe("other validators");
    const unsorted = four.toReversed();
    expect(refusal(certify(header, unsorted), header, unsorted)).toBe("other validators");
  });
});

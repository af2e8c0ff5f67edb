/**
 * Quorum arithmetic and verification of certificates. Both consensus and every offline verifier
 * stand on this file, so it knows neither state nor network.
 */
import { assert } from "../assert.ts";
import { LedgerError } from "../errors.ts";
import type { Header } from "../format/block.ts";
import { headerHash, validatorsHash } from "../format/block.ts";
import { type Certificate, claimMessage } from "../format/message.ts";
import type { Hash } from "../hash.ts";
import type { PublicKey, Verifier } from "../keys.ts";

/**
 * Returns how many validators may be faulty: `floor((validatorCount - 1) / 3)`.
 *
 * @param validatorCount - At least 1.
 */
export function faultyMax(validatorCount: number): number {
  assert(Number.isSafeInteger(validatorCount), "validatorCount is an integer");
  assert(validatorCount >= 1, "validatorCount is at least 1");
  return Math.floor((validatorCount - 1) / 3);
}

/**
 * Returns how many votes make a quorum: `floor((n + f) / 2) + 1`. Any two quorums share at least
 * `f + 1` validators, so at least one honest one; `2f + 1` would not do for n other than 3f + 1.
 *
 * @example
 * quorumSize(4); // 3
 */
export function quorumSize(validatorCount: number): number {
  return Math.floor((validatorCount + faultyMax(validatorCount)) / 2) + 1;
}

/** What a certificate is checked against. */
export type CertificateContext = {
  readonly chainId: Hash;
  /** Validators of the certified height, sorted ascending. */
  readonly validators: readonly PublicKey[];
  readonly verifier: Verifier;
};

/**
 * Checks that a quorum of the validators of the header's height committed it in one round.
 *
 * @throws {LedgerError} CERTIFICATE_INVALID with the reason.
 */
export function verifyCertificate(
  certificate: Certificate,
  header: Header,
  context: CertificateContext,
): void {
  const { chainId, validators, verifier } = context;
  const { height, round, signatures } = certificate;
  const fail = (reason: string): never => {
    throw new LedgerError("CERTIFICATE_INVALID", { height, reason });
  };
  if (height !== header.height) fail("it is for another height");
  if (header.chainId !== chainId) fail("the header is of another chain");
  if (certificate.blockHash !== headerHash(header)) fail("it is for another block");
  if (header.validatorsHash !== validatorsHash(validators)) fail("other validators");
  // Strictly ascending indexes make the signers distinct: a signer counted twice is no quorum.
  let before = -1;
  const vote = { kind: "commit", height, round, blockHash: certificate.blockHash } as const;
  const message = claimMessage(vote, chainId);
  for (const { validatorIndex, signature } of signatures) {
    const validator = validators[validatorIndex];
    if (validatorIndex <= before || validator === undefined) fail("a signer is out of order");
    before = validatorIndex;
    if (!verifier.verify(message, signature, validator as PublicKey))
      fail(`the signature of validator ${validatorIndex} does not hold`);
  }
  if (signatures.length < quorumSize(validators.length)) fail("too few signatures");
}

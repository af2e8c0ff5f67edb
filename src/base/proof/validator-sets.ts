/**
 * Who was allowed to sign at which height: the validators of the genesis, and each later set once
 * a certified header of the former set named it. Runs in a browser.
 *
 * Invariants:
 *
 * (1) A set is here only if a quorum of the set before certified the block that made it.
 * (2) What is known never changes: a second history after the same block is refused.
 *
 * Whoever leaves out a change gains nothing for later heights, as their headers commit to another
 * set. But who holds keys of a quorum of a former set can go on signing in its name: only a
 * checkpoint, or having followed the later sets, excludes that.
 */
import { hexToBytes } from "../bytes.ts";
import { LedgerError } from "../errors.ts";
import { decodeHeader, type Header, validatorsHash } from "../format/block.ts";
import { publicKeyOf } from "../format/did.ts";
import { type Certificate, decodeCertificate } from "../format/message.ts";
import type { SetChange } from "../format/set-change.ts";
import type { Hash } from "../hash.ts";
import type { PublicKey, Verifier } from "../keys.ts";
import { verifyCertificate } from "./certificate.ts";

/** A certified block after which the validators changed. */
export type CertifiedChange = {
  readonly header: Header;
  /** Of a quorum of the validators of that height. */
  readonly certificate: Certificate;
  /** Validators of the next height, sorted ascending. */
  readonly validators: readonly PublicKey[];
};

type ValidatorSet = {
  /** First height of the set. */
  readonly from: number;
  /** Sorted ascending. */
  readonly validators: readonly PublicKey[];
};

/** The validator sets of one chain, as far as they are proven. */
export class ValidatorSets {
  readonly #chainId: Hash;
  readonly #verifier: Verifier;
  readonly #sets: ValidatorSet[];

  /** @param genesis - What the genesis file says; it is trusted. */
  constructor(
    genesis: { readonly chainId: Hash; readonly validators: readonly PublicKey[] },
    verifier: Verifier,
  ) {
    this.#chainId = genesis.chainId;
    this.#verifier = verifier;
    this.#sets = [{ from: 1, validators: genesis.validators }];
  }

  /** First height of the last set that is known. */
  get lastFrom(): number {
    return this.#last.from;
  }

  /** Returns the validators of a height, sorted ascending, as far as changes are known here. */
  at(height: number): readonly PublicKey[] {
    return (this.#sets.findLast(({ from }) => from <= height) ?? this.#first).validators;
  }

  /**
   * Follows changes, ascending by height. Those that are known already change nothing.
   *
   * @returns How many were news.
   * @throws {LedgerError} CERTIFICATE_INVALID, CODEC_INVALID or KEY_INVALID; what came before
   *   the bad one stays.
   */
  follow(changes: readonly SetChange[]): number {
    return changes.filter((change) => this.followOne(decodeChange(change))).length;
  }

  /**
   * Follows one change, as `follow` does.
   *
   * @returns Whether it was news.
   * @throws {LedgerError} CERTIFICATE_INVALID; then nothing is different.
   */
  followOne({ header, certificate, validators }: CertifiedChange): boolean {
    const { height } = header;
    const signers = this.at(height);
    const context = { chainId: this.#chainId, validators: signers, verifier: this.#verifier };
    verifyCertificate(certificate, header, context);
    checkNext(header, validators);
    if (height < this.lastFrom) return this.#checkKnown(header);
    this.#sets.push({ from: height + 1, validators });
    return true;
  }

  #checkKnown({ height, nextValidatorsHash }: Header): false {
    const known = this.#sets.find(({ from }) => from === height + 1);
    if (known === undefined || validatorsHash(known.validators) !== nextValidatorsHash)
      throw invalid(height, "another change is known after this height");
    return false;
  }

  get #first(): ValidatorSet {
    return this.#sets[0] as ValidatorSet;
  }

  get #last(): ValidatorSet {
    return this.#sets.at(-1) as ValidatorSet;
  }
}

function decodeChange({ header, certificate, validators }: SetChange): CertifiedChange {
  return {
    header: decodeHeader(hexToBytes(header)),
    certificate: decodeCertificate(hexToBytes(certificate)),
    validators: validators.map(publicKeyOf),
  };
}

function checkNext(header: Header, validators: readonly PublicKey[]): void {
  const { height, nextValidatorsHash } = header;
  // Only a quorum of a former set can say so: nobody is left to certify anything.
  if (validators.length === 0) throw invalid(height, "it leaves no validator");
  if (nextValidatorsHash === header.validatorsHash) throw invalid(height, "it changes no set");
  if (nextValidatorsHash !== validatorsHash(validators))
    throw invalid(height, "the header names other next validators");
}

function invalid(height: number, reason: string): LedgerError<"CERTIFICATE_INVALID"> {
  return new LedgerError("CERTIFICATE_INVALID", { height, reason });
}

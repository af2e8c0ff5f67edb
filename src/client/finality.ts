/**
 * Verifies that what a node calls final is final, trusting nothing but the genesis: a quorum of its
 * validators signed the header, the header commits to the transaction and to its receipt.
 *
 * Runs in a browser. It does not judge the outcome: a final transaction may have failed, and its
 * receipt then proves that. Validators are those of the genesis and every later set that `sets` has
 * followed; the client asks for proof of the changes when a header names a set it does not know.
 */
import { equalBytes, hexToBytes } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { decodeHeader, type Header, headerHash } from "../base/format/block.ts";
import { type Genesis, genesisBlock } from "../base/format/genesis.ts";
import { type Certificate, decodeCertificate } from "../base/format/message.ts";
import { decodeReceipt, type Receipt } from "../base/format/receipt.ts";
import { decodeTransaction, type Transaction } from "../base/format/transaction.ts";
import { type Hash, valueHashOf, zeroHash } from "../base/hash.ts";
import type { Verifier } from "../base/keys.ts";
import { verifyCertificate } from "../base/proof/certificate.ts";
import { verifyMerklePath } from "../base/proof/merkle.ts";
import { verifyAbsence, verifyInclusion } from "../base/proof/state-proof.ts";
import { ValidatorSets } from "../base/proof/validator-sets.ts";
import { FinalityProof, type StateValue } from "./schemas.ts";

/** What a client trusts: it comes from the genesis file, never from a node. */
export type Trust = {
  readonly chainId: Hash;
  /** Validators by height, from the genesis on; grows as changes are proven. */
  readonly sets: ValidatorSets;
  readonly verifier: Verifier;
};

/** A transaction that is proven final, with its proven receipt. */
export type FinalTransaction = {
  readonly transaction: Transaction;
  readonly receipt: Receipt;
  readonly header: Header;
  readonly certificate: Certificate;
  /** Position in the block as claimed: a path proves membership, not the place. */
  readonly index: number;
};

/** Takes from a genesis what a client trusts. */
export function trustOf(genesis: Genesis, verifier: Verifier): Trust {
  const block = genesisBlock(genesis);
  return { chainId: block.chainId, sets: new ValidatorSets(block, verifier), verifier };
}

/**
 * Verifies the proof of a final transaction.
 *
 * @param expected - Id, or the exact signed bytes, of the transaction that was asked for; give the
 *   bytes where they are known.
 * @throws {LedgerError} CLIENT_PROOF_INVALID with the first reason found.
 */
export function verifyFinal(
  proof: FinalityProof,
  trust: Trust,
  expected: Hash | Uint8Array,
): FinalTransaction {
  const subject = typeof expected === "string" ? expected : "the transaction sent";
  return proven(subject, (fail) => {
    // A proof may come from a file or a table as well as from the client, which checks the form.
    const form = FinalityProof.safeParse(proof);
    if (!form.success) return fail(`no proof: ${form.error.issues[0]?.path.join(".")}`);
    const bytes = hexToBytes(proof.transaction);
    const transaction = decodeTransaction(bytes);
    const receiptBytes = hexToBytes(proof.receipt);
    const receipt = decodeReceipt(receiptBytes);
    const header = decodeHeader(hexToBytes(proof.header));
    const certificate = decodeCertificate(hexToBytes(proof.certificate));
    const isExpected =
      typeof expected === "string" ? transaction.id === expected : equalBytes(bytes, expected);
    if (!isExpected) fail("it is for another transaction");
    if (receipt.transactionId !== transaction.id) fail("the receipt is of another transaction");
    const { index, size } = proof;
    const isIn = (leaf: Uint8Array, path: readonly Hash[], root: Hash) =>
      verifyMerklePath({ leaf, index, size, path, root });
    if (!isIn(bytes, proof.transactionPath, header.transactionsRoot))
      fail("the path does not lead from the transaction to the header");
    if (!isIn(receiptBytes, proof.receiptPath, header.receiptsRoot))
      fail("the path does not lead from the receipt to the header");
    checkCertificate(certificate, header, trust);
    return { transaction, receipt, header, certificate, index };
  });
}

/** A state value that is proven, with the certified header of the height it was held at. */
export type ProvenState = {
  readonly key: string;
  /** Exact text; `undefined` = proven absent. */
  readonly text: string | undefined;
  readonly header: Header;
};

/**
 * Verifies a state value, or its absence, that was asked for with its proof.
 *
 * @throws {LedgerError} CLIENT_PROOF_INVALID with the first reason found.
 */
export function verifyState(answer: StateValue, trust: Trust, key: string): ProvenState {
  return proven(key, (fail) => {
    const { proof, text } = answer;
    if (proof === undefined) return fail("the answer holds no proof");
    const header = decodeHeader(hexToBytes(proof.header));
    checkHeader(header, proof.certificate, { trust, fail });
    if (header.height !== answer.height) fail("the header is of another height");
    const { inclusion, absence } = proof;
    const isShown =
      text === null
        ? absence !== undefined && verifyAbsence(absence, key, header.stateRoot)
        : inclusion !== undefined &&
          verifyInclusion(inclusion, { key, valueHash: valueHashOf(text) }, header.stateRoot);
    if (!isShown) fail("the path does not lead to the state root of the header");
    return { key, text: text ?? undefined, header };
  });
}

type Fail = (reason: string) => never;

/** The genesis header needs no certificate: the chain id is its hash. */
function checkHeader(
  header: Header,
  certificate: string | null,
  { trust, fail }: { readonly trust: Trust; readonly fail: Fail },
): void {
  if (header.height === 0 && header.chainId === zeroHash) {
    if (headerHash(header) !== trust.chainId) fail("the genesis is of another chain");
    return;
  }
  const bytes = certificate ?? fail("the header has no certificate");
  checkCertificate(decodeCertificate(hexToBytes(bytes)), header, trust);
}

function checkCertificate(certificate: Certificate, header: Header, trust: Trust): void {
  const { chainId, sets, verifier } = trust;
  const validators = sets.at(header.height);
  verifyCertificate(certificate, header, { chainId, validators, verifier });
}

/** Runs checks on untrusted bytes; whatever they throw becomes one code. */
function proven<T>(subject: string, checks: (fail: Fail) => T): T {
  const invalid = (reason: string, cause?: unknown) =>
    new LedgerError("CLIENT_PROOF_INVALID", { subject, reason }, { cause });
  try {
    return checks((reason) => {
      throw invalid(reason);
    });
  } catch (error) {
    if (isLedgerError(error, "CLIENT_PROOF_INVALID") || !isLedgerError(error)) throw error;
    throw invalid(String(error.facts.reason ?? error.message), error);
  }
}

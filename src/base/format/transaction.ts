/**
 * Transaction: a signed request to call one method of one contract.
 *
 * Body tuple: `[version, chainId, sender, nonce, expiresAtMs, contract, method, argsJson, gasLimit]`
 *
 * | # | field | type | meaning |
 * |---|---|---|---|
 * | 0 | version | integer | 0 |
 * | 1 | chainId | bin 32 | hash of the genesis header |
 * | 2 | sender | bin 32 | Ed25519 public key |
 * | 3 | nonce | integer | 1..2^53-1, unique per sender (replay window, D5) |
 * | 4 | expiresAtMs | integer | UTC milliseconds; no block at or after it may hold this |
 * | 5, 6 | contract, method | text | names: `[a-z][a-zA-Z0-9-]*`, 1..64 |
 * | 7 | argsJson | text | JSON of D10 in RFC 8785 form |
 * | 8 | gasLimit | integer | 1..call maximum |
 *
 * Signed bytes: `[bin body, bin 64 signature]`, the signature over `tag || 0 || body`.
 * Id: SHA-256 of `tag || 0 || body`. `transactionsRoot` commits to the signed bytes (D7).
 */

import { hexToBytes } from "../bytes.ts";
import { LedgerError } from "../errors.ts";
import { type Hash, hashOf, tagged, tags } from "../hash.ts";
import { type PublicKey, type Signer, signatureBytes, type Verifier } from "../keys.ts";
import { limits } from "../limits.ts";
import { encode } from "./codec.ts";
import { canonicalJson } from "./json.ts";
import { invalid, TupleReader } from "./tuple.ts";

/** What the sender asks for. */
export type TransactionBody = {
  readonly chainId: Hash;
  readonly sender: PublicKey;
  readonly nonce: number;
  readonly expiresAtMs: number;
  readonly contract: string;
  readonly method: string;
  readonly argsJson: string;
  readonly gasLimit: number;
};

/** A decoded transaction. Decoding checks the form, not the signature. */
export type Transaction = TransactionBody & {
  readonly id: Hash;
  /** The message that is signed. */
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  /** The signed bytes as sent, gossiped and stored. */
  readonly bytes: Uint8Array;
};

const version = 0;

/** Form of contract and method names. */
export const namePattern = /^[a-z][a-zA-Z0-9-]{0,63}$/;

/** Signs a body. `body.argsJson` is brought to its canonical form first. */
export function signTransaction(
  body: Omit<TransactionBody, "sender">,
  signer: Signer,
): Transaction {
  const argsJson = canonicalJson(body.argsJson);
  const bodyBytes = encodeBody({ ...body, argsJson, sender: signer.publicKey });
  const signature = signer.sign(tagged(tags.transaction, bodyBytes));
  return decodeTransaction(encode([bodyBytes, signature]));
}

/**
 * Decodes signed transaction bytes and checks everything that needs no state but the signature.
 *
 * @throws {LedgerError} CODEC_INVALID, JSON_INVALID or TRANSACTION_TOO_LARGE.
 */
export function decodeTransaction(bytes: Uint8Array): Transaction {
  if (bytes.length > limits.transactionBytesMax)
    throw new LedgerError("TRANSACTION_TOO_LARGE", {
      bytes: bytes.length,
      bytesMax: limits.transactionBytesMax,
    });
  const outer = TupleReader.decode(bytes, "transaction");
  const bodyBytes = outer.bytes("body");
  const signature = outer.bytes("signature", signatureBytes);
  outer.end();
  const body = decodeBody(bodyBytes);
  const message = tagged(tags.transaction, bodyBytes);
  return { ...body, id: hashOf(message), message, signature, bytes };
}

/** Tells whether the sender signed the transaction. */
export function verifyTransaction(transaction: Transaction, verifier: Verifier): boolean {
  return verifier.verify(transaction.message, transaction.signature, transaction.sender);
}

function encodeBody(body: TransactionBody): Uint8Array {
  return encode([
    version,
    hexToBytes(body.chainId),
    hexToBytes(body.sender),
    body.nonce,
    body.expiresAtMs,
    body.contract,
    body.method,
    body.argsJson,
    body.gasLimit,
  ]);
}

function decodeBody(bytes: Uint8Array): TransactionBody {
  const type = "transaction body";
  const reader = TupleReader.decode(bytes, type);
  if (reader.integer("version") !== version) throw invalid(type, "version", "expected 0");
  const body: TransactionBody = {
    chainId: reader.hash("chainId"),
    sender: reader.hash("sender"),
    nonce: reader.integer("nonce"),
    expiresAtMs: reader.integer("expiresAtMs"),
    contract: reader.text("contract"),
    method: reader.text("method"),
    argsJson: reader.text("argsJson"),
    gasLimit: reader.integer("gasLimit"),
  };
  reader.end();
  checkBody(body, type);
  return body;
}

function checkBody(body: TransactionBody, type: string): void {
  if (body.nonce < 1) throw invalid(type, "nonce", "expected at least 1");
  if (!namePattern.test(body.contract)) throw invalid(type, "contract", "not a name");
  if (!namePattern.test(body.method)) throw invalid(type, "method", "not a name");
  if (body.gasLimit < 1) throw invalid(type, "gasLimit", "expected at least 1");
  if (canonicalJson(body.argsJson) !== body.argsJson)
    throw invalid(type, "argsJson", "not in RFC 8785 form");
}

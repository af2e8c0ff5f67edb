/**
 * Header and block.
 *
 * Header tuple: `[version, chainId, height, parentHash, timestampMs, proposer, transactionsRoot,
 * receiptsRoot, stateRoot, validatorsHash, nextValidatorsHash, gasUsed]`
 *
 * | # | field | type | meaning |
 * |---|---|---|---|
 * | 0 | version | integer | 0 |
 * | 1 | chainId | bin 32 | 32 zero bytes in the genesis header, else the genesis hash |
 * | 2 | height | integer | 0 = genesis |
 * | 3 | parentHash | bin 32 | hash of the header before; zero in the genesis |
 * | 4 | timestampMs | integer | UTC milliseconds, above the parent's |
 * | 5 | proposer | bin 32 | validatorId of who first proposed the block; zero in the genesis |
 * | 6 | transactionsRoot | bin 32 | RFC 6962 tree over the signed transaction bytes |
 * | 7 | receiptsRoot | bin 32 | RFC 6962 tree over the receipt bytes |
 * | 8 | stateRoot | bin 32 | root of the state after this block |
 * | 9, 10 | validatorsHash, nextValidatorsHash | bin 32 | validators of this and the next height |
 * | 11 | gasUsed | integer | sum over the receipts |
 *
 * Hash: SHA-256 of `tag || 0 || header`. The round is not in it (D3).
 * Block tuple: `[bin header, [bin transaction, ...]]`, each transaction of at least 148 bytes.
 */
import { hexToBytes } from "../bytes.ts";
import { LedgerError } from "../errors.ts";
import { type Hash, hashOf, tagged, tags } from "../hash.ts";
import type { PublicKey } from "../keys.ts";
import { limits } from "../limits.ts";
import { encode } from "./codec.ts";
import { invalid, TupleReader } from "./tuple.ts";

/** What a certificate makes final. */
export type Header = {
  readonly chainId: Hash;
  readonly height: number;
  readonly parentHash: Hash;
  readonly timestampMs: number;
  readonly proposer: PublicKey;
  readonly transactionsRoot: Hash;
  readonly receiptsRoot: Hash;
  readonly stateRoot: Hash;
  readonly validatorsHash: Hash;
  readonly nextValidatorsHash: Hash;
  readonly gasUsed: number;
};

/** A header with the signed bytes of its transactions, in order. */
export type Block = {
  readonly header: Header;
  readonly hash: Hash;
  readonly transactions: readonly Uint8Array[];
};

const version = 0;

/** Encodes a header in its only encoding. */
export function encodeHeader(header: Header): Uint8Array {
  return encode([
    version,
    hexToBytes(header.chainId),
    header.height,
    hexToBytes(header.parentHash),
    header.timestampMs,
    hexToBytes(header.proposer),
    hexToBytes(header.transactionsRoot),
    hexToBytes(header.receiptsRoot),
    hexToBytes(header.stateRoot),
    hexToBytes(header.validatorsHash),
    hexToBytes(header.nextValidatorsHash),
    header.gasUsed,
  ]);
}

/** Decodes untrusted header bytes. @throws {LedgerError} CODEC_INVALID */
export function decodeHeader(bytes: Uint8Array): Header {
  const reader = TupleReader.decode(bytes, "header");
  if (reader.integer("version") !== version) throw invalid("header", "version", "expected 0");
  const header: Header = {
    chainId: reader.hash("chainId"),
    height: reader.integer("height"),
    parentHash: reader.hash("parentHash"),
    timestampMs: reader.integer("timestampMs"),
    proposer: reader.hash("proposer"),
    transactionsRoot: reader.hash("transactionsRoot"),
    receiptsRoot: reader.hash("receiptsRoot"),
    stateRoot: reader.hash("stateRoot"),
    validatorsHash: reader.hash("validatorsHash"),
    nextValidatorsHash: reader.hash("nextValidatorsHash"),
    gasUsed: reader.integer("gasUsed"),
  };
  reader.end();
  return header;
}

/** Returns the block hash, which is the hash of the header. */
export function headerHash(header: Header): Hash {
  return hashOf(tagged(tags.block, encodeHeader(header)));
}

/** Puts a block together. */
export function blockOf(header: Header, transactions: readonly Uint8Array[]): Block {
  return { header, hash: headerHash(header), transactions };
}

/** Encodes a block in its only encoding. */
export function encodeBlock(block: Block): Uint8Array {
  return encode([encodeHeader(block.header), block.transactions]);
}

/**
 * Decodes untrusted block bytes. Whether the transactions fit the header is for the validator of
 * the block: `transactionsRoot` is not checked here.
 *
 * @throws {LedgerError} CODEC_INVALID or BLOCK_TOO_LARGE.
 */
export function decodeBlock(bytes: Uint8Array): Block {
  if (bytes.length > limits.blockBytesMax)
    throw new LedgerError("BLOCK_TOO_LARGE", {
      bytes: bytes.length,
      bytesMax: limits.blockBytesMax,
    });
  const reader = TupleReader.decode(bytes, "block");
  const header = decodeHeader(reader.bytes("header"));
  const transactions = reader.list("transactions", limits.blockTransactionsMax, (value, type) => {
    if (!(value instanceof Uint8Array)) throw invalid(type, "", "expected bytes");
    // Else a few bytes could ask for thousands of hashes.
    if (value.length < limits.transactionBytesMin) throw invalid(type, "", "too short");
    return value;
  });
  reader.end();
  return blockOf(header, transactions);
}

/**
 * Returns the hash of a validator set.
 *
 * @param validators - Public keys, sorted ascending.
 */
export function validatorsHash(validators: readonly PublicKey[]): Hash {
  return hashOf(tagged(tags.validators, encode(validators.map((key) => hexToBytes(key)))));
}

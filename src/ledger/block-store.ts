/**
 * Append-only store of decided blocks: blocks, certificates, receipts and the transaction index.
 * It makes the writes of a block and reads what is stored; the batch itself, which also holds the
 * state, is the facade's (store.ts).
 *
 * Invariants:
 *
 * (1) Heights are dense: if block `h` is stored, so is every block below it down to the base
 *     (base-record.ts) or the genesis, with certificate (but the genesis) and receipts.
 * (2) A stored block is never rewritten or deleted, but by pruning up to the base (pruning.ts), and
 *     by a repair a block that is damaged or stands above one (repair.ts).
 * (3) The tip record names the greatest stored block, so the loss of the last one is noticed.
 */
import { hexToBytes } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { type Block, blockOf, decodeBlock, encodeBlock, headerHash } from "../base/format/block.ts";
import { decode, encode } from "../base/format/codec.ts";
import type { GenesisBlock } from "../base/format/genesis.ts";
import { type Certificate, decodeCertificate, encodeCertificate } from "../base/format/message.ts";
import { TupleReader } from "../base/format/tuple.ts";
import type { Hash } from "../base/hash.ts";
import { type KeptHeader, readKept } from "./base-record.ts";
import { type Database, keysOf, type Operation } from "./database.ts";
import {
  checkVersion,
  decodeRecord,
  familyRange,
  heightOfKey,
  isDamage,
  putRecord,
  recordKeys,
  recordVersion,
} from "./records.ts";

/** The tip record. */
export type TipRecord = { readonly chainId: Hash; readonly height: number; readonly hash: Hash };

/** Where a transaction is. */
export type TransactionPlace = { readonly height: number; readonly index: number };

/** A block as stored; the genesis has no certificate. */
export type StoredBlock = {
  readonly block: Block;
  readonly certificate: Certificate | undefined;
};

/** A header as stored, alone or with its block. */
export type StoredHeader = KeptHeader & { readonly hash: Hash };

/** Makes the writes that keep a block; for the genesis there is no certificate. */
export function blockOperations(block: Block, certificate: Certificate | undefined): Operation[] {
  const { height } = block.header;
  const operations = [putRecord(recordKeys.block(height), encodeBlock(block))];
  if (certificate !== undefined)
    operations.push(putRecord(recordKeys.certificate(height), encodeCertificate(certificate)));
  return operations;
}

/** Makes the writes of receipts and of the index of transactions. */
export function receiptOperations(
  height: number,
  receipts: readonly Uint8Array[],
  transactionIds: readonly Hash[],
): Operation[] {
  return [
    putRecord(recordKeys.receipts(height), encode(receipts)),
    ...transactionIds.map((id, index) =>
      putRecord(recordKeys.transaction(id), encode([height, index])),
    ),
  ];
}

/** Makes the write of the tip record. */
export function tipOperation({ chainId, height, hash }: TipRecord): Operation {
  const payload = encode([recordVersion, hexToBytes(chainId), height, hexToBytes(hash)]);
  return putRecord(recordKeys.tip, payload);
}

/** Returns the genesis as a block. */
export function blockOfGenesis(genesis: GenesisBlock): Block {
  return blockOf(genesis.header, []);
}

/** Decodes the payload of a receipts record. @throws {LedgerError} CODEC_INVALID */
export function decodeReceipts(payload: Uint8Array): Uint8Array[] {
  const value = decode(payload, "receipts record");
  if (Array.isArray(value) && value.every((receipt) => receipt instanceof Uint8Array)) return value;
  const facts = { type: "receipts record", path: "", reason: "expected a tuple of bytes" };
  throw new LedgerError("CODEC_INVALID", facts);
}

/** Decodes the payload of an index record. @throws {LedgerError} CODEC_INVALID */
export function decodePlace(payload: Uint8Array): TransactionPlace {
  const reader = TupleReader.decode(payload, "index record");
  const place = { height: reader.integer("height"), index: reader.integer("index") };
  reader.end();
  return place;
}

/** Reads blocks and what belongs to them. */
export class BlockStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Reads the tip record; `undefined` when there is none.
   *
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT, CODEC_INVALID or LEDGER_VERSION_UNKNOWN
   */
  async readTip(): Promise<TipRecord | undefined> {
    const payload = await this.#read(recordKeys.tip);
    if (payload === undefined) return undefined;
    const reader = TupleReader.decode(payload, "tip record");
    checkVersion(recordKeys.tip, reader.integer("version"));
    const chainId = reader.hash("chainId");
    const height = reader.integer("height");
    const hash = reader.hash("hash");
    reader.end();
    return { chainId, height, hash };
  }

  /**
   * Returns the greatest height up to which blocks are dense, and the greatest stored one; both -1
   * in an empty store.
   *
   * @param base - Height up to which only the genesis must be there; what else is there is left
   *   over from a pruning that goes on.
   */
  async scanHeights(base = 0): Promise<{ dense: number; greatest: number }> {
    let dense = -1;
    let greatest = -1;
    for await (const key of keysOf(this.#database, familyRange("b"))) {
      const height = heightOfKey(key) ?? greatest;
      if (height > 0 && height <= base) continue;
      if (height === dense + 1) dense = height === 0 ? base : height;
      greatest = Math.max(height, dense);
    }
    return { dense, greatest };
  }

  /**
   * Reads the header of a block with its certificate, also when only these two were kept of it;
   * `undefined` when they are not here. The genesis has no certificate.
   *
   * @throws {LedgerError} LEDGER_BLOCK_CORRUPT, LEDGER_HOLE, LEDGER_BASE_CORRUPT
   */
  async readCertified(height: number): Promise<StoredHeader | undefined> {
    const kept = await corruptBlockUnless(height, () => readKept(this.#database, height));
    if (kept !== undefined) return { ...kept, hash: headerHash(kept.header) };
    const stored = await this.read(height);
    if (stored === undefined) return undefined;
    const { block, certificate } = stored;
    return { header: block.header, hash: block.hash, certificate };
  }

  /**
   * Reads a block with its certificate; `undefined` when neither is stored.
   *
   * @throws {LedgerError} LEDGER_BLOCK_CORRUPT or LEDGER_HOLE (one of both is missing).
   */
  async read(height: number): Promise<StoredBlock | undefined> {
    const bytes = await this.readBytes(height);
    if (bytes === undefined) return undefined;
    return corruptBlockUnless(height, () => ({
      block: decodeBlock(bytes.block),
      certificate: height === 0 ? undefined : decodeCertificate(bytes.certificate),
    }));
  }

  /**
   * Reads the stored bytes of a block and its certificate (empty for the genesis).
   *
   * @throws {LedgerError} LEDGER_BLOCK_CORRUPT or LEDGER_HOLE
   */
  async readBytes(
    height: number,
  ): Promise<{ block: Uint8Array; certificate: Uint8Array } | undefined> {
    const [block, certificate] = await corruptBlockUnless(height, () =>
      Promise.all([
        this.#read(recordKeys.block(height)),
        height === 0 ? new Uint8Array(0) : this.#read(recordKeys.certificate(height)),
      ]),
    );
    if (block === undefined && (certificate === undefined || height === 0)) return undefined;
    if (block === undefined || certificate === undefined)
      throw new LedgerError("LEDGER_HOLE", { height });
    return { block, certificate };
  }

  /**
   * Reads the receipts of a height; `undefined` when none are stored.
   *
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT
   */
  async readReceipts(height: number): Promise<Uint8Array[] | undefined> {
    const payload = await this.#read(recordKeys.receipts(height));
    return payload === undefined ? undefined : decodeReceipts(payload);
  }

  /**
   * Finds a transaction by its id.
   *
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT
   */
  async findTransaction(id: Hash): Promise<TransactionPlace | undefined> {
    const payload = await this.#read(recordKeys.transaction(id));
    return payload === undefined ? undefined : decodePlace(payload);
  }

  async #read(key: string): Promise<Uint8Array | undefined> {
    const record = await this.#database.get(key);
    return record === undefined ? undefined : decodeRecord(key, record);
  }
}

/** Names the height when reading or decoding the records of a block fails. */
async function corruptBlockUnless<T>(height: number, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (isLedgerError(cause, "LEDGER_BASE_CORRUPT") || !isDamage(cause)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LedgerError("LEDGER_BLOCK_CORRUPT", { height, reason }, { cause });
  }
}

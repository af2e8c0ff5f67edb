/**
 * The base of a store: the height up to which it holds no blocks any more, because it pruned them
 * or began with a snapshot; and the headers it keeps of what lies there.
 *
 * Invariants:
 *
 * (1) The header of the base is kept with its certificate, and the history holds the whole state
 *     after it, so the chain can be verified from there on.
 * (2) Kept besides: the headers from the beginning of the base's epoch of proposers on, and with
 *     their certificates those after which the validators changed.
 * (3) The genesis block is never pruned: it follows from the genesis file.
 */
import { hexToBytes } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { decodeHeader, encodeHeader, type Header, headerHash } from "../base/format/block.ts";
import { encode } from "../base/format/codec.ts";
import { type Certificate, decodeCertificate, encodeCertificate } from "../base/format/message.ts";
import { TupleReader } from "../base/format/tuple.ts";
import type { Hash } from "../base/hash.ts";
import { scheduleBase } from "../base/proposer-schedule.ts";
import { type Database, entriesOf, isLevelError, type Operation } from "./database.ts";
import {
  checkVersion,
  decodeRecord,
  familyRange,
  isDamage,
  putRecord,
  recordKeys,
  recordVersion,
} from "./records.ts";

/** The last height of which no block is here. */
export type Base = { readonly height: number; readonly hash: Hash };

/** A header that stayed when its block went. */
export type KeptHeader = {
  readonly header: Header;
  /** Absent where the chain of hashes to a certified header is enough. */
  readonly certificate: Certificate | undefined;
};

/** Makes the write of the base. */
export function baseOperation({ height, hash }: Base): Operation {
  return putRecord(recordKeys.base, encode([recordVersion, height, hexToBytes(hash)]));
}

/** Makes the write of a kept header. */
export function keptOperation({ header, certificate }: KeptHeader): Operation {
  const certified = certificate === undefined ? null : encodeCertificate(certificate);
  return putRecord(recordKeys.kept(header.height), encode([encodeHeader(header), certified]));
}

/**
 * Reads the base; `undefined` when all blocks from the genesis on are here.
 *
 * @throws {LedgerError} LEDGER_BASE_CORRUPT
 */
export async function readBase(database: Database): Promise<Base | undefined> {
  return baseUnlessCorrupt(0, async () => {
    const record = await database.get(recordKeys.base);
    if (record === undefined) return undefined;
    const reader = TupleReader.decode(decodeRecord(recordKeys.base, record), "base record");
    checkVersion(recordKeys.base, reader.integer("version"));
    const base = { height: reader.integer("height"), hash: reader.hash("hash") };
    reader.end();
    return base;
  });
}

/**
 * Reads a kept header; `undefined` when there is none.
 *
 * @throws {LedgerError} LEDGER_BASE_CORRUPT
 */
export async function readKept(
  database: Database,
  height: number,
): Promise<KeptHeader | undefined> {
  return baseUnlessCorrupt(height, async () => {
    const key = recordKeys.kept(height);
    const record = await database.get(key);
    return record === undefined ? undefined : decodeKept(decodeRecord(key, record));
  });
}

/**
 * Reads all kept headers, ascending by height.
 *
 * @throws {LedgerError} LEDGER_BASE_CORRUPT
 */
export async function readAllKept(database: Database, height: number): Promise<KeptHeader[]> {
  return baseUnlessCorrupt(height, async () => {
    const kept: KeptHeader[] = [];
    for await (const [key, record] of entriesOf(database, familyRange("k")))
      kept.push(decodeKept(decodeRecord(key, record)));
    return kept;
  });
}

/**
 * Reads the header of the base with its certificate.
 *
 * @throws {LedgerError} LEDGER_BASE_CORRUPT
 */
export async function readBaseHeader(
  database: Database,
  { height, hash }: Base,
): Promise<KeptHeader & { readonly certificate: Certificate }> {
  const kept = await readKept(database, height);
  const { header, certificate } = kept ?? {};
  if (header === undefined || certificate === undefined || headerHash(header) !== hash)
    throw baseCorrupt(height, "the certified header of the base is missing or another one");
  return { header, certificate };
}

/**
 * Reads the headers of the base's epoch of proposers, up to its own, and checks that each follows
 * the one before.
 *
 * @throws {LedgerError} LEDGER_BASE_CORRUPT
 */
export async function readBaseHeaders(database: Database, base: Base): Promise<KeptHeader[]> {
  const headers: KeptHeader[] = [];
  let expected = base.hash;
  for (let height = base.height; height >= scheduleBase(base.height + 1); height -= 1) {
    const kept = await readKept(database, height);
    if (kept === undefined || headerHash(kept.header) !== expected)
      throw baseCorrupt(base.height, `the header of height ${height} is missing or another one`);
    headers.push(kept);
    expected = kept.header.parentHash;
  }
  if (headers[0]?.certificate === undefined)
    throw baseCorrupt(base.height, "the certificate of the base is missing");
  return headers.reverse();
}

/** Makes the error for a base that cannot be used. */
export function baseCorrupt(height: number, reason: string, cause?: unknown): LedgerError {
  return new LedgerError("LEDGER_BASE_CORRUPT", { height, reason }, { cause });
}

function decodeKept(payload: Uint8Array): KeptHeader {
  const reader = TupleReader.decode(payload, "kept header");
  const header = decodeHeader(reader.bytes("header"));
  const certificate = reader.optionalBytes("certificate");
  reader.end();
  return { header, certificate: certificate && decodeCertificate(certificate) };
}

async function baseUnlessCorrupt<T>(height: number, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!isDamage(cause) || isLevelError(cause)) throw cause;
    throw baseCorrupt(height, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/**
 * Keys and envelope of every record of the ledger store (D16).
 *
 * Record: `checksum (4 bytes, big-endian), payload`. The checksum is CRC-32 (ISO-HDLC, as in zlib)
 * over the UTF-8 bytes of the key, a zero byte and the payload, so a record that was damaged, or
 * moved under another key, is noticed at every read. It guards against accidents, not against a
 * forger: against him stand hashes, certificates and `chain verify`.
 *
 * Heights in keys are 12 hexadecimal digits, so byte order is height order.
 *
 * | key | payload | meaning |
 * |---|---|---|
 * | `m/tip` | tuple `[version 0, bin chainId, height, bin block hash]` | the last block; always last in its batch |
 * | `m/rebuilding` | empty | a repair of the derived records is under way |
 * | `m/base` | tuple `[version 0, height, bin block hash]` | nothing is kept of what lies at or below it, but as said below; absent: all is here (ADR 0023) |
 * | `m/pruning` | empty | what lies below the base is being deleted |
 * | `m/snapshot` | tuple `[bin manifest, next key or nil]` | a snapshot is being fetched; never in the directory of a ledger (snapshot-writer.ts) |
 * | `k/<height>` | tuple `[bin header, bin certificate or nil]` | headers kept of what was pruned: those proofs and the order of proposers need |
 * | `b/<height>` | block bytes | genesis (height 0) has no transactions |
 * | `c/<height>` | certificate bytes | none for the genesis |
 * | `r/<height>` | tuple of bin | receipt bytes, one a transaction, in order |
 * | `t/<id>` | tuple `[height, index]` | where a transaction is; id as base64url without padding (43) |
 * | `s/<state key>` | height written (6 bytes, big-endian), value (UTF-8) | current state |
 * | `h/<bytes of key: 3 hex digits>/<state key>/<height>` | 01 and value (UTF-8), or 00 = deleted | history; the length keeps keys apart of which one begins another |
 * | `u/<height>` | tuple `[bin state root before, [[[key, bin value hash before or nil], ...], ...]]` | undo list of the last heights (`undoBlocksOf`), keys ascending, in lists of at most 10,000 |
 *
 * `r`, `t`, `s`, `h` and `u` follow from genesis and blocks by execution; `b`, `c` and `k` do not.
 * With a base, they follow from the history at the base, which a certified state root proves.
 */
import { crc32 } from "node:zlib";
import { type ErrorCode, isLedgerError, LedgerError } from "../base/errors.ts";
import type { Hash } from "../base/hash.ts";
import { type DatabaseRange, isLevelCorruption, type Operation } from "./database.ts";

const checksumBytes = 4;
const heightDigits = 12;
const separator = Uint8Array.of(0);

/** Families of records that follow from the blocks by execution. */
export const derivedFamilies = ["h", "r", "s", "t", "u"] as const;

/** The letter before the first slash of a key. */
export type Family = "b" | "c" | "k" | "m" | (typeof derivedFamilies)[number];

/** Makes the keys of records. */
export const recordKeys = {
  tip: "m/tip",
  rebuilding: "m/rebuilding",
  base: "m/base",
  pruning: "m/pruning",
  snapshot: "m/snapshot",
  kept: (height: number) => `k/${heightText(height)}`,
  block: (height: number) => `b/${heightText(height)}`,
  certificate: (height: number) => `c/${heightText(height)}`,
  receipts: (height: number) => `r/${heightText(height)}`,
  transaction: (id: Hash) => `t/${Buffer.from(id, "hex").toString("base64url")}`,
  state: (key: string) => `s/${key}`,
  history: (key: string, height: number) => `${historyPrefix(key)}${heightText(height)}`,
  undo: (height: number) => `u/${heightText(height)}`,
} as const;

/** Returns the range that holds all keys of a family. */
export function familyRange(family: Family): DatabaseRange {
  // "0" follows "/" in ASCII.
  return { gte: `${family}/`, lt: `${family}0` };
}

/** Returns the range of the history of one state key, heights inclusive. */
export function historyRange(
  key: string,
  heights: { readonly from: number; readonly to: number },
): DatabaseRange {
  const prefix = historyPrefix(key);
  return { gte: prefix + heightText(heights.from), lt: `${prefix}${heightText(heights.to)}~` };
}

/** Returns the height at the end of a `b`, `c`, `k`, `r`, `u` or `h` key, `undefined` when it has none. */
export function heightOfKey(key: string): number | undefined {
  if (!/^[bckruh]\/(.*\/)?[0-9a-f]{12}$/s.test(key)) return undefined;
  return Number.parseInt(key.slice(-heightDigits), 16);
}

/** Returns the state key of an `s` or `h` key. */
export function stateKeyOf(key: string): string {
  return key.startsWith("s/") ? key.slice(2) : key.slice(6, -1 - heightDigits);
}

/** Puts a payload into its envelope. */
export function encodeRecord(key: string, payload: Uint8Array): Uint8Array {
  const record = new Uint8Array(checksumBytes + payload.length);
  new DataView(record.buffer).setUint32(0, checksumOf(key, payload));
  record.set(payload, checksumBytes);
  return record;
}

/** Makes the write of one record. */
export function putRecord(key: string, payload: Uint8Array): Operation {
  return { type: "put", key, value: encodeRecord(key, payload) };
}

/** Version of the records that state one: `m/tip` and `m/base`. */
export const recordVersion = 0;

/** Refuses a record of a later version, which must be taken neither for this one nor for damage. */
export function checkVersion(record: string, version: number): void {
  if (version !== recordVersion)
    throw new LedgerError("LEDGER_VERSION_UNKNOWN", { record, version });
}

/** Makes the write of the mark that has the next open check and rebuild all derived records. */
export function rebuildingOperation(): Operation {
  return putRecord(recordKeys.rebuilding, new Uint8Array(0));
}

/**
 * Takes the payload out of its envelope, without copying it.
 *
 * @throws {LedgerError} LEDGER_RECORD_CORRUPT when the record was not written under this key.
 */
export function decodeRecord(key: string, record: Uint8Array): Uint8Array {
  if (record.length >= checksumBytes) {
    const { buffer, byteOffset, length } = record;
    // A plain view even when the database gives a Buffer, whose `slice` would not copy.
    const payload = new Uint8Array(buffer, byteOffset + checksumBytes, length - checksumBytes);
    if (new DataView(buffer, byteOffset).getUint32(0) === checksumOf(key, payload)) return payload;
  }
  throw new LedgerError("LEDGER_RECORD_CORRUPT", { key, height: heightOfKey(key) ?? null });
}

function historyPrefix(key: string): string {
  const keyBytes = Buffer.byteLength(key, "utf8").toString(16).padStart(3, "0");
  return `h/${keyBytes}/${key}/`;
}

function heightText(height: number): string {
  return height.toString(16).padStart(heightDigits, "0");
}

function checksumOf(key: string, payload: Uint8Array): number {
  return crc32(payload, crc32(separator, crc32(key)));
}

/** What bytes that are not whole, or not what they should be, lead to. */
const damageCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "CODEC_INVALID",
  "LEDGER_BASE_CORRUPT",
  "LEDGER_BLOCK_CORRUPT",
  "LEDGER_HOLE",
  "LEDGER_RECORD_CORRUPT",
  "SNAPSHOT_INVALID",
]);

/**
 * Reads what may be damaged.
 *
 * @returns `undefined` when it is. A disk that cannot be read at the moment says nothing of what
 *   is on it: that and all other faults are thrown on.
 */
export async function unlessDamaged<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/**
 * Tells whether an error says that bytes are damaged, and not that they could not be read: for want
 * of file descriptors, say, or because they are of a later version.
 */
export function isDamage(error: unknown): boolean {
  return (isLedgerError(error) && damageCodes.has(error.code)) || isLevelCorruption(error);
}

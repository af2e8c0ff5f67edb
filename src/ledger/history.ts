/**
 * History of every state value by height: what was written when, also deletions. It makes the
 * writes of a block and answers what a key held at a height. It proves nothing: an old value is
 * proven by the receipt of the block that wrote it (D11).
 *
 * Invariant: (1) a key has exactly one record for each height whose block changed it.
 */
import { utf8Text } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { type Database, entriesOf, type Operation } from "./database.ts";
import { decodeRecord, heightOfKey, historyRange, putRecord, recordKeys } from "./records.ts";
import type { StateChange } from "./types.ts";

/** A value that a key got at a height; `undefined` = it was deleted. */
export type HistoryEntry = { readonly height: number; readonly value: string | undefined };

const deletedPayload = Uint8Array.of(0);
const valueMark = 1;

/** Makes the history writes of one block. */
export function historyOperations(height: number, changes: readonly StateChange[]): Operation[] {
  return changes.map(([key, value]) =>
    putRecord(recordKeys.history(key, height), encodeHistory(value)),
  );
}

/** Encodes the payload of a history record. */
export function encodeHistory(value: string | undefined): Uint8Array {
  if (value === undefined) return deletedPayload;
  const payload = Buffer.allocUnsafe(1 + Buffer.byteLength(value, "utf8"));
  payload[0] = valueMark;
  payload.write(value, 1, "utf8");
  return payload;
}

/** Tells whether the payload of a history record says that the key was deleted. */
export function isDeletion(payload: Uint8Array): boolean {
  return payload[0] !== valueMark;
}

/** Decodes the payload of a history record. */
export function decodeHistory(payload: Uint8Array): string | undefined {
  return isDeletion(payload) ? undefined : utf8Text(payload.subarray(1));
}

/** Reads the history of state values. Heights above the tip simply have no entries. */
export class History {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Returns what a key held after a height, and since when; `undefined` when it had never been
   * written by then.
   *
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT
   */
  async readValueAt(
    key: string,
    height: number,
  ): Promise<{ value: string | undefined; writtenAt: number } | undefined> {
    const range = { ...historyRange(key, { from: 0, to: height }), reverse: true, limit: 1 };
    for await (const [recordKey, record] of entriesOf(this.#database, range)) {
      const { value, height: writtenAt } = decodeEntry(recordKey, record);
      return { value, writtenAt };
    }
    return undefined;
  }

  /**
   * Lists what a key was given, ascending by height.
   *
   * @param query - First height (inclusive) and the most entries.
   * @throws {LedgerError} LEDGER_RECORD_CORRUPT
   */
  async list(key: string, query: { from: number; limit: number }): Promise<HistoryEntry[]> {
    const heights = { from: query.from, to: Number.MAX_SAFE_INTEGER };
    const range = { ...historyRange(key, heights), limit: query.limit };
    const entries: HistoryEntry[] = [];
    for await (const [recordKey, record] of entriesOf(this.#database, range))
      entries.push(decodeEntry(recordKey, record));
    return entries;
  }
}

function decodeEntry(key: string, record: Uint8Array): HistoryEntry {
  const payload = decodeRecord(key, record);
  const height = heightOfKey(key);
  if (height === undefined) throw new LedgerError("LEDGER_RECORD_CORRUPT", { key, height: null });
  return { height, value: decodeHistory(payload) };
}

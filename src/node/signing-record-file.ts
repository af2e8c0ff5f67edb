/**
 * The signing record on disk (D15): what this validator last signed, so that it never signs
 * anything else for that place, whatever crashes.
 *
 * Two slots, `<file>.a` and `<file>.b`, are written in turn, each with one write and one
 * `fdatasync`; a torn write hits only the older slot.
 *
 * Invariants:
 *
 * (1) When `write` has returned, the record is on disk.
 * (2) `open` gives the newest whole record; a torn one is passed over only when the other slot
 *     is whole.
 * (3) A key is born with an empty record ("nothing was signed"). No slot at all therefore means
 *     that the record is lost, and nobody knows what was signed.
 *
 * | bytes | meaning |
 * |---|---|
 * | 0..7 | sequence, big endian |
 * | 8..11 | payload length, big endian |
 * | 12..43 | SHA-256 of sequence, length and payload |
 * | 44.. | payload: the encoded record; empty when nothing was signed |
 */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { assert } from "../base/assert.ts";
import { concatBytes, equalBytes } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { sha256 } from "../base/hash.ts";

const headBytes = 12;
const payloadStart = headBytes + 32;

/** Reads and writes the record's bytes; what they mean is for the caller. */
export class SigningRecordFile {
  readonly #slots: readonly [FileHandle, FileHandle];
  #sequence: bigint;

  private constructor(slots: readonly [FileHandle, FileHandle], sequence: bigint) {
    this.#slots = slots;
    this.#sequence = sequence;
  }

  /** Writes the empty record a new key starts with; an existing record is left as it is. */
  static async create(path: string): Promise<void> {
    const { file, isLost } = await SigningRecordFile.open(path);
    if (isLost) await file.write(new Uint8Array());
    await file.close();
  }

  /**
   * Opens the record.
   *
   * @returns The file; the last record, `undefined` when nothing was signed; whether it is lost.
   * @throws {LedgerError} SIGNING_RECORD_CORRUPT when slots exist but none is whole.
   */
  static async open(path: string): Promise<{
    file: SigningRecordFile;
    record: Uint8Array | undefined;
    isLost: boolean;
    /** One slot is damaged: a torn write that nothing was signed for, or the newest record. */
    isTorn: boolean;
  }> {
    const found = await Promise.all([readSlot(`${path}.a`), readSlot(`${path}.b`)]);
    const whole = found.filter((slot) => slot !== "torn" && slot !== undefined);
    if (whole.length === 0 && found.includes("torn"))
      throw new LedgerError("SIGNING_RECORD_CORRUPT", { file: path });
    const newest = whole.reduce<Slot | undefined>(
      (best, slot) => (best === undefined || slot.sequence > best.sequence ? slot : best),
      undefined,
    );
    const handles = [await openSlot(`${path}.a`), await openSlot(`${path}.b`)] as const;
    await syncDirectory(dirname(path));
    const file = new SigningRecordFile(handles, newest?.sequence ?? 0n);
    const record = newest === undefined || newest.payload.length === 0 ? undefined : newest.payload;
    const isTorn = found.includes("torn");
    return { file, record, isLost: newest === undefined, isTorn };
  }

  /** Writes the next record; returns once it is on disk. */
  async write(payload: Uint8Array): Promise<void> {
    const sequence = this.#sequence + 1n;
    const head = new Uint8Array(headBytes);
    const view = new DataView(head.buffer);
    view.setBigUint64(0, sequence);
    view.setUint32(8, payload.length);
    const bytes = concatBytes(head, sha256(concatBytes(head, payload)), payload);
    const slot = this.#slots[Number(sequence % 2n) as 0 | 1];
    const { bytesWritten } = await slot.write(bytes, 0, bytes.length, 0);
    assert(bytesWritten === bytes.length, "a record is written whole");
    await slot.datasync();
    this.#sequence = sequence;
  }

  async close(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.close()));
  }
}

type Slot = { readonly sequence: bigint; readonly payload: Uint8Array };

async function openSlot(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    return open(path, "w+", 0o600);
  }
}

async function readSlot(path: string): Promise<Slot | "torn" | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await readFile(path));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw cause;
  }
  if (bytes.length === 0) return undefined;
  if (bytes.length < payloadStart) return "torn";
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const payload = bytes.subarray(payloadStart, payloadStart + view.getUint32(8));
  const digest = sha256(concatBytes(bytes.subarray(0, headBytes), payload));
  if (payload.length !== view.getUint32(8)) return "torn";
  if (!equalBytes(digest, bytes.subarray(headBytes, payloadStart))) return "torn";
  return { sequence: view.getBigUint64(0), payload };
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  await handle.sync();
  await handle.close();
}

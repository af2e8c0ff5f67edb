/**
 * The signing record on disk (D15): what this validator last signed, so that it never signs
 * anything else for that place, whatever crashes.
 *
 * Two slots, `<file>.a` and `<file>.b`, are written in turn (their bytes: signing-record-slot.ts),
 * each followed by one `fdatasync`, so an interrupted write hits only the older record. A write
 * that fails is taken back: its slot is cut to a length that says so.
 *
 * Invariants:
 *
 * (1) When `write` has returned, the record is on disk.
 * (2) `open` gives the newest whole record. A slot that was being written is passed over, as
 *     nothing was signed for it; one that is damaged otherwise is reported.
 * (3) A key is born with an empty record ("nothing was signed"). No whole slot therefore means
 *     that the record is lost, and nobody knows what was signed.
 * (4) From the second write on both slots hold something: one that is missing or empty beside a
 *     later record was not left by this class, and may have held the newest.
 */
import { type FileHandle, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { LedgerError } from "../base/errors.ts";
import {
  decodeSlot,
  encodeSlot,
  type Slot,
  type SlotRecord,
  takenBackBytes,
} from "./signing-record-slot.ts";
import { syncDirectory } from "./sync-directory.ts";

/** Reads and writes the record's bytes; what they mean is for the caller. */
export class SigningRecordFile {
  readonly #path: string;
  readonly #slots: readonly [FileHandle, FileHandle];
  #sequence: bigint;

  private constructor(path: string, slots: readonly [FileHandle, FileHandle], sequence: bigint) {
    this.#path = path;
    this.#slots = slots;
    this.#sequence = sequence;
  }

  /** Writes the empty record a new key starts with; what exists is left as it is. */
  static async create(path: string): Promise<void> {
    const slots = await readSlots(path);
    if (slots.some(({ kind }) => kind !== "empty")) return;
    const { file } = await SigningRecordFile.open(path);
    await file.write(new Uint8Array());
    await file.close();
  }

  /**
   * Puts the record of a key aside, so that it counts as lost: after a restore nobody knows whether
   * it is the newest. The slots stay beside, for people, as `<slot>.before-restore`.
   */
  static setAside(path: string): Promise<void> {
    return renameSlots(path, "before-restore");
  }

  /**
   * Opens the record. Slots of which none is whole are put aside as `<slot>.damaged`.
   *
   * @returns The file; the last record, `undefined` when nothing was signed; whether it is lost.
   */
  static async open(path: string): Promise<{
    file: SigningRecordFile;
    record: Uint8Array | undefined;
    isLost: boolean;
    /** One slot is damaged and may have held the newest record; an interrupted write is not meant. */
    isTorn: boolean;
  }> {
    const files = slotFiles(path);
    const found = await readSlots(path);
    const newest = newestOf(found);
    const isDamaged = newest === undefined && found.some(({ kind }) => kind !== "empty");
    // Sectors left over in them have later sequences than the record that begins anew.
    if (isDamaged) await renameSlots(path, "damaged");
    const handles = [await openSlot(files[0]), await openSlot(files[1])] as const;
    await syncDirectory(dirname(path));
    const file = new SigningRecordFile(path, handles, newest?.sequence ?? 0n);
    const record = newest === undefined || newest.payload.length === 0 ? undefined : newest.payload;
    const isTorn = found.some((slot) => isDoubtful(slot, newest));
    return { file, record, isLost: newest === undefined, isTorn };
  }

  /**
   * Writes the next record; returns once it is on disk.
   *
   * @throws {LedgerError} SIGNING_RECORD_UNWRITABLE; the record before it is still the newest, and
   *   the same call may be made again.
   */
  async write(payload: Uint8Array): Promise<void> {
    const sequence = this.#sequence + 1n;
    const index = Number(sequence % 2n) as 0 | 1;
    const slot = this.#slots[index];
    try {
      await writeWhole(slot, encodeSlot({ sequence, payload }));
      await slot.datasync();
    } catch (cause) {
      await takeBack(slot);
      const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
      const file = slotFiles(this.#path)[index];
      throw new LedgerError("SIGNING_RECORD_UNWRITABLE", { file, reason }, { cause });
    }
    this.#sequence = sequence;
  }

  async close(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.close()));
  }
}

/** Names of the two slots of a record. */
function slotFiles(path: string): readonly [string, string] {
  return [`${path}.a`, `${path}.b`];
}

/** A full disk takes a part and says so by the count; only the next write gives the error. */
async function writeWhole(slot: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const rest = bytes.length - written;
    const { bytesWritten } = await slot.write(bytes, written, rest, written);
    if (bytesWritten === 0) throw new Error("nothing was written");
    written += bytesWritten;
  }
}

/**
 * Takes back a record that could not be written. Nothing was signed for it, but after a restart a
 * sector of which a part was written would look like damage to the newest record.
 */
async function takeBack(slot: FileHandle): Promise<void> {
  try {
    await slot.truncate(takenBackBytes);
    await slot.datasync();
  } catch {
    // Then it does look like damage, and the node abstains for two heights, which is safe.
  }
}

function newestOf(slots: readonly Slot[]): SlotRecord | undefined {
  return slots.reduce<SlotRecord | undefined>((best, slot) => {
    if (slot.kind !== "whole") return best;
    return best === undefined || slot.sequence > best.sequence ? slot : best;
  }, undefined);
}

/**
 * Only the record after the newest whole one can have been in the middle of its write; and a slot
 * that does not even hold a sector is only ever found beside the first record (4).
 */
function isDoubtful(slot: Slot, newest: SlotRecord | undefined): boolean {
  if (newest === undefined) return false;
  switch (slot.kind) {
    case "whole":
    case "takenBack":
      return false;
    case "damaged":
      return true;
    case "empty":
      return newest.sequence > 1n;
    case "torn":
      if (slot.sequence === undefined) return newest.sequence > 1n;
      return slot.sequence !== newest.sequence + 1n;
  }
}

async function openSlot(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    return open(path, "w+", 0o600);
  }
}

async function readSlots(path: string): Promise<readonly Slot[]> {
  const [first, second] = slotFiles(path);
  return [await readSlot(first), await readSlot(second)];
}

async function renameSlots(path: string, suffix: string): Promise<void> {
  for (const file of slotFiles(path))
    await rename(file, `${file}.${suffix}`).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "ENOENT") throw cause;
    });
  await syncDirectory(dirname(path));
}

async function readSlot(path: string): Promise<Slot> {
  try {
    return decodeSlot(new Uint8Array(await readFile(path)));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return { kind: "empty" };
    throw cause;
  }
}

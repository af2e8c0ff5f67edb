/**
 * The bytes of one slot of the signing record, in sectors, so that an interrupted write can be
 * told from damage.
 *
 * A slot is written over the record before the last one. Disks write whole sectors, and a killed
 * process leaves whole pages, so an interrupted write leaves sectors of the new record and sectors
 * of the old one, each with its checksum, or a file that ends early. Bits that turned later leave a
 * sector without its checksum. The first was never signed for; of the second nobody knows.
 *
 * | bytes of a sector of 512 | meaning |
 * |---|---|
 * | 0..7 | sequence of the record, big endian |
 * | 8..11 | CRC-32 of sequence, number of the sector (4 bytes) and data |
 * | 12..511 | data, zeros at the end |
 *
 * The data of all sectors together is: length of the payload (4 bytes, big endian), SHA-256 of
 * sequence and payload, payload. Sectors beyond are left over from longer records.
 */
import { crc32 } from "node:zlib";
import { concatBytes, equalBytes } from "../base/bytes.ts";
import { sha256 } from "../base/hash.ts";

const sectorBytes = 512;
const dataStart = 12;
const dataBytes = sectorBytes - dataStart;
const headBytes = 4 + 32;
/**
 * Length to which a slot is cut when its write is taken back. To cut a file takes no room on a full
 * disk, and a file of this length is left by nothing else.
 */
export const takenBackBytes = 1;

/** A record with its place in the order of writes. */
export type SlotRecord = { readonly sequence: bigint; readonly payload: Uint8Array };

/** What a slot holds. */
export type Slot =
  /** Nothing was written. */
  | { readonly kind: "empty" }
  /** What could not be written was taken back. */
  | { readonly kind: "takenBack" }
  | ({ readonly kind: "whole" } & SlotRecord)
  /** The write of the record with this sequence was interrupted; absent within the first sector. */
  | { readonly kind: "torn"; readonly sequence: bigint | undefined }
  | { readonly kind: "damaged" };

/** Encodes a record as a slot's first sectors. */
export function encodeSlot({ sequence, payload }: SlotRecord): Uint8Array {
  const head = new Uint8Array(headBytes);
  new DataView(head.buffer).setUint32(0, payload.length);
  head.set(digestOf({ sequence, payload }), 4);
  const data = concatBytes(head, payload);
  const bytes = new Uint8Array(Math.ceil(data.length / dataBytes) * sectorBytes);
  for (let index = 0; index * sectorBytes < bytes.length; index += 1) {
    const sector = bytes.subarray(index * sectorBytes, (index + 1) * sectorBytes);
    const view = new DataView(sector.buffer, sector.byteOffset);
    view.setBigUint64(0, sequence);
    sector.set(data.subarray(index * dataBytes, (index + 1) * dataBytes), dataStart);
    view.setUint32(8, checksumOf(sector, index));
  }
  return bytes;
}

/** Tells what the bytes of a slot are, whatever they are. */
export function decodeSlot(bytes: Uint8Array): Slot {
  if (bytes.length === 0) return { kind: "empty" };
  if (bytes.length === takenBackBytes) return { kind: "takenBack" };
  const sectors = sectorsOf(bytes);
  const sequences = sectors.flatMap((sector) => sector?.sequence ?? []);
  // The greatest is the record written last: a slot's records only count up.
  const [sequence] = sequences.sort((left, right) => Number(right - left));
  const own: Uint8Array[] = [];
  for (const sector of sectors) {
    if (sector === undefined || sector.sequence !== sequence) break;
    own.push(sector.data);
  }
  const payload = sequence === undefined ? undefined : payloadOf(concatBytes(...own), sequence);
  if (sequence !== undefined && payload !== undefined) return { kind: "whole", sequence, payload };
  return sectors.includes(undefined) ? { kind: "damaged" } : { kind: "torn", sequence };
}

type Sector = { readonly sequence: bigint; readonly data: Uint8Array };

/** Whole sectors, `undefined` for one without its checksum. A short rest was never written out. */
function sectorsOf(bytes: Uint8Array): (Sector | undefined)[] {
  const count = Math.floor(bytes.length / sectorBytes);
  return Array.from({ length: count }, (_, index) => {
    const sector = bytes.subarray(index * sectorBytes, (index + 1) * sectorBytes);
    const view = new DataView(sector.buffer, sector.byteOffset);
    if (view.getUint32(8) !== checksumOf(sector, index)) return undefined;
    return { sequence: view.getBigUint64(0), data: sector.subarray(dataStart) };
  });
}

function payloadOf(data: Uint8Array, sequence: bigint): Uint8Array | undefined {
  if (data.length < headBytes) return undefined;
  const length = new DataView(data.buffer, data.byteOffset).getUint32(0);
  const payload = data.subarray(headBytes, headBytes + length);
  if (payload.length !== length) return undefined;
  return equalBytes(digestOf({ sequence, payload }), data.subarray(4, headBytes))
    ? payload
    : undefined;
}

function checksumOf(sector: Uint8Array, index: number): number {
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, index);
  return crc32(sector.subarray(dataStart), crc32(number, crc32(sector.subarray(0, 8))));
}

function digestOf({ sequence, payload }: SlotRecord): Uint8Array {
  const head = new Uint8Array(8);
  new DataView(head.buffer).setBigUint64(0, sequence);
  return sha256(concatBytes(head, payload));
}

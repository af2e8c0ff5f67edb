/**
 * Checks the bytes of one LevelDB table file (`*.ldb`).
 *
 * | part | bytes | check |
 * |---|---|---|
 * | data blocks, filter, metaindex, index | each: contents, type (1), checksum (4) | checksum; they follow one another without a gap from 0 to the footer |
 * | footer | 48: handles of metaindex and index, zero padding, magic (8) | handles lead to whole blocks, padding is zero, magic |
 *
 * The sizes of the data blocks stand in the index block, which may be compressed; so there is a
 * small Snappy decoder here. Bounds are checked everywhere: the bytes may be damaged.
 */
import { maskedCrc32c } from "./crc32c.ts";

const footerBytes = 48;
const trailerBytes = 5;
const magic = 0xdb4775248b80fb57n;
/** An index of a 2 MB table has some kilobytes; a forged length must not take all memory. */
const blockBytesMax = 64 * 1024 * 1024;

type Handle = { readonly offset: number; readonly size: number };
type Problem = { readonly offset: number; readonly reason: string };

/** Says where and how a table is damaged. */
class TableError extends Error {
  readonly offset: number;

  constructor(offset: number, reason: string) {
    super(reason);
    this.offset = offset;
  }
}

/** Returns what is wrong with the bytes of a table, `undefined` when nothing is. */
export function tableProblem(bytes: Buffer): Problem | undefined {
  try {
    checkTable(bytes);
    return undefined;
  } catch (error) {
    if (error instanceof TableError) return { offset: error.offset, reason: error.message };
    // The cursor below reads through Node's own bounds checks.
    if (error instanceof RangeError) return { offset: 0, reason: "a length leads out of it" };
    throw error;
  }
}

/** Tells whether a table has its end, which is written last. */
export function isFinished(bytes: Buffer): boolean {
  return bytes.length >= footerBytes && bytes.readBigUInt64LE(bytes.length - 8) === magic;
}

/**
 * Tells whether LevelDB can walk over a table, and write it anew, though values may be damaged: its
 * index holds, and every block has the form of entries with keys as long as LevelDB's own, in
 * order. Over anything else it may end the process.
 */
export function isWalkable(bytes: Buffer): boolean {
  try {
    const footer = new Cursor(bytes.subarray(bytes.length - footerBytes));
    const metaindex = footer.handle();
    handlesIn(readBlock(bytes, metaindex)).map((handle) => readBlock(bytes, handle));
    let last: Buffer | undefined;
    for (const handle of handlesIn(readBlock(bytes, footer.handle())))
      last = checkEntries(contentsOf(bytes, handle), last);
    return true;
  } catch (error) {
    if (error instanceof TableError || error instanceof RangeError) return false;
    throw error;
  }
}

/** LevelDB's own end of every key: kind and sequence, little-endian; the newest comes first. */
const keyTailBytes = 8;

/**
 * @param before - The last key of the block before.
 * @returns The last key.
 * @throws {RangeError} when the contents of a block are no entries in order.
 */
function checkEntries(block: Buffer, before: Buffer | undefined): Buffer | undefined {
  const restarts = block.readUInt32LE(block.length - 4);
  const end = block.length - 4 * (restarts + 1);
  const cursor = new Cursor(block);
  const starts = new Set<number>();
  let last = before;
  let key: Buffer = Buffer.alloc(0);
  while (cursor.offset < end) {
    const start = cursor.offset;
    const sharedBytes = cursor.varint();
    if (sharedBytes > key.length) throw new RangeError("a key shares more than there is");
    if (sharedBytes === 0) starts.add(start);
    const ownBytes = cursor.varint();
    const valueBytes = cursor.varint();
    const own = block.subarray(cursor.offset, cursor.offset + ownBytes);
    key = Buffer.concat([key.subarray(0, sharedBytes), own]);
    if (key.length < keyTailBytes) throw new RangeError("a key is too short");
    if (last !== undefined && !isAfter(key, last)) throw new RangeError("keys are not in order");
    last = key;
    cursor.offset += ownBytes + valueBytes;
  }
  if (cursor.offset !== end) throw new RangeError("entries do not end where they must");
  for (let place = end; place < block.length - 4; place += 4)
    if (!starts.has(block.readUInt32LE(place))) throw new RangeError("a restart is no entry");
  return last;
}

function isAfter(key: Buffer, before: Buffer): boolean {
  const [own, former] = [key, before].map((each) => each.subarray(0, -keyTailBytes));
  const order = Buffer.compare(own as Buffer, former as Buffer);
  const tailOf = (each: Buffer) => each.readBigUInt64LE(each.length - keyTailBytes);
  return order > 0 || (order === 0 && tailOf(key) < tailOf(before));
}

function checkTable(bytes: Buffer): void {
  const footerOffset = bytes.length - footerBytes;
  if (footerOffset < 0) throw new TableError(0, "it is too short");
  const footer = new Cursor(bytes.subarray(footerOffset));
  const metaindex = footer.handle();
  const index = footer.handle();
  if (bytes.subarray(footerOffset + footer.offset, -8).some((byte) => byte !== 0))
    throw new TableError(footerOffset, "the padding of the footer is not zero");
  if (bytes.readBigUInt64LE(bytes.length - 8) !== magic)
    throw new TableError(footerOffset, "the footer does not have its magic number");
  const handles = [
    ...handlesIn(readBlock(bytes, index)),
    ...handlesIn(readBlock(bytes, metaindex)),
    metaindex,
    index,
  ].sort((left, right) => left.offset - right.offset);
  let end = 0;
  for (const handle of handles) {
    if (handle.offset !== end) throw new TableError(end, "blocks do not follow one another");
    checkBlock(bytes, handle);
    end += handle.size + trailerBytes;
  }
  if (end !== footerOffset) throw new TableError(end, "bytes between the blocks and the footer");
}

function checkBlock(bytes: Buffer, { offset, size }: Handle): void {
  const end = offset + size + 1;
  if (end + 4 > bytes.length) throw new TableError(offset, "a block ends beyond the file");
  if (bytes.readUInt32LE(end) !== maskedCrc32c(bytes.subarray(offset, end)))
    throw new TableError(offset, "a block does not have its checksum");
}

function readBlock(bytes: Buffer, handle: Handle): Buffer {
  checkBlock(bytes, handle);
  return contentsOf(bytes, handle);
}

function contentsOf(bytes: Buffer, handle: Handle): Buffer {
  const contents = bytes.subarray(handle.offset, handle.offset + handle.size);
  const type = bytes.readUInt8(handle.offset + handle.size);
  if (type === 0) return contents;
  if (type === 1) return decompress(contents);
  throw new TableError(handle.offset, "a block has an unknown compression");
}

/** Returns the handles that are the values of an index or metaindex block. */
function handlesIn(block: Buffer): Handle[] {
  const restarts = block.readUInt32LE(block.length - 4);
  const end = block.length - 4 * (restarts + 1);
  const cursor = new Cursor(block);
  const handles: Handle[] = [];
  while (cursor.offset < end) {
    cursor.varint(); // Bytes shared with the key before.
    const keyBytes = cursor.varint();
    const valueBytes = cursor.varint();
    cursor.offset += keyBytes;
    handles.push(new Cursor(block.subarray(cursor.offset, cursor.offset + valueBytes)).handle());
    cursor.offset += valueBytes;
  }
  return handles;
}

class Cursor {
  offset = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 53; scale *= 128) {
      const byte = this.#bytes.readUInt8(this.offset);
      this.offset += 1;
      value += (byte & 0x7f) * scale;
      if (byte >= 0x80) continue;
      // Else a flipped top bit before a zero of padding would give the same number.
      if (byte === 0 && scale > 1) throw new RangeError("an integer is not in its shortest form");
      return value;
    }
    throw new RangeError("an integer is too long");
  }

  handle(): Handle {
    return { offset: this.varint(), size: this.varint() };
  }
}

/** Decodes Snappy (google/snappy, format_description.txt). @throws {RangeError} */
function decompress(bytes: Buffer): Buffer {
  const cursor = new Cursor(bytes);
  const length = cursor.varint();
  if (length > blockBytesMax) throw new RangeError("a block is too large");
  const output = Buffer.alloc(length);
  let { offset } = cursor;
  let written = 0;
  while (offset < bytes.length) {
    const tag = bytes.readUInt8(offset);
    offset += 1;
    const kind = tag & 3;
    if (kind === 0) {
      const extra = Math.max(0, (tag >> 2) - 59);
      const count = 1 + (extra === 0 ? tag >> 2 : bytes.readUIntLE(offset, extra));
      offset += extra;
      written += bytes.copy(output, written, offset, offset + count);
      offset += count;
      continue;
    }
    const count = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const width = kind === 3 ? 4 : kind;
    const low = bytes.readUIntLE(offset, width);
    const distance = kind === 1 ? ((tag >> 5) << 8) | low : low;
    offset += width;
    // A copy may overlap what it writes, so it goes byte by byte.
    for (let copied = 0; copied < count; copied += 1, written += 1)
      output.writeUInt8(output.readUInt8(written - distance), written);
  }
  return output;
}

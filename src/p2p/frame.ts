/**
 * Frames: how byte strings are told apart on a stream, and several of them inside one frame.
 * It knows nothing of what the bytes mean.
 *
 * Frame on a stream:   u32 length (big endian, 1 to the limit) | bytes
 * List inside a frame: u32 length (1 to the limit) | bytes, again and again until the end
 *
 * Invariants:
 *
 * (1) Memory held for a frame is at most twice the bytes that have really come, plus 4 KiB: a
 *     length that lies costs its sender the bytes.
 * (2) From any bytes comes a result or a `LedgerError`, nothing else.
 */
import { concatBytes } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";

const lengthBytes = 4;
const firstCapacityBytes = 4_096;

/** Returns the bytes of a frame as they go over a stream. */
export function encodeFrame(bytes: Uint8Array): Uint8Array {
  return concatBytes(encodeLength(bytes.length), bytes);
}

/** Returns an unsigned 32 bit number, big endian. */
function encodeLength(length: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  new DataView(bytes.buffer).setUint32(0, length);
  return bytes;
}

function invalid(frame: string, reason: string): LedgerError {
  return new LedgerError("P2P_FRAME_INVALID", { frame, reason });
}

/** Puts the pieces of one stream together to frames. */
export class FrameReader {
  readonly #name: string;
  readonly #bytesMax: number;
  readonly #header = new Uint8Array(lengthBytes);
  #headerBytes = 0;
  #body = new Uint8Array(0);
  #bodyBytes = 0;
  #bodyLength = 0;

  /**
   * @param name - What the frames are called in errors.
   * @param bytesMax - The longest frame, in bytes without its length.
   */
  constructor(name: string, bytesMax: number) {
    this.#name = name;
    this.#bytesMax = bytesMax;
  }

  /**
   * Takes the next piece and gives the frames it completes.
   *
   * @throws {LedgerError} P2P_FRAME_INVALID when a length is 0 or over the limit; the stream cannot
   * be read on after that.
   */
  read(piece: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    let rest = piece;
    while (rest.length > 0) {
      rest = this.#headerBytes < lengthBytes ? this.#takeHeader(rest) : this.#takeBody(rest);
      if (this.#headerBytes === lengthBytes && this.#bodyBytes === this.#bodyLength) {
        frames.push(this.#body);
        this.#headerBytes = 0;
        this.#body = new Uint8Array(0);
      }
    }
    return frames;
  }

  #takeHeader(piece: Uint8Array): Uint8Array {
    const taken = piece.subarray(0, lengthBytes - this.#headerBytes);
    this.#header.set(taken, this.#headerBytes);
    this.#headerBytes += taken.length;
    if (this.#headerBytes === lengthBytes) {
      const length = new DataView(this.#header.buffer).getUint32(0);
      if (length === 0) throw invalid(this.#name, "is empty");
      if (length > this.#bytesMax) throw invalid(this.#name, `is over ${this.#bytesMax} bytes`);
      this.#bodyLength = length;
      this.#bodyBytes = 0;
      this.#body = new Uint8Array(Math.min(length, firstCapacityBytes));
    }
    return piece.subarray(taken.length);
  }

  #takeBody(piece: Uint8Array): Uint8Array {
    const taken = piece.subarray(0, this.#bodyLength - this.#bodyBytes);
    const needed = this.#bodyBytes + taken.length;
    if (needed > this.#body.length) {
      const capacityBytes = Math.max(needed, 2 * this.#body.length);
      const grown = new Uint8Array(Math.min(this.#bodyLength, capacityBytes));
      grown.set(this.#body.subarray(0, this.#bodyBytes));
      this.#body = grown;
    }
    this.#body.set(taken, this.#bodyBytes);
    this.#bodyBytes = needed;
    return piece.subarray(taken.length);
  }
}

/** Returns a list of byte strings, none of them empty, as one byte string. */
export function encodeList(items: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...items.flatMap((item) => [encodeLength(item.length), item]));
}

/** Bounds on a list. */
type ListLimits = {
  readonly name: string;
  readonly countMax: number;
  readonly itemBytesMax: number;
};

/**
 * Returns the byte strings of a list. They share memory with `bytes`.
 *
 * @throws {LedgerError} P2P_FRAME_INVALID when a length lies, or an item is empty or too long.
 */
export function decodeList(bytes: Uint8Array, limits: ListLimits): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const items: Uint8Array[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    if (items.length === limits.countMax) {
      throw invalid(limits.name, `has over ${limits.countMax} items`);
    }
    if (bytes.length - offset < lengthBytes) throw invalid(limits.name, "ends inside a length");
    const length = view.getUint32(offset);
    offset += lengthBytes;
    if (length === 0) throw invalid(limits.name, "has an empty item");
    if (length > limits.itemBytesMax) {
      throw invalid(limits.name, `has an item over ${limits.itemBytesMax} bytes`);
    }
    if (length > bytes.length - offset) throw invalid(limits.name, "ends inside an item");
    items.push(bytes.subarray(offset, offset + length));
    offset += length;
  }
  return items;
}

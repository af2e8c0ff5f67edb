/**
 * The few formats that the audit needs, written from docs/DATA_FORMAT.md and apart from the
 * product: tuples, header, certificate, state root, replay window. Plain and slow on purpose; the
 * only cryptography is that of Node.
 */
import { createHash, createPublicKey, verify } from "node:crypto";

/** A decoded tuple; bytes stay bytes. */
export type Value = null | number | string | Buffer | readonly Value[];

/** Returns the SHA-256 of parts in a row, as hexadecimal digits. */
export function sha256(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** Decodes one tuple that fills its bytes. @throws {Error} on bytes that the audit does not know. */
export function decode(bytes: Buffer): Value {
  const [value, end] = decodeAt(bytes, 0);
  if (end !== bytes.length) throw new Error("bytes after the tuple");
  return value;
}

const lengths: Readonly<Record<number, number>> = {
  ...{ 196: 1, 197: 2, 198: 4, 204: 1, 205: 2, 206: 4, 207: 8 },
  ...{ 217: 1, 218: 2, 219: 4, 220: 2, 221: 4 },
};

function decodeAt(bytes: Buffer, at: number): [Value, number] {
  const first = bytes[at] as number;
  if (first < 0x80) return [first, at + 1];
  if (first === 0xc0) return [null, at + 1];
  if (first >= 0x90 && first < 0xa0) return decodeList(bytes, at + 1, first & 15);
  if (first >= 0xa0 && first < 0xc0) return decodeText(bytes, at + 1, first & 31);
  const width = lengths[first];
  if (width === undefined) throw new Error(`unknown byte ${first} at ${at}`);
  const number = Number(
    bytes.subarray(at + 1, at + 1 + width).reduce((sum, b) => sum * 256 + b, 0),
  );
  const next = at + 1 + width;
  if (first >= 0xdc) return decodeList(bytes, next, number);
  if (first >= 0xd9) return decodeText(bytes, next, number);
  if (first >= 0xcc) return [number, next];
  return [bytes.subarray(next, next + number), next + number];
}

function decodeText(bytes: Buffer, at: number, count: number): [Value, number] {
  return [bytes.subarray(at, at + count).toString("utf8"), at + count];
}

function decodeList(bytes: Buffer, start: number, count: number): [Value, number] {
  const values: Value[] = [];
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const [value, next] = decodeAt(bytes, at);
    values.push(value);
    at = next;
  }
  return [values, at];
}

/** What the audit wants of a header. */
export type ReferenceHeader = {
  readonly height: number;
  readonly hash: string;
  readonly parentHash: string;
  readonly timestampMs: number;
  readonly stateRoot: string;
};

/** Decodes a header and hashes it. */
export function headerOf(hex: string): ReferenceHeader {
  const bytes = Buffer.from(hex, "hex");
  const fields = decode(bytes) as readonly Value[];
  const hexAt = (place: number) => (fields[place] as Buffer).toString("hex");
  return {
    height: fields[2] as number,
    hash: sha256("loopledger/v0/block\0", bytes),
    parentHash: hexAt(3),
    timestampMs: fields[4] as number,
    stateRoot: hexAt(8),
  };
}

/** Counts the validators whose commits in a certificate hold for a block of a chain. */
export function signerCount(
  certificateHex: string,
  block: { readonly chainId: string; readonly height: number; readonly hash: string },
  /** Hexadecimal, ascending. */
  validators: readonly string[],
): number {
  const certificate = decode(Buffer.from(certificateHex, "hex")) as readonly Value[];
  const [height, round, hash, signatures] = certificate as [number, number, Buffer, Value[]];
  if (height !== block.height || hash.toString("hex") !== block.hash) return 0;
  const signed = Buffer.concat([
    Buffer.from("loopledger/v0/commit\0"),
    Buffer.from([0x94, 0xc4, 32]),
    Buffer.from(block.chainId, "hex"),
    encodeInteger(height),
    encodeInteger(round),
    Buffer.from([0xc4, 32]),
    hash,
  ]);
  const signers = new Set<string>();
  for (const [index, signature] of signatures as [number, Buffer][]) {
    const validator = validators[index];
    if (validator !== undefined && verify(null, signed, publicKeyOf(validator), signature))
      signers.add(validator);
  }
  return signers.size;
}

function publicKeyOf(hex: string) {
  // The fixed beginning of an Ed25519 key in the form that Node reads (RFC 8410).
  const der = Buffer.concat([
    Buffer.from("302a300506032b6570032100", "hex"),
    Buffer.from(hex, "hex"),
  ]);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

function encodeInteger(value: number): Buffer {
  if (value < 0x80) return Buffer.from([value]);
  const widths = [1, 2, 4, 8];
  const place = widths.findIndex((width) => value < 256 ** width);
  const bytes = Buffer.alloc(9);
  bytes.writeBigUInt64BE(BigInt(value), 1);
  return Buffer.concat([
    Buffer.from([0xcc + place]),
    bytes.subarray(9 - (widths[place] as number)),
  ]);
}

/** Returns the root of a state given as hashes of its values by key. */
export function stateRootOf(hashes: ReadonlyMap<string, string>): string {
  const leaves = Array.from(hashes, ([key, hash]) => ({ key, hash, bits: bitsOf(key) }));
  leaves.sort((left, right) => (left.bits < right.bits ? -1 : 1));
  return leaves.length === 0 ? sha256() : rootOf(leaves).toString("hex");
}

type StateLeaf = { readonly key: string; readonly hash: string; readonly bits: string };

function rootOf(leaves: readonly StateLeaf[]): Buffer {
  const [first] = leaves as [StateLeaf];
  const last = leaves.at(-1) as StateLeaf;
  if (leaves.length === 1)
    return digest(Buffer.from([2]), Buffer.from(first.hash, "hex"), Buffer.from(first.key));
  // Sorted, so what the first and the last share is shared by all.
  let split = 0;
  while (first.bits[split] === last.bits[split]) split += 1;
  const middle = leaves.findIndex(({ bits }) => bits[split] === "1");
  const left = rootOf(leaves.slice(0, middle));
  const right = rootOf(leaves.slice(middle));
  return digest(Buffer.from([3, split >> 8, split & 255]), left, right);
}

function digest(...parts: readonly Buffer[]): Buffer {
  return createHash("sha256").update(Buffer.concat(parts)).digest();
}

function bitsOf(key: string): string {
  const bytes = Array.from(Buffer.from(key), (byte) => `1${byte.toString(2).padStart(8, "0")}`);
  return `${bytes.join("")}0`;
}

/** Returns the text of a sender's replay window, from all nonces it used. */
export function windowTextOf(nonces: Iterable<number>): string {
  const used = [...nonces];
  const highest = Math.max(...used);
  const bits = Buffer.alloc(128);
  for (const nonce of used.filter((each) => each > highest - 1_024)) {
    const place = nonce % 1_024;
    bits[place >> 3] = (bits[place >> 3] as number) | (1 << (place & 7));
  }
  return `{"bits":"${bits.toString("hex")}","highest":${highest}}`;
}

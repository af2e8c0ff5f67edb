/**
 * Makes the edge vectors of Ed25519 from the group itself: for each class of inputs on which
 * verifiers are known to differ, a signature of exactly that class, with the verdict that the
 * acceptance set of D6 gives by its rules. Every secret is fixed, so the table is the same each time.
 */
import { hashes, Point } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes, utf8 } from "../../src/base/bytes.ts";

hashes.sha512 = sha512;

/** One case: all bytes as hexadecimal. */
export type EdgeVector = {
  readonly name: string;
  readonly message: string;
  readonly publicKey: string;
  readonly signature: string;
  readonly valid: boolean;
};

/** A public key and whether it may be enrolled. */
export type EdgeKey = {
  readonly name: string;
  readonly publicKey: string;
  readonly enrolled: boolean;
};

const L = Point.CURVE().n;
const P = Point.CURVE().p;
const secret = 0x1f3c5d7e9b2a4c6e8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7n % L;
const nonce = 0x7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6bn % L;
const prime = Point.BASE.multiply(secret);
const commitment = Point.BASE.multiply(nonce);
const torsion = torsionPoints();

/** The eight points whose order divides 8: multiples of one of order 8. */
function torsionPoints(): readonly Point[] {
  for (let y = 2n; ; y += 1n) {
    const point = pointAt(y);
    // L*point has only the torsion part of the point.
    const part = point?.multiplyUnsafe(L - 1n).add(point);
    if (part === undefined || part.double().double().is0()) continue;
    const points = [Point.ZERO];
    while (points.length < 8) points.push((points.at(-1) as Point).add(part));
    return points;
  }
}

function pointAt(y: bigint): Point | undefined {
  try {
    return Point.fromBytes(littleEndian(y));
  } catch {
    return undefined;
  }
}

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => Number((value >> BigInt(8 * index)) & 255n));
}

function integerOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

type Parts = {
  readonly key: Uint8Array;
  readonly commitment: Uint8Array;
  readonly message: Uint8Array;
};

function challenge({ key, commitment: R, message }: Parts): bigint {
  return integerOf(sha512(concatBytes(R, key, message))) % L;
}

/** Which torsion points key and commitment carry, and what the challenge must be modulo 8. */
type Class = {
  readonly keyTorsion?: number;
  readonly commitmentTorsion?: number;
  /** Key and commitment are the torsion points alone. */
  readonly bareKey?: boolean;
  readonly bareCommitment?: boolean;
  /** Whether S*B - k*A = R, without the cofactor, shall hold. */
  readonly equation: boolean;
  /** Other encodings of the same points. */
  readonly keyBytes?: Uint8Array;
  readonly commitmentBytes?: Uint8Array;
};

/** Signs a message, tried in turn, for which the class comes out as asked. */
function signatureOf(name: string, kind: Class, valid: boolean): EdgeVector {
  const keyTorsion = kind.keyTorsion ?? 0;
  const commitmentTorsion = kind.commitmentTorsion ?? 0;
  const A = (kind.bareKey ? Point.ZERO : prime).add(torsion[keyTorsion] as Point);
  const R = (kind.bareCommitment ? Point.ZERO : commitment).add(
    torsion[commitmentTorsion] as Point,
  );
  const a = kind.bareKey ? 0n : secret;
  const r = kind.bareCommitment ? 0n : nonce;
  const key = kind.keyBytes ?? A.toBytes();
  const commitmentBytes = kind.commitmentBytes ?? R.toBytes();
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    const message = utf8(`${name} ${attempt}`);
    const k = challenge({ key, commitment: commitmentBytes, message });
    const holds = (BigInt(commitmentTorsion) + k * BigInt(keyTorsion)) % 8n === 0n;
    if (holds !== kind.equation) continue;
    const signature = concatBytes(commitmentBytes, littleEndian((r + k * a) % L));
    return vector({ name, message, key, signature, valid });
  }
  throw new Error(`no message gives the class of "${name}"`);
}

function vector(parts: {
  readonly name: string;
  readonly message: Uint8Array;
  readonly key: Uint8Array;
  readonly signature: Uint8Array;
  readonly valid: boolean;
}): EdgeVector {
  return {
    name: parts.name,
    message: bytesToHex(parts.message),
    publicKey: bytesToHex(parts.key),
    signature: bytesToHex(parts.signature),
    valid: parts.valid,
  };
}

/** Encodings that strict decoding refuses, of points of small order. */
function oddEncodings(): { name: string; bytes: Uint8Array; index: number }[] {
  const sign = 1n << 255n;
  const values: [string, bigint][] = [
    ["y = p", P],
    ["y = p with sign", P + sign],
    ["y = p + 1", P + 1n],
    ["y = p + 1 with sign", P + 1n + sign],
    ["y = 1 with sign", 1n + sign],
    ["y = -1 with sign", P - 1n + sign],
  ];
  return values.map(([name, value]) => {
    const bytes = littleEndian(value);
    const point = Point.fromBytes(bytes, true);
    return { name, bytes, index: torsion.findIndex((other) => other.equals(point)) };
  });
}

function torsionVectors(): EdgeVector[] {
  const vectors: EdgeVector[] = [];
  for (let index = 1; index < 8; index += 1) {
    const torsioned = { commitmentTorsion: index, equation: false };
    vectors.push(signatureOf(`R with torsion ${index}`, torsioned, false));
    const mixed = { keyTorsion: index, commitmentTorsion: index };
    vectors.push(
      signatureOf(`A, R with torsion ${index}, exact`, { ...mixed, equation: true }, true),
    );
    const cofactored = { ...mixed, equation: false };
    vectors.push(signatureOf(`A, R with torsion ${index}, times 8 only`, cofactored, false));
    const key = { keyTorsion: index };
    vectors.push(signatureOf(`A with torsion ${index}, exact`, { ...key, equation: true }, true));
    vectors.push(
      signatureOf(`A with torsion ${index}, times 8 only`, { ...key, equation: false }, false),
    );
  }
  return vectors;
}

function smallOrderVectors(): EdgeVector[] {
  const vectors: EdgeVector[] = [];
  for (let index = 0; index < 8; index += 1) {
    const A: Class = { keyTorsion: index, bareKey: true, equation: true };
    vectors.push(signatureOf(`A of small order ${index}`, A, false));
    const both: Class = { ...A, commitmentTorsion: index, bareCommitment: true };
    vectors.push(signatureOf(`A and R of small order ${index}, S = 0`, both, false));
    const R: Class = {
      keyTorsion: 1,
      commitmentTorsion: index,
      bareCommitment: true,
      equation: true,
    };
    vectors.push(signatureOf(`A with torsion, R of small order ${index}, exact`, R, false));
  }
  const identity: Class = { bareCommitment: true, equation: true };
  vectors.push(signatureOf("R is the identity", identity, false));
  for (const { name, bytes, index } of oddEncodings()) {
    const A: Class = { bareKey: true, keyTorsion: index, keyBytes: bytes, equation: true };
    vectors.push(signatureOf(`A encoded as ${name}`, A, false));
    const R: Class = {
      keyTorsion: 1,
      bareCommitment: true,
      commitmentTorsion: index,
      commitmentBytes: bytes,
      equation: true,
    };
    vectors.push(signatureOf(`R encoded as ${name}`, R, false));
  }
  return vectors;
}

/** Cases made from a good signature by changing one thing. */
function changedVectors(): EdgeVector[] {
  const good = signatureOf("ordinary", { equation: true }, true);
  const R = good.signature.slice(0, 64);
  const S = integerOf(Uint8Array.from(Buffer.from(good.signature.slice(64), "hex")));
  const withS = (name: string, value: bigint) => ({
    ...good,
    name,
    signature: R + bytesToHex(littleEndian(value)),
    valid: false,
  });
  const flip = (hex: string, byte: number, mask: number) => {
    const bytes = Buffer.from(hex, "hex");
    bytes[byte] = (bytes[byte] as number) ^ mask;
    return bytes.toString("hex");
  };
  return [
    good,
    withS("S + L", S + L),
    withS("S + 8 L", S + 8n * L),
    withS("S + 14 L, all high bits used", S + 14n * L),
    withS("S = L", L),
    withS("S = 0", 0n),
    withS("S = 2^256 - 1", (1n << 256n) - 1n),
    withS("S = -S", L - S),
    { ...good, name: "sign of R flipped", signature: flip(good.signature, 31, 0x80), valid: false },
    {
      ...good,
      name: "lowest bit of R flipped",
      signature: flip(good.signature, 0, 1),
      valid: false,
    },
    { ...good, name: "sign of A flipped", publicKey: flip(good.publicKey, 31, 0x80), valid: false },
    { ...good, name: "other message", message: flip(good.message, 0, 1), valid: false },
    { ...good, name: "empty signature", signature: "", valid: false },
    {
      ...good,
      name: "signature of 63 bytes",
      signature: good.signature.slice(0, 126),
      valid: false,
    },
    { ...good, name: "signature of 65 bytes", signature: `${good.signature}00`, valid: false },
    { ...good, name: "key of 31 bytes", publicKey: good.publicKey.slice(0, 62), valid: false },
    { ...good, name: "key in capitals", publicKey: good.publicKey.toUpperCase(), valid: false },
    { ...good, name: "A is no point", publicKey: bytesToHex(notOnCurve()), valid: false },
    { ...good, name: "A is not canonical, of large order", publicKey: largeOdd(), valid: false },
  ];
}

function notOnCurve(): Uint8Array {
  for (let y = 2n; ; y += 1n) if (pointAt(y) === undefined) return littleEndian(y);
}

/** A point with y in p..2^255-1 that has not small order: refused only for its encoding. */
function largeOdd(): string {
  for (let y = 2n; y < 19n; y += 1n) {
    const point = pointAt(y);
    if (point !== undefined && !point.isSmallOrder()) return bytesToHex(littleEndian(P + y));
  }
  throw new Error("no such point");
}

/** The table of signatures. */
export function edgeVectors(): EdgeVector[] {
  return [...changedVectors(), ...torsionVectors(), ...smallOrderVectors()];
}

/** The table of keys. */
export function edgeKeys(): EdgeKey[] {
  const rows: [string, Uint8Array, boolean][] = [
    ["of prime order", prime.toBytes(), true],
    ["the base point", Point.BASE.toBytes(), true],
    ["no point", notOnCurve(), false],
  ];
  torsion.forEach((part, index) => {
    rows.push([`of small order ${index}`, part.toBytes(), false]);
    if (index > 0) rows.push([`with torsion ${index}`, prime.add(part).toBytes(), false]);
  });
  for (const { name, bytes } of oddEncodings()) rows.push([name, bytes, false]);
  const keys = rows.map(([name, bytes, enrolled]) => ({
    name,
    publicKey: bytesToHex(bytes),
    enrolled,
  }));
  const large = { name: "not canonical, of large order", publicKey: largeOdd(), enrolled: false };
  return [...keys, large];
}

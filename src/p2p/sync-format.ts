/**
 * Bytes of sync requests and of the short answers; sync.ts sends them. The head of sync.ts has the
 * table.
 */
import { bytesToHex, concatBytes, hexToBytes, utf8, utf8Text } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";

/** Where a peer's chain ends, and what its clock shows. */
export type SyncStatus = {
  readonly height: number;
  readonly hash: Hash;
  /** UTC milliseconds, when it answered. */
  readonly clockMs: number;
};

/** What a peer is asked for. */
export type SyncRequest =
  | { readonly kind: "status" }
  | { readonly kind: "blocks"; readonly from: number; readonly countMax: number }
  | { readonly kind: "manifest"; readonly height: number }
  | { readonly kind: "chunk"; readonly height: number; readonly from: string };

const blocksRequestBytes = 13;
const manifestRequestBytes = 9;
/** The longest request, in bytes. */
export const requestBytesMax = manifestRequestBytes + limits.stateKeyBytesMax;
const statusBytes = 48;
const clockOffset = 40;
const answered = 0;
/** The whole answer of a node that is busy, or does not understand. */
export const refusal = Uint8Array.of(1);
const gone = 2;
const goneBytes = 9;
/** Each block costs four bytes for its length, and the first byte says how it went. */
export const responseBytesMax = limits.syncBytesMax + 4 * limits.syncBlocksMax + 1;

/** Returns the bytes of a request. */
export function encodeSyncRequest(request: SyncRequest): Uint8Array {
  if (request.kind === "status") return Uint8Array.of(0);
  if (request.kind === "manifest") return encodeHeight(2, request.height);
  if (request.kind === "chunk")
    return concatBytes(encodeHeight(3, request.height), utf8(request.from));
  const bytes = new Uint8Array(blocksRequestBytes);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 1);
  view.setBigUint64(1, BigInt(request.from));
  view.setUint32(9, request.countMax);
  return bytes;
}

/**
 * Returns the request that the bytes stand for.
 *
 * @throws {LedgerError} P2P_FRAME_INVALID when they stand for none.
 */
export function decodeSyncRequest(bytes: Uint8Array): SyncRequest {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 1 && bytes[0] === 0) return { kind: "status" };
  if (bytes.length === manifestRequestBytes && bytes[0] === 2)
    return { kind: "manifest", height: readHeight(view, 1, "sync request") };
  if (bytes.length >= manifestRequestBytes && bytes[0] === 3)
    return decodeChunkRequest(bytes, view);
  if (bytes.length !== blocksRequestBytes || bytes[0] !== 1) {
    throw invalid("sync request", "is of an unknown form");
  }
  const from = readHeight(view, 1, "sync request");
  const countMax = view.getUint32(9);
  if (countMax === 0 || countMax > limits.syncBlocksMax) {
    throw invalid("sync request", `asks for 0 or over ${limits.syncBlocksMax} blocks`);
  }
  return { kind: "blocks", from, countMax };
}

function decodeChunkRequest(bytes: Uint8Array, view: DataView): SyncRequest {
  const height = readHeight(view, 1, "sync request");
  try {
    return { kind: "chunk", height, from: utf8Text(bytes.subarray(manifestRequestBytes)) };
  } catch {
    throw invalid("sync request", "has a key that is not UTF-8");
  }
}

/** The answer of a node that has no more what was asked for. */
export function encodeGone(height: number): Uint8Array {
  return encodeHeight(gone, height);
}

function encodeHeight(first: number, height: number): Uint8Array {
  const bytes = new Uint8Array(9);
  bytes[0] = first;
  new DataView(bytes.buffer).setBigUint64(1, BigInt(height));
  return bytes;
}

/** Returns the body of an answer to a status request. */
export function encodeSyncStatus(status: SyncStatus): Uint8Array {
  const bytes = new Uint8Array(statusBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(status.height));
  bytes.set(hexToBytes(status.hash), 8);
  view.setBigUint64(clockOffset, BigInt(status.clockMs));
  return bytes;
}

/**
 * Returns the status that the bytes stand for.
 *
 * @throws {LedgerError} P2P_FRAME_INVALID when they stand for none.
 */
export function decodeSyncStatus(bytes: Uint8Array): SyncStatus {
  if (bytes.length !== statusBytes) throw invalid("sync status", `is not ${statusBytes} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    height: readHeight(view, 0, "sync status"),
    hash: bytesToHex(bytes.subarray(8, clockOffset)),
    clockMs: readSafe(view, clockOffset, { frame: "sync status", what: "clock" }),
  };
}

function readHeight(view: DataView, offset: number, frame: string): number {
  return readSafe(view, offset, { frame, what: "height" });
}

function readSafe(
  view: DataView,
  offset: number,
  { frame, what }: { readonly frame: string; readonly what: string },
): number {
  const value = view.getBigUint64(offset);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(frame, `has a ${what} over 2^53`);
  return Number(value);
}

/** Makes the error for a frame of sync. */
export function invalid(frame: string, reason: string): LedgerError {
  return new LedgerError("P2P_FRAME_INVALID", { frame, reason });
}

/** Returns the answer with a body. */
export function answerOf(body: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(answered), body);
}

/**
 * Returns the body of an answer.
 *
 * @throws {LedgerError} P2P_FRAME_INVALID when it is a refusal, P2P_SYNC_PRUNED.
 */
export function bodyOf(
  response: Uint8Array,
  peer: PublicKey,
  request: SyncRequest["kind"],
): Uint8Array {
  if (response[0] === answered) return response.subarray(1);
  if (response[0] !== gone || response.length !== goneBytes)
    throw invalid("sync response", "is a refusal");
  const view = new DataView(response.buffer, response.byteOffset, response.byteLength);
  const height = readHeight(view, 1, "sync response");
  throw new LedgerError("P2P_SYNC_PRUNED", { peer, request, height });
}

/**
 * Bytes of a snapshot as they go from node to node: a manifest that says what the state is proven
 * by, then chunks, each a range of keys with values and its proof. snapshot-verify.ts judges them.
 *
 * Manifest: `[version 0, bin chainId, [bin header, ...], bin certificate, [change, ...]]`
 *
 * | part | meaning |
 * |---|---|
 * | headers | from the beginning of the epoch of proposers (proposer-schedule.ts) up to the one that the certificate is for, whose state the snapshot is |
 * | change | `[bin header, bin certificate, [bin validator key, ...]]`: a block after which the validators changed, and who they are then; all since the genesis, ascending |
 *
 * Chunk: `[to or nil, [[key, value], ...], before, after, [[splitBit, bin hash], ...], the same]`
 *
 * | part | meaning |
 * |---|---|
 * | to | first key of the next chunk, that of `after`; nil: this was the last |
 * | entries | all keys with their values from where the chunk begins up to `to`, ascending |
 * | before, after | `nil` or `[key, bin value hash]`: the leaves next to the range |
 * | the two lists | closed nodes to the left and to the right (state-proof.ts) |
 */
import { hexToBytes } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { decodeHeader, encodeHeader, type Header } from "../base/format/block.ts";
import { encode, type Value } from "../base/format/codec.ts";
import { type Certificate, decodeCertificate, encodeCertificate } from "../base/format/message.ts";
import { TupleReader } from "../base/format/tuple.ts";
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import type { RangeProof, Sibling, StateLeaf } from "../base/proof/state-proof.ts";
import type { CertifiedChange } from "../base/proof/validator-sets.ts";
import { scheduleEpochHeights } from "../base/proposer-schedule.ts";

/** What proves the root of a snapshot to whoever has the genesis. */
export type SnapshotManifest = {
  readonly chainId: Hash;
  /** Ascending without a gap; the last one is the snapshot's. */
  readonly headers: readonly Header[];
  readonly certificate: Certificate;
  /** All since the genesis, ascending. */
  readonly changes: readonly CertifiedChange[];
};

/** A proven stretch of the state. */
export type SnapshotChunk = {
  /** First key of the next chunk; `undefined` at the end. */
  readonly to: string | undefined;
  readonly entries: readonly (readonly [key: string, value: string])[];
  readonly proof: RangeProof;
};

const version = 0;

/** Encodes a manifest. */
export function encodeManifest(manifest: SnapshotManifest): Uint8Array {
  const { chainId, headers, certificate, changes } = manifest;
  return encode([
    version,
    hexToBytes(chainId),
    headers.map(encodeHeader),
    encodeCertificate(certificate),
    changes.map((change) => [
      encodeHeader(change.header),
      encodeCertificate(change.certificate),
      change.validators.map(hexToBytes),
    ]),
  ]);
}

/** Decodes a manifest that a peer sent. @throws {LedgerError} CODEC_INVALID */
export function decodeManifest(bytes: Uint8Array): SnapshotManifest {
  const reader = TupleReader.decode(bytes, "snapshot manifest");
  if (reader.integer("version") !== version)
    throw new LedgerError("CODEC_INVALID", {
      type: "snapshot manifest",
      path: "version",
      reason: "expected 0",
    });
  const chainId = reader.hash("chainId");
  const headers = reader.list("headers", scheduleEpochHeights, (value, type) =>
    decodeHeader(bytesOf(value, type)),
  );
  const certificate = decodeCertificate(reader.bytes("certificate"));
  const changes = reader.list("changes", limits.snapshotValidatorChangesMax, readChange);
  reader.end();
  return { chainId, headers, certificate, changes };
}

/** Encodes a chunk. */
export function encodeChunk({ to, entries, proof }: SnapshotChunk): Uint8Array {
  const { before, after, left, right } = proof;
  return encode([
    to ?? null,
    entries,
    leafValue(before),
    leafValue(after),
    ...[left, right].map(siblingValues),
  ]);
}

/** Decodes a chunk that a peer sent. @throws {LedgerError} CODEC_INVALID */
export function decodeChunk(bytes: Uint8Array): SnapshotChunk {
  const reader = TupleReader.decode(bytes, "snapshot chunk");
  const to = reader.value("to");
  const entries = reader.list("entries", limits.snapshotChunkEntriesMax, readEntry);
  const before = readLeaf(reader.value("before"));
  const after = readLeaf(reader.value("after"));
  const left = reader.list("left", limits.tupleElementsMax, readSibling);
  const right = reader.list("right", limits.tupleElementsMax, readSibling);
  reader.end();
  return {
    to: to === null ? undefined : textOf(to, "to"),
    entries,
    proof: { before, after, left, right },
  };
}

function readChange(value: Value, type: string): CertifiedChange {
  const reader = TupleReader.of(value, type);
  const header = decodeHeader(reader.bytes("header"));
  const certificate = decodeCertificate(reader.bytes("certificate"));
  const validators = reader.list("validators", limits.validatorsMax, (key, keyType) =>
    TupleReader.of([key], keyType).hash("key"),
  );
  reader.end();
  return { header, certificate, validators };
}

function readEntry(value: Value, type: string): readonly [key: string, value: string] {
  const reader = TupleReader.of(value, type);
  const entry = [reader.text("key"), reader.text("value")] as const;
  reader.end();
  return entry;
}

function readLeaf(value: Value): StateLeaf | undefined {
  if (value === null) return undefined;
  const reader = TupleReader.of(value, "state leaf");
  const leaf = { key: reader.text("key"), valueHash: reader.hash("valueHash") };
  reader.end();
  return leaf;
}

function readSibling(value: Value, type: string): Sibling {
  const reader = TupleReader.of(value, type);
  const sibling = [reader.integer("splitBit"), reader.hash("hash")] as const;
  reader.end();
  return sibling;
}

function leafValue(leaf: StateLeaf | undefined): Value {
  return leaf === undefined ? null : [leaf.key, hexToBytes(leaf.valueHash)];
}

function siblingValues(siblings: readonly Sibling[]): Value {
  return siblings.map(([splitBit, hash]) => [splitBit, hexToBytes(hash)]);
}

function textOf(value: Value, field: string): string {
  return TupleReader.of([value], "snapshot chunk").text(field);
}

function bytesOf(value: Value, type: string): Uint8Array {
  return TupleReader.of([value], type).bytes("header");
}

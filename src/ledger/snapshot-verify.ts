/**
 * Judges snapshots. Who sends one is believed nothing: the manifest must lead from the validators
 * of the genesis to a certified header, and each chunk by itself must be a range of that header's
 * state, whole and nothing besides. So a chunk is stored or refused the moment it comes.
 */
import { LedgerError } from "../base/errors.ts";
import { type Header, headerHash, validatorsHash } from "../base/format/block.ts";
import type { GenesisBlock } from "../base/format/genesis.ts";
import { type Hash, valueHashOf } from "../base/hash.ts";
import type { PublicKey, Verifier } from "../base/keys.ts";
import { verifyCertificate } from "../base/proof/certificate.ts";
import { verifyRange } from "../base/proof/state-proof.ts";
import { ValidatorSets } from "../base/proof/validator-sets.ts";
import { scheduleBase } from "../base/proposer-schedule.ts";
import type { KeptHeader } from "./base-record.ts";
import type { SnapshotChunk, SnapshotManifest } from "./snapshot-format.ts";

/** A block known from elsewhere, such as another stakeholder's word. */
export type Checkpoint = { readonly height: number; readonly hash: Hash };

/** What a manifest proves. */
export type ProvenHeader = {
  readonly header: Header;
  /** Those who could sign it, sorted ascending. */
  readonly validators: readonly PublicKey[];
};

/** What a manifest is held against. */
export type SnapshotContext = {
  readonly genesis: GenesisBlock;
  readonly verifier: Verifier;
  /** Must be on the chain of the snapshot, and seen to be. */
  readonly checkpoint?: Checkpoint | undefined;
  /**
   * Newest header of a ledger that is there. What is above must go on from its validators: those of
   * former sets may certify another chain by now.
   */
  readonly tip?: Header | undefined;
};

/**
 * Checks that a manifest proves its last header.
 *
 * @returns That header: its state root is what chunks are held against.
 * @throws {LedgerError} SNAPSHOT_INVALID
 */
export function verifyManifest(manifest: SnapshotManifest, context: SnapshotContext): ProvenHeader {
  const { chainId, headers, certificate, changes } = manifest;
  const { genesis, verifier, checkpoint, tip } = context;
  const last = headers.at(-1);
  const height = last?.height ?? 0;
  if (chainId !== genesis.chainId) throw invalid(height, "it is of another chain");
  if (last === undefined || height === 0) throw invalid(height, "it has no header");
  checkLinks(headers, height);
  if (changes.some(({ header }) => header.height > height))
    throw invalid(height, "it has a change of the validators above it");
  const sets = certified(height, () => {
    const sets = new ValidatorSets(genesis, verifier);
    for (const change of changes)
      if (!sets.followOne(change)) throw invalid(height, "it names a change twice");
    verifyCertificate(certificate, last, { chainId, validators: sets.at(height), verifier });
    return sets;
  });
  if (checkpoint !== undefined && checkpoint.height <= height)
    checkCheckpoint(manifest, checkpoint);
  if (tip !== undefined && tip.height < height) checkTip(manifest, sets, tip);
  return { header: last, validators: sets.at(height) };
}

/**
 * Checks that a chunk is the range of the state that begins at a key, whole.
 *
 * @param from - Empty for the first chunk, else `to` of the one before.
 * @throws {LedgerError} SNAPSHOT_INVALID
 */
export function verifyChunk(
  { to, entries, proof }: SnapshotChunk,
  from: string,
  { height, stateRoot }: Header,
): void {
  const hashed = entries.map(([key, value]) => [key, valueHashOf(value)] as const);
  const claim = { range: { from, to }, entries: hashed };
  // A chunk that brings nothing would be asked for again and again. The last one may: a download
  // that an earlier version began may have come to the end of the state.
  if (entries.length === 0 && to !== undefined)
    throw invalid(height, `chunk from ${from}: it is empty`);
  // The next chunk is asked for by this end: were it any text up to the next key, it could be one
  // that no honest peer takes for a key, and is kept across restarts.
  if (to !== proof.after?.key)
    throw invalid(height, `chunk from ${from}: it does not end where the next key begins`);
  if (!verifyRange(proof, claim, stateRoot))
    throw invalid(height, `chunk from ${from}: it is not that range of the certified state`);
}

/** What stays of the headers of a manifest. */
export function keptOf({ headers, certificate, changes }: SnapshotManifest): KeptHeader[] {
  const kept = new Map<number, KeptHeader>();
  for (const header of headers) kept.set(header.height, { header, certificate: undefined });
  for (const change of changes) kept.set(change.header.height, change);
  const last = headers.at(-1) as Header;
  return [...kept.set(last.height, { header: last, certificate }).values()];
}

function checkLinks(headers: readonly Header[], height: number): void {
  if (headers[0]?.height !== scheduleBase(height + 1))
    throw invalid(height, "its headers do not begin with the epoch of proposers");
  for (const [index, header] of headers.entries()) {
    const parent = headers[index - 1];
    if (parent === undefined) continue;
    if (header.height !== parent.height + 1 || header.parentHash !== headerHash(parent))
      throw invalid(height, `header ${header.height} does not follow the one before`);
  }
}

/** A change must be seen to be on the chain: what cannot be linked to it proves nothing. */
function checkCheckpoint(manifest: SnapshotManifest, checkpoint: Checkpoint): void {
  const { height, hash } = checkpoint;
  const headers = [...manifest.headers, ...manifest.changes.map(({ header }) => header)];
  const found = headers.find((header) => header.height === height);
  const at = manifest.headers.at(-1)?.height ?? 0;
  if (found === undefined)
    throw invalid(at, `the checkpoint at ${height} is too old to be seen from this snapshot`);
  if (headerHash(found) !== hash)
    throw invalid(at, `the block at the checkpoint ${height} is another one`);
}

function checkTip({ headers }: SnapshotManifest, sets: ValidatorSets, tip: Header): void {
  const at = headers.at(-1)?.height ?? 0;
  if (validatorsHash(sets.at(tip.height + 1)) !== tip.nextValidatorsHash)
    throw invalid(at, `it names other validators after ${tip.height} than the ledger here`);
  const same = headers.find(({ height }) => height === tip.height);
  if (same !== undefined && headerHash(same) !== headerHash(tip))
    throw invalid(at, `the block at ${tip.height} is another one than that of the ledger here`);
}

function certified<T>(height: number, verify: () => T): T {
  try {
    return verify();
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new LedgerError("SNAPSHOT_INVALID", { height, reason: cause.message }, { cause });
  }
}

function invalid(height: number, reason: string): LedgerError {
  return new LedgerError("SNAPSHOT_INVALID", { height, reason });
}

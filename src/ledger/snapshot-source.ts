/**
 * Serves snapshots: the manifest and the chunks of the state at the newest snapshot heights, made
 * from what the store holds anyway. Nothing is written for it.
 *
 * Values of an older height come from the current state where that is as old, else from the
 * history. The proof is of the tree of that height, which the store keeps or makes again.
 */
import { LedgerError } from "../base/errors.ts";
import type { Hash } from "../base/hash.ts";
import { valueHashOf } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import type { CertifiedChange } from "../base/proof/validator-sets.ts";
import { scheduleBase } from "../base/proposer-schedule.ts";
import { entriesOf } from "./database.ts";
import { decodeRecord, recordKeys, stateKeyOf } from "./records.ts";
import { encodeChunk, encodeManifest } from "./snapshot-format.ts";
import { decodeStateRecord, snapshotHeights } from "./state-store.ts";
import type { StateTree } from "./state-tree.ts";
import type { LedgerStore } from "./store.ts";
import { readValidatorsRows } from "./system-entries.ts";

/** Bounds of one chunk; it holds at least one entry. */
type ChunkBounds = { readonly bytesMax: number; readonly entriesMax: number };

/** What a reader must accept is no more than this. */
const chunkBounds: ChunkBounds = {
  bytesMax: limits.snapshotChunkBytesMax,
  entriesMax: limits.snapshotChunkEntriesMax,
};

/** What is served. */
export type SnapshotServing = Pick<SnapshotSource, "heights" | "manifest" | "chunk">;

/** Makes manifests and chunks of one store. */
export class SnapshotSource {
  readonly #store: LedgerStore;
  readonly #bounds: ChunkBounds;
  /** A manifest may take reading a thousand headers. */
  readonly #manifests = new Map<number, Promise<Uint8Array>>();

  constructor(store: LedgerStore, bounds: ChunkBounds = chunkBounds) {
    this.#store = store;
    this.#bounds = bounds;
  }

  /** Heights of the snapshots that are served, the newest first. */
  get heights(): number[] {
    const { state, tip, baseHeight } = this.#store;
    return snapshotHeights(state, tip.height).filter((height) => height >= baseHeight);
  }

  /**
   * Returns the manifest of a snapshot; `undefined` when there is none of this height.
   *
   * @throws {LedgerError} what reading headers throws.
   */
  manifest(height: number): Promise<Uint8Array | undefined> {
    const { heights } = this;
    for (const old of this.#manifests.keys())
      if (!heights.includes(old)) this.#manifests.delete(old);
    if (!heights.includes(height)) return Promise.resolve(undefined);
    const known = this.#manifests.get(height);
    if (known !== undefined) return known;
    const made = this.#makeManifest(height);
    this.#manifests.set(height, made);
    made.catch(() => this.#manifests.delete(height));
    return made;
  }

  /**
   * Returns the chunk of a snapshot that begins at a key; `undefined` when there is no snapshot of
   * this height.
   *
   * @throws {LedgerError} LEDGER_STATE_CORRUPT, LEDGER_RECORD_CORRUPT
   */
  async chunk(height: number, from: string): Promise<Uint8Array | undefined> {
    if (!this.heights.includes(height)) return undefined;
    const tree = await this.#store.snapshotTree(height);
    if (tree === undefined) return undefined;
    const keys = tree.keys({ from, limit: this.#bounds.entriesMax });
    const entries = await this.#entries(keys, tree, height);
    const limit = Math.max(1, entries.length);
    const { range, proof } = tree.proveRange({ from, to: undefined, limit });
    return encodeChunk({ to: range.to, entries, proof });
  }

  async #makeManifest(height: number): Promise<Uint8Array> {
    const store = this.#store;
    const headers = [];
    for (let each = scheduleBase(height + 1); each <= height; each += 1)
      headers.push(await store.readHeader(each));
    const { certificate } = await this.#certified(height);
    const rows = readValidatorsRows(store.state).filter((row) => row.height <= height);
    const changes: CertifiedChange[] = [];
    for (const row of rows)
      changes.push({ ...(await this.#certified(row.height)), validators: row.validators });
    return encodeManifest({ chainId: store.chainId, headers, certificate, changes });
  }

  async #certified(height: number) {
    const { header, certificate } = (await this.#store.readCertified(height)) ?? {};
    if (header === undefined || certificate === undefined)
      throw new LedgerError("LEDGER_HOLE", { height });
    return { header, certificate };
  }

  /** Values of as many of the keys as a chunk may hold. */
  async #entries(
    keys: readonly string[],
    tree: StateTree,
    height: number,
  ): Promise<[key: string, value: string][]> {
    const current = await this.#currentValues(keys, height);
    const entries: [string, string][] = [];
    let bytes = 0;
    for (const key of keys) {
      const value = current.get(key) ?? (await this.#store.readValueAt(key, height))?.value;
      if (value === undefined || valueHashOf(value) !== (tree.get(key) as Hash)) {
        const reason = `value of ${key} at height ${height} is missing or another one`;
        throw new LedgerError("LEDGER_STATE_CORRUPT", { height: this.#store.tip.height, reason });
      }
      bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
      if (entries.length > 0 && bytes > this.#bounds.bytesMax) break;
      entries.push([key, value]);
    }
    return entries;
  }

  /** Current values that were written up to a height, as many as one chunk may need. */
  async #currentValues(keys: readonly string[], height: number): Promise<Map<string, string>> {
    const values = new Map<string, string>();
    const [first] = keys;
    const last = keys.at(-1);
    if (first === undefined || last === undefined) return values;
    let bytes = 0;
    // A key that ends with the least character follows the last one at once.
    const range = { gte: recordKeys.state(first), lt: `${recordKeys.state(last)}\u0000` };
    for await (const [recordKey, record] of entriesOf(this.#store.records.database, range)) {
      bytes += record.length;
      if (bytes > 2 * this.#bounds.bytesMax) break;
      const { value, writtenAt } = decodeStateRecord(decodeRecord(recordKey, record));
      if (writtenAt <= height) values.set(stateKeyOf(recordKey), value);
    }
    return values;
  }
}

/**
 * Puts a snapshot together in a database of its own, chunk by chunk, until that is a whole ledger
 * store whose base is the snapshot. The caller then puts it into the place of the ledger.
 *
 * Invariants:
 *
 * (1) Only chunks that are proven under the certified root are written, each in one synced batch
 *     with where to go on: after a kill the download goes on or begins anew.
 * (2) As long as the record `m/snapshot` is there, it is no ledger store; it goes in the batch that
 *     makes it one.
 */
import { assert } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import type { Header } from "../base/format/block.ts";
import { headerHash } from "../base/format/block.ts";
import { encode } from "../base/format/codec.ts";
import { TupleReader } from "../base/format/tuple.ts";
import { isStateKey } from "../base/proof/state-proof.ts";
import { baseOperation, keptOperation } from "./base-record.ts";
import { blockOfGenesis, blockOperations, receiptOperations, tipOperation } from "./block-store.ts";
import { type Database, keysOf, type Operation } from "./database.ts";
import { encodeHistory } from "./history.ts";
import { decodeRecord, putRecord, recordKeys, unlessDamaged } from "./records.ts";
import { decodeChunk, decodeManifest, type SnapshotManifest } from "./snapshot-format.ts";
import { keptOf, type SnapshotContext, verifyChunk, verifyManifest } from "./snapshot-verify.ts";
import { encodeStateValue, StateStore } from "./state-store.ts";

/** Where a download is. */
type Progress = {
  readonly manifestBytes: Uint8Array;
  readonly manifest: SnapshotManifest;
  readonly header: Header;
  /** First key of the next chunk; `undefined` when there is none. */
  readonly next: string | undefined;
  /** How many are here. */
  readonly chunks: number;
};

/** Operations of one batch when a download begins anew. */
const wipeBatchOperations = 1_000;

/** A snapshot that is being put together. */
export class SnapshotWriter {
  readonly #database: Database;
  readonly #context: SnapshotContext;
  #progress: Progress | undefined;

  private constructor(
    database: Database,
    context: SnapshotContext,
    progress: Progress | undefined,
  ) {
    this.#database = database;
    this.#context = context;
    this.#progress = progress;
  }

  /** Opens a database in which a download was begun, or an empty one. */
  static async open(database: Database, context: SnapshotContext): Promise<SnapshotWriter> {
    return new SnapshotWriter(database, context, await readProgress(database, context));
  }

  /** Height of the snapshot that is being fetched; `undefined` before `begin`. */
  get height(): number | undefined {
    return this.#progress?.header.height;
  }

  /** How many chunks are here. */
  get chunks(): number {
    return this.#progress?.chunks ?? 0;
  }

  /** First key of the chunk to fetch next; `undefined` when all are here. */
  get next(): string | undefined {
    assert(this.#progress !== undefined, "a snapshot was begun");
    return this.#progress.next;
  }

  /**
   * Begins a download; what was there before goes.
   *
   * @param manifestBytes - Verified already.
   */
  async begin(manifestBytes: Uint8Array): Promise<void> {
    const manifest = decodeManifest(manifestBytes);
    const { header } = verifyManifest(manifest, this.#context);
    this.#progress = undefined;
    await this.#wipe();
    const progress = { manifestBytes, manifest, header, next: "", chunks: 0 };
    await this.#database.batch([progressOperation(progress)], { sync: true });
    this.#progress = progress;
  }

  /**
   * Verifies a chunk and keeps it.
   *
   * @param bytes - What a peer answered for `next`.
   * @throws {LedgerError} SNAPSHOT_INVALID or CODEC_INVALID: then nothing was kept of it.
   */
  async add(bytes: Uint8Array): Promise<void> {
    const progress = this.#progress;
    assert(progress?.next !== undefined, "a chunk is added while one is wanted");
    const chunk = decodeChunk(bytes);
    verifyChunk(chunk, progress.next, progress.header);
    const { height } = progress.header;
    const after = { ...progress, next: chunk.to, chunks: progress.chunks + 1 };
    const operations = chunk.entries.flatMap(([key, value]) => [
      putRecord(recordKeys.state(key), encodeStateValue(value, height)),
      putRecord(recordKeys.history(key, height), encodeHistory(value)),
    ]);
    await this.#database.batch([...operations, progressOperation(after)], { sync: true });
    this.#progress = after;
  }

  /**
   * Makes a ledger store of it. The whole state is read and checked once more.
   *
   * @throws {LedgerError} LEDGER_STATE_CORRUPT: then begin anew.
   */
  async finish(): Promise<{ readonly height: number }> {
    const progress = this.#progress;
    assert(progress !== undefined && progress.next === undefined, "all chunks are here");
    const { header, manifest } = progress;
    const { height, stateRoot } = header;
    await StateStore.load(this.#database, { height, root: stateRoot });
    const { genesis } = this.#context;
    const hash = headerHash(header);
    const operations: Operation[] = [
      ...blockOperations(blockOfGenesis(genesis), undefined),
      ...receiptOperations(0, [], []),
      ...keptOf(manifest).map(keptOperation),
      baseOperation({ height, hash }),
      tipOperation({ chainId: genesis.chainId, height, hash }),
      { type: "del", key: recordKeys.snapshot },
    ];
    await this.#database.batch(operations, { sync: true });
    this.#progress = undefined;
    return { height };
  }

  /** Where to go on goes first, so that what a kill leaves is not gone on with. */
  async #wipe(): Promise<void> {
    let operations: Operation[] = [{ type: "del", key: recordKeys.snapshot }];
    for await (const key of keysOf(this.#database, { gte: "", lt: "~" })) {
      operations.push({ type: "del", key });
      if (operations.length < wipeBatchOperations) continue;
      await this.#database.batch(operations, { sync: false });
      operations = [];
    }
    await this.#database.batch(operations, { sync: true });
  }
}

function progressOperation({ manifestBytes, next, chunks }: Progress): Operation {
  return putRecord(recordKeys.snapshot, encode([manifestBytes, next ?? null, chunks]));
}

/** What cannot be read, or is not valid for this genesis and checkpoint, is begun anew. */
async function readProgress(
  database: Database,
  context: SnapshotContext,
): Promise<Progress | undefined> {
  const record = await database.get(recordKeys.snapshot);
  if (record === undefined) return undefined;
  const read = async (): Promise<Progress> => {
    const reader = TupleReader.decode(decodeRecord(recordKeys.snapshot, record), "progress");
    const manifestBytes = Uint8Array.from(reader.bytes("manifest"));
    const next = reader.value("next");
    const chunks = reader.integer("chunks");
    reader.end();
    const manifest = decodeManifest(manifestBytes);
    const { header } = verifyManifest(manifest, context);
    const from = typeof next === "string" ? next : undefined;
    // Earlier versions let a liar choose it, also such as no peer takes for a key.
    if (from !== undefined && from !== "" && !isStateKey(from))
      throw new LedgerError("CODEC_INVALID", { type: "progress", path: "next", reason: "no key" });
    return { manifestBytes, manifest, header, next: from, chunks };
  };
  return unlessDamaged(read());
}

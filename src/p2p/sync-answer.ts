/**
 * What a node answers when a peer catches up: the bytes of sync-format.ts, made from what the node
 * has. Carrying them, and whom to refuse, is the matter of sync.ts.
 */
import { isLedgerError } from "../base/errors.ts";
import { hash32Pattern } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import { encodeList } from "./frame.ts";
import {
  answerOf,
  encodeGone,
  encodeSyncStatus,
  type SyncRequest,
  type SyncStatus,
} from "./sync-format.ts";

/** What this node answers with. */
export interface SyncSource {
  status(): SyncStatus;
  /**
   * Gives blocks from a height on, dense, within both bounds; none when it has none.
   *
   * @throws {LedgerError} LEDGER_PRUNED when it has them no more.
   */
  readBlocks(from: number, countMax: number, bytesMax: number): Promise<readonly Uint8Array[]>;
  /** Absent on a node that serves no snapshots. */
  readonly snapshots?: SnapshotServing | undefined;
}

/** Where snapshots come from. Both give `undefined` for a height that has none (any more). */
export interface SnapshotServing {
  /** Heights that are served, the newest first. */
  readonly heights: readonly number[];
  manifest(height: number): Promise<Uint8Array | undefined>;
  chunk(height: number, from: string): Promise<Uint8Array | undefined>;
}

/**
 * Makes the answer to a request.
 *
 * @throws What the source throws, but not LEDGER_PRUNED: then the request is refused.
 */
export async function answerSync(source: SyncSource, request: SyncRequest): Promise<Uint8Array> {
  if (request.kind === "status") {
    const status = source.status();
    if (!hash32Pattern.test(status.hash)) throw new TypeError("status has no hash");
    return answerOf(encodeSyncStatus(status));
  }
  if (request.kind !== "blocks") return answerSnapshot(source, request);
  const { from, countMax } = request;
  try {
    const blocks = await source.readBlocks(from, countMax, limits.syncBytesMax);
    return answerOf(encodeList(withinBounds(blocks, countMax)));
  } catch (error) {
    if (!isLedgerError(error, "LEDGER_PRUNED")) throw error;
    return encodeGone(Number(error.facts.baseHeight));
  }
}

async function answerSnapshot(
  { snapshots }: SyncSource,
  request: Extract<SyncRequest, { kind: "manifest" | "chunk" }>,
): Promise<Uint8Array> {
  const newest = snapshots?.heights[0] ?? 0;
  const body =
    request.kind === "chunk"
      ? await snapshots?.chunk(request.height, request.from)
      : await snapshots?.manifest(request.height === 0 ? newest : request.height);
  if (body === undefined) return encodeGone(newest);
  if (body.length > limits.syncBytesMax) throw new TypeError("a part of a snapshot is too long");
  return answerOf(body);
}

/** Returns as many blocks from the front as both bounds allow. */
function withinBounds(blocks: readonly Uint8Array[], countMax: number): readonly Uint8Array[] {
  let bytes = 0;
  const end = blocks.findIndex((block, index) => {
    bytes += block.length;
    return index >= countMax || bytes > limits.syncBytesMax;
  });
  return end === -1 ? blocks : blocks.slice(0, end);
}

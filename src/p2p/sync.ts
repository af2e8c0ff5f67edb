/**
 * Catch-up: asks one peer for its height, for a range of blocks, or for a snapshot, and answers the
 * same. Blocks, manifests and chunks are byte strings here; whether they are true is the caller's
 * to find out, who then asks another peer.
 *
 * One stream per request: one request frame, one response frame (frame.ts), close.
 *
 * Request:           u8 0 = status | nothing
 *                    u8 1 = blocks | u64 first height | u32 most blocks wanted (1 to syncBlocksMax)
 *                    u8 2 = manifest of a snapshot | u64 height, 0 for the newest
 *                    u8 3 = chunk of a snapshot | u64 height | first key (UTF-8, possibly empty)
 * Response:          u8 0 = answer | body, or u8 1 = refused (too busy, or a malformed request), or
 *                    u8 2 = not here any more | u64 height: of the base, below which blocks are
 *                    pruned, or of the newest snapshot, 0 = none
 * Body of status:    u64 height | 32 bytes hash | u64 clock of the peer, UTC milliseconds
 * Body of blocks:    list of blocks from the first height on, dense, possibly empty
 * Body of the others: the bytes of src/ledger/snapshot-format.ts
 *
 * Invariants:
 *
 * (1) At most `syncConcurrencyMax` responses are being made or sent, `syncConcurrencyPeerMax` of
 *     them for one peer, and a peer is answered `syncRequestsPerSecondMax` times a second. A place
 *     is taken by a request that has come, not by one that is awaited; a status, which is no work,
 *     takes none. So as many peers as can be liars keep nobody else from being answered.
 * (2) No response outlives `syncTimeoutMs`, no request and no status `syncStatusTimeoutMs`.
 * (3) A response is at most `syncBytesMax` bytes of content, whatever the peer sends.
 */
import "./polyfill.ts";
import type { Connection, PeerId, Stream, StreamMessageEvent } from "@libp2p/interface";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Counters } from "./counters.ts";
import { decodeList, encodeFrame, FrameReader } from "./frame.ts";
import type { Host } from "./host.ts";
import { peerKeyOf } from "./identity.ts";
import { newestOpen } from "./streams.ts";
import { answerSync, type SyncSource } from "./sync-answer.ts";
import {
  bodyOf,
  decodeSyncRequest,
  decodeSyncStatus,
  encodeSyncRequest,
  invalid,
  refusal,
  requestBytesMax,
  responseBytesMax,
  type SyncRequest,
  type SyncStatus,
} from "./sync-format.ts";

/** What sync needs. */
type SyncOptions = {
  readonly host: Host;
  readonly protocol: string;
  readonly counters: Counters;
  readonly log: Log;
  readonly source: SyncSource;
};

/** Asks and answers. */
export class Sync {
  readonly #options: SyncOptions;
  readonly #serving = new Map<PublicKey, number>();
  readonly #rates = new Map<PublicKey, { tokens: number; atMs: number }>();
  #servingCount = 0;

  constructor(options: SyncOptions) {
    this.#options = options;
  }

  /** Answers peers from now on. */
  async start(): Promise<void> {
    const { host, protocol } = this.#options;
    await host.handle(protocol, (stream, connection) => this.#onInbound(stream, connection), {
      maxInboundStreams: 2 * limits.syncConcurrencyPeerMax,
      maxOutboundStreams: 2 * limits.syncConcurrencyPeerMax,
    });
  }

  /** Answers no more. */
  async stop(): Promise<void> {
    await this.#options.host.unhandle(this.#options.protocol);
  }

  /** Forgets the rate of a peer that left, so that strangers of the past take no memory. */
  forget(peer: PublicKey): void {
    if (!this.#serving.has(peer)) this.#rates.delete(peer);
  }

  /**
   * Asks a peer where its chain ends, and for its clock.
   *
   * @throws {LedgerError} P2P_PEER_UNREACHABLE, P2P_SYNC_FAILED.
   */
  async requestStatus(peer: PublicKey, peerId: PeerId): Promise<SyncStatus> {
    return this.#request(peer, peerId, { kind: "status" }, decodeSyncStatus);
  }

  /**
   * Asks a peer for blocks.
   *
   * @param from - Height of the first block wanted.
   * @param countMax - 1 to `syncBlocksMax`; fewer may come, and none when the peer has none.
   * @throws {LedgerError} P2P_PEER_UNREACHABLE, P2P_SYNC_FAILED.
   */
  async requestBlocks(
    peer: PublicKey,
    peerId: PeerId,
    range: { readonly from: number; readonly countMax: number },
  ): Promise<readonly Uint8Array[]> {
    const countMax = Math.min(range.countMax, limits.syncBlocksMax);
    const itemBytesMax = limits.syncBytesMax;
    return this.#request(peer, peerId, { kind: "blocks", from: range.from, countMax }, (body) =>
      decodeList(body, { name: "sync blocks", countMax, itemBytesMax }),
    );
  }

  /**
   * Asks a peer for the manifest of a snapshot.
   *
   * @param height - 0 for its newest.
   * @throws {LedgerError} P2P_PEER_UNREACHABLE, P2P_SYNC_FAILED, P2P_SYNC_PRUNED.
   */
  async requestManifest(peer: PublicKey, peerId: PeerId, height: number): Promise<Uint8Array> {
    return this.#request(peer, peerId, { kind: "manifest", height }, (body) => body);
  }

  /**
   * Asks a peer for a chunk of a snapshot.
   *
   * @param place - Height of the snapshot, and the key that the chunk begins with.
   * @throws {LedgerError} P2P_PEER_UNREACHABLE, P2P_SYNC_FAILED, P2P_SYNC_PRUNED.
   */
  async requestChunk(
    peer: PublicKey,
    peerId: PeerId,
    place: { readonly height: number; readonly from: string },
  ): Promise<Uint8Array> {
    return this.#request(peer, peerId, { kind: "chunk", ...place }, (body) => body);
  }

  async #request<T>(
    peer: PublicKey,
    peerId: PeerId,
    request: SyncRequest,
    decode: (body: Uint8Array) => T,
  ): Promise<T> {
    const connection = newestOpen(this.#options.host.getConnections(peerId));
    if (connection === undefined) throw new LedgerError("P2P_PEER_UNREACHABLE", { peer });
    try {
      const { syncTimeoutMs, syncStatusTimeoutMs } = limits;
      const isStatus = request.kind === "status";
      const signal = AbortSignal.timeout(isStatus ? syncStatusTimeoutMs : syncTimeoutMs);
      const stream = await connection.newStream(this.#options.protocol, { signal });
      const response = await exchange(stream, encodeSyncRequest(request), signal);
      return decode(bodyOf(response, peer, request.kind));
    } catch (cause) {
      if (isLedgerError(cause, "P2P_SYNC_PRUNED")) throw cause;
      const reason = isLedgerError(cause) ? String(cause.facts.reason) : String(cause);
      throw new LedgerError("P2P_SYNC_FAILED", { peer, request: request.kind, reason }, { cause });
    }
  }

  async #onInbound(stream: Stream, connection: Connection): Promise<void> {
    const peer = peerKeyOf(connection.remotePeer);
    if (peer === undefined) return stream.abort(new Error("peer key is not Ed25519"));
    const short = AbortSignal.timeout(limits.syncStatusTimeoutMs);
    try {
      if (!this.#takeToken(peer)) throw invalid("sync request", "too many a second");
      const request = decodeSyncRequest(await readFrame(stream, requestBytesMax, short));
      if (request.kind === "status") await this.#serve(stream, request, short);
      else await this.#serveInPlace(stream, request, peer);
      this.#options.counters.syncRequestsServed += 1;
    } catch (error) {
      this.#options.counters.syncRequestsRefused += 1;
      const level = isLedgerError(error) ? "debug" : "error";
      this.#options.log[level]({ peer, reason: String(error) }, "sync request refused");
      await finish(stream, refusal, AbortSignal.timeout(limits.syncStatusTimeoutMs));
    }
  }

  async #serve(stream: Stream, request: SyncRequest, signal: AbortSignal): Promise<void> {
    await finish(stream, await answerSync(this.#options.source, request), signal);
  }

  async #serveInPlace(stream: Stream, request: SyncRequest, peer: PublicKey): Promise<void> {
    if (!this.#takePlace(peer)) throw invalid("sync request", "too many at once");
    try {
      await this.#serve(stream, request, AbortSignal.timeout(limits.syncTimeoutMs));
    } finally {
      this.#release(peer);
    }
  }

  #takePlace(peer: PublicKey): boolean {
    const ofPeer = this.#serving.get(peer) ?? 0;
    if (this.#servingCount >= limits.syncConcurrencyMax) return false;
    if (ofPeer >= limits.syncConcurrencyPeerMax) return false;
    this.#serving.set(peer, ofPeer + 1);
    this.#servingCount += 1;
    return true;
  }

  #release(peer: PublicKey): void {
    const rest = (this.#serving.get(peer) as number) - 1;
    if (rest === 0) this.#serving.delete(peer);
    else this.#serving.set(peer, rest);
    this.#servingCount -= 1;
  }

  #takeToken(peer: PublicKey): boolean {
    const nowMs = performance.now();
    const full = limits.syncRequestsPerSecondMax;
    const rate = this.#rates.get(peer) ?? { tokens: full, atMs: nowMs };
    const tokens = Math.min(full, rate.tokens + ((nowMs - rate.atMs) * full) / 1_000);
    const taken = tokens >= 1;
    this.#rates.set(peer, { tokens: taken ? tokens - 1 : tokens, atMs: nowMs });
    return taken;
  }
}

/** Sends a request and waits for the whole response. */
async function exchange(
  stream: Stream,
  request: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const response = readFrame(stream, responseBytesMax, signal);
  try {
    stream.send(encodeFrame(request));
    return await response;
  } catch (error) {
    response.catch(() => undefined);
    stream.abort(error as Error);
    throw error;
  } finally {
    void stream.close().catch((error: Error) => stream.abort(error));
  }
}

/** Waits for one frame; whatever comes after it is not read. */
function readFrame(stream: Stream, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
  const reader = new FrameReader("sync", bytesMax);
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      stream.removeEventListener("message", onPiece);
      stream.removeEventListener("remoteCloseWrite", onEnd);
      stream.removeEventListener("close", onEnd);
      signal.removeEventListener("abort", onTimeout);
      act();
    };
    const onPiece = (event: StreamMessageEvent): void => {
      try {
        for (const piece of event.data instanceof Uint8Array ? [event.data] : event.data) {
          const frame = reader.read(piece)[0];
          if (frame === undefined) continue;
          settle(() => resolve(frame));
          return;
        }
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const onEnd = (): void => settle(() => reject(invalid("sync", "ends early")));
    const onTimeout = (): void => settle(() => reject(invalid("sync", "takes too long")));
    signal.addEventListener("abort", onTimeout);
    stream.addEventListener("close", onEnd);
    stream.addEventListener("remoteCloseWrite", onEnd);
    stream.addEventListener("message", onPiece);
    if (stream.readableEnded || stream.readStatus === "closed") onEnd();
  });
}

/** Sends the only frame of this side and waits until it is gone; never throws. */
async function finish(stream: Stream, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  try {
    stream.send(encodeFrame(bytes));
    await stream.close({ signal });
  } catch (error) {
    stream.abort(error as Error);
  }
}

/**
 * Fetches a snapshot from peers, chunk by chunk, each from another peer in turn. Nothing a peer
 * sends is believed: snapshot-writer.ts verifies it before it is kept.
 *
 * Invariants:
 *
 * (1) A peer that sent what does not hold is not asked again during this download; one that did
 *     not answer is left alone for `penaltyMs`, and where there are others ten times as long as it
 *     kept this node waiting: so one that keeps silent costs a tenth of the time at most.
 * (2) A download that was begun goes on as long as a peer still serves that snapshot; when all
 *     say that it is gone, the newest one is begun instead. When some do, and the others have kept
 *     silent for `stalledMs`, or all of them for `silentMsMax`, a newer one is begun if there is one.
 * (3) Peers are asked no faster than they are willing to answer.
 * (4) Who keeps silent holds up nobody: what others offer is begun after a few looks.
 * (5) Nothing is fetched that is not above the goal, also where it was begun before.
 * (6) Who has a ledger already is not kept from it for longer than `aloneMsMax` by there being nobody.
 */
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Log } from "../base/log.ts";
import { decodeManifest } from "../ledger/snapshot-format.ts";
import { type SnapshotContext, verifyManifest } from "../ledger/snapshot-verify.ts";
import type { SnapshotWriter } from "../ledger/snapshot-writer.ts";
import { SeldomLog } from "./seldom.ts";
import { realTimers, type Timers } from "./timers.ts";

/** What is needed of the network. */
export interface SnapshotPeers {
  connectedPeers(): readonly PublicKey[];
  requestManifest(peer: PublicKey, height: number): Promise<Uint8Array>;
  requestChunk(peer: PublicKey, height: number, from: string): Promise<Uint8Array>;
}

/** What a download is made of. */
export type DownloadParts = {
  readonly peers: SnapshotPeers;
  readonly writer: SnapshotWriter;
  readonly context: SnapshotContext;
  readonly log: Log;
  /** Ends the download; it can go on later. */
  readonly signal: AbortSignal;
  /** Waits; default: as long as it says. */
  readonly wait?: ((delayMs: number) => Promise<void>) | undefined;
  /** Default: those of the process. */
  readonly timers?: Timers | undefined;
};

/** Snapshots up to this height are of no use to who has as much; 0: there is no ledger. */
export type DownloadGoal = { readonly aboveHeight: number };

/** How fetching chunks came to an end. */
type ChunksEnd = "whole" | "gone" | "stalled" | "alone";

/** Within what every peer answers for each (`syncRequestsPerSecondMax`). */
const requestMs = 60;
const penaltyMs = 2_000;
const penaltyFactor = 10;
/** Manifests that are held at once, each of up to `syncBytesMax`. */
const manifestsAtOnce = 4;
/** Who has not sent its manifest by then has none, as long as nobody said anything, */
const manifestMs = 8_000;
/** and once others said that they have none. */
const manifestMsWithOthers = 2_000;
/** Who serves a snapshot may be away for that long, though others have it no more. */
const stalledMs = 10_000;
/** So long nobody answered what is asked for: it may be something that nobody can answer. */
const silentMsMax = 60_000;
/** Peers that are to be there again soon come within this. */
const aloneMsMax = 60_000;
const lookMs = 500;
/** Peers that come up together find each other within this. */
const looksMin = 10;
/** So long others may yet offer a newer one. */
const looksForSlow = 3;
const logEveryChunks = 64;

/** Fetches one snapshot. */
export class SnapshotDownload {
  readonly #parts: DownloadParts;
  readonly #timers: Timers;
  readonly #warnings: SeldomLog;
  readonly #liars = new Set<PublicKey>();
  readonly #restUntilMs = new Map<PublicKey, number>();
  /** When each kept silent last. */
  readonly #failedMs = new Map<PublicKey, number>();
  readonly #gone = new Set<PublicKey>();
  /** Since when a peer is asked for its manifest: it is asked for nothing else meanwhile. */
  readonly #askedMs = new Map<PublicKey, number>();
  /** Those who said that they have no snapshot. */
  readonly #without = new Set<PublicKey>();
  /** The newest manifest that came. */
  #best: { readonly height: number; readonly bytes: Uint8Array } | undefined;
  #turn = 0;
  #hasLedger = false;
  /** When somebody was there last. */
  #metMs = 0;
  /** When the last chunk came, or nobody was there. */
  #lastMs = 0;

  constructor(parts: DownloadParts) {
    this.#parts = parts;
    this.#timers = parts.timers ?? realTimers;
    this.#warnings = new SeldomLog(parts.log, () => this.#timers.nowMs());
  }

  /**
   * Fetches the newest snapshot that peers have, or goes on with one that was begun.
   *
   * @returns Its height, once it is a whole ledger store; `undefined` when every peer that is
   *   connected says that it has none above the goal, or (6).
   * @throws {LedgerError} NODE_STOPPED
   */
  async run({ aboveHeight }: DownloadGoal): Promise<number | undefined> {
    const { writer, log } = this.#parts;
    this.#hasLedger = aboveHeight > 0;
    this.#metMs = this.#timers.nowMs();
    const isBegun = (writer.height ?? 0) > aboveHeight;
    if (!isBegun && !(await this.#begin(aboveHeight))) return undefined;
    for (;;) {
      const begun = writer.height as number;
      log.info({ height: begun }, "fetching a snapshot");
      const outcome = await this.#chunks();
      if (outcome === "alone") return undefined;
      // What is there already is only given up for something newer.
      if (outcome === "stalled" && !(await this.#begin(Math.max(begun, aboveHeight)))) continue;
      const height = outcome === "whole" ? await this.#finish() : undefined;
      if (height !== undefined) return height;
      if (outcome !== "whole") log.warn({ height: begun }, "this snapshot is given up: begun anew");
      if (outcome !== "stalled" && !(await this.#begin(aboveHeight))) return undefined;
    }
  }

  /** Makes the ledger store. @returns `undefined` when the disk did not keep what was written. */
  async #finish(): Promise<number | undefined> {
    const { writer, log } = this.#parts;
    try {
      const { height } = await writer.finish();
      log.info({ height }, "snapshot fetched and verified");
      return height;
    } catch (error) {
      if (
        !isLedgerError(error, "LEDGER_STATE_CORRUPT") &&
        !isLedgerError(error, "LEDGER_RECORD_CORRUPT")
      )
        throw error;
      log.warn({ error: String(error) }, "the download of a snapshot is damaged: begun anew");
      return undefined;
    }
  }

  /** Begins with the newest snapshot among those of all peers. @returns Whether there is one. */
  async #begin(aboveHeight: number): Promise<boolean> {
    this.#forget();
    for (let looks = 0; ; looks += 1) {
      await this.#askAll();
      const best = this.#best;
      const isWaiting = this.#askedMs.size > 0 && looks < looksForSlow;
      if (best !== undefined && best.height > aboveHeight && !isWaiting) {
        this.#gone.clear();
        await this.#parts.writer.begin(best.bytes);
        return true;
      }
      if (looks >= looksMin && (best !== undefined || this.#hasNobody())) return false;
      if (this.#isAlone()) return false;
      await this.#wait(lookMs);
    }
  }

  #forget(): void {
    this.#best = undefined;
    this.#without.clear();
  }

  /** Tells whether nobody has a snapshot, as far as those say who do not keep silent. */
  #hasNobody(): boolean {
    const connected = this.#parts.peers.connectedPeers();
    const nowMs = this.#timers.nowMs();
    // Who keeps silent must not keep this node from beginning with blocks.
    const patienceMs = this.#without.size > 0 ? manifestMsWithOthers : manifestMs;
    const isSilent = (peer: PublicKey) =>
      nowMs - (this.#askedMs.get(peer) ?? nowMs) >= patienceMs ||
      (this.#restUntilMs.get(peer) ?? 0) > nowMs;
    return (
      connected.length > 0 &&
      connected.every((peer) => this.#without.has(peer) || this.#liars.has(peer) || isSilent(peer))
    );
  }

  /** (6) Tells whether a node that could go on with its ledger waits for others in vain. */
  #isAlone(): boolean {
    const nowMs = this.#timers.nowMs();
    if (this.#others().length > 0) this.#metMs = nowMs;
    return this.#hasLedger && nowMs - this.#metMs >= aloneMsMax;
  }

  /** Those who are connected, but for liars. */
  #others(): PublicKey[] {
    return this.#parts.peers.connectedPeers().filter((peer) => !this.#liars.has(peer));
  }

  /** Asks all for their manifests; who takes long is waited for, but not here. */
  async #askAll(): Promise<void> {
    const { rested, resting } = this.#askable();
    const askable = rested.length > 0 ? rested : resting;
    while (askable.length > 0) {
      const some = askable.splice(0, manifestsAtOnce);
      await this.#atMost(lookMs, Promise.all(some.map((peer) => this.#askManifest(peer))));
    }
  }

  async #askManifest(peer: PublicKey): Promise<void> {
    const { peers } = this.#parts;
    this.#askedMs.set(peer, this.#timers.nowMs());
    try {
      const bytes = await this.#ask(peer, () => peers.requestManifest(peer, 0));
      if (bytes === "gone") this.#without.add(peer);
      else if (bytes !== undefined) this.#judge(peer, bytes);
    } finally {
      this.#askedMs.delete(peer);
    }
  }

  async #atMost(delayMs: number, work: Promise<unknown>): Promise<void> {
    let stopWaiting = () => {};
    const patience = new Promise<void>((resolve) => {
      stopWaiting = this.#timers.after(delayMs, resolve);
    });
    try {
      await Promise.race([work, patience]);
    } finally {
      stopWaiting();
    }
  }

  /** Keeps the newest one only: they may be large, and many. */
  #judge(peer: PublicKey, bytes: Uint8Array): void {
    try {
      const { height } = verifyManifest(decodeManifest(bytes), this.#parts.context).header;
      if (height > (this.#best?.height ?? 0)) this.#best = { height, bytes };
    } catch (error) {
      this.#onLie(peer, error);
    }
  }

  /** Fetches chunk after chunk. */
  async #chunks(): Promise<ChunksEnd> {
    const { writer, peers, log } = this.#parts;
    const height = writer.height as number;
    this.#lastMs = this.#timers.nowMs();
    for (let count = 0; ; count += 1) {
      const from = writer.next;
      if (from === undefined) return "whole";
      if (count % logEveryChunks === logEveryChunks - 1) log.info({ height, from }, "fetching");
      const peer = await this.#nextPeer();
      if (peer === "gone" || peer === "stalled" || peer === "alone") return peer;
      const bytes = await this.#ask(peer, () => peers.requestChunk(peer, height, from));
      if (bytes === "gone") this.#gone.add(peer);
      if (bytes === undefined || bytes === "gone") continue;
      this.#lastMs = this.#timers.nowMs();
      try {
        await writer.add(bytes);
      } catch (error) {
        if (!isLie(error)) throw error;
        this.#onLie(peer, error);
      }
    }
  }

  /**
   * Waits for a peer to ask.
   *
   * @returns "gone" when all there are said that the snapshot is; "stalled" when some did, and the
   *   others have kept silent for a while, or all have for long; "alone": (6).
   */
  async #nextPeer(): Promise<PublicKey | Exclude<ChunksEnd, "whole">> {
    const isThere = (peer: PublicKey) => !this.#gone.has(peer);
    for (;;) {
      const { rested, resting } = this.#askable();
      const peer = this.#inTurn(rested.filter(isThere));
      await this.#wait(peer === undefined ? lookMs : requestMs);
      const connected = this.#others();
      const nowMs = this.#timers.nowMs();
      if (connected.length === 0) this.#lastMs = nowMs;
      const silentMs = nowMs - this.#lastMs;
      if (this.#isAlone()) return "alone";
      if (silentMs >= silentMsMax) return "stalled";
      if (peer !== undefined) return peer;
      const silent = connected.filter(isThere);
      if (connected.length > 0 && silent.length === 0) return "gone";
      const haveSome = silent.length < connected.length;
      if (haveSome && silentMs >= stalledMs) return "stalled";
      const last = this.#inTurn(resting.filter(isThere));
      if (last !== undefined) return last;
    }
  }

  #inTurn(peers: readonly PublicKey[]): PublicKey | undefined {
    this.#turn += 1;
    return peers[this.#turn % peers.length];
  }

  /** Peers that may be asked. Who kept silent is left to rest as long as there are others. */
  #askable() {
    const nowMs = this.#timers.nowMs();
    const able = this.#others().filter((peer) => !this.#askedMs.has(peer));
    const isRested = (peer: PublicKey) => (this.#restUntilMs.get(peer) ?? 0) <= nowMs;
    const isBearable = (peer: PublicKey) => nowMs - (this.#failedMs.get(peer) ?? 0) >= penaltyMs;
    return {
      rested: able.filter(isRested),
      resting: able.filter((peer) => !isRested(peer) && isBearable(peer)),
    };
  }

  async #ask(
    peer: PublicKey,
    request: () => Promise<Uint8Array>,
  ): Promise<Uint8Array | "gone" | undefined> {
    const startMs = this.#timers.nowMs();
    try {
      return await request();
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      if (error.code === "P2P_SYNC_PRUNED") return "gone";
      this.#onSilence(peer, error, startMs);
      return undefined;
    }
  }

  #onSilence(peer: PublicKey, error: LedgerError, startMs: number): void {
    const endMs = this.#timers.nowMs();
    const restMs = Math.max(penaltyMs, penaltyFactor * (endMs - startMs));
    this.#restUntilMs.set(peer, endMs + restMs);
    this.#failedMs.set(peer, endMs);
    if (error.code !== "P2P_SYNC_FAILED") return;
    const facts = { peer, error: String(error), restMs: Math.round(restMs) };
    this.#warnings.warn(
      peer,
      facts,
      "peer passed over for a while: it does not answer as it should",
    );
  }

  #onLie(peer: PublicKey, error: unknown): void {
    if (!isLie(error)) throw error;
    this.#liars.add(peer);
    this.#parts.log.warn({ peer, error: String(error) }, "peer passed over: its snapshot is wrong");
  }

  async #wait(delayMs: number): Promise<void> {
    const { signal, wait = (ms) => this.#sleep(ms) } = this.#parts;
    if (signal.aborted) throw new LedgerError("NODE_STOPPED", {});
    await wait(delayMs);
    if (signal.aborted) throw new LedgerError("NODE_STOPPED", {});
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#timers.after(delayMs, resolve);
    });
  }
}

function isLie(error: unknown): boolean {
  return isLedgerError(error, "SNAPSHOT_INVALID") || isLedgerError(error, "CODEC_INVALID");
}

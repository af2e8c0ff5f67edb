/**
 * Fetches a snapshot from peers, chunk by chunk, each from another peer in turn. Nothing a peer
 * sends is believed: snapshot-writer.ts verifies it before it is kept.
 *
 * Invariants:
 *
 * (1) A peer that does not answer is waited for no longer than `patienceMs`, or a few times what the
 *     last answer took, where there are others; its answer is taken all the same if it comes in time.
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
import { DownloadPeers } from "./download-peers.ts";
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

/** A chunk that came, not looked at yet. */
type Answer = {
  readonly peer: PublicKey;
  readonly from: string;
  readonly bytes: Uint8Array;
  readonly tookMs: number;
};

/** How fetching chunks came to an end. */
type ChunksEnd = "whole" | "gone" | "stalled" | "alone";

/** Within what every peer answers for each (`syncRequestsPerSecondMax`). */
const requestMs = 60;
/** Longer than most answers take. */
const patienceMs = 3_000;
/** Over a slow line answers take longer, and the longer the more peers are asked at once. */
const patienceFactor = 2;
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
  readonly #peers: DownloadPeers;
  readonly #gone = new Set<PublicKey>();
  /** Those who said that they have no snapshot. */
  readonly #without = new Set<PublicKey>();
  /** The newest manifest that came. */
  #best: { readonly height: number; readonly bytes: Uint8Array } | undefined;
  /** The first answer to what is asked for. */
  #answer: Answer | undefined;
  #wake = () => {};
  #patienceMs = patienceMs;
  #hasLedger = false;
  /** When somebody was there last. */
  #metMs = 0;
  /** When the last chunk came, or nobody was there. */
  #lastMs = 0;

  constructor(parts: DownloadParts) {
    this.#parts = parts;
    this.#timers = parts.timers ?? realTimers;
    this.#peers = new DownloadPeers({
      connected: () => parts.peers.connectedPeers(),
      timers: this.#timers,
      log: parts.log,
    });
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
      const isWaiting = this.#peers.isAsking && looks < looksForSlow;
      if (best !== undefined && best.height > aboveHeight && !isWaiting) {
        this.#gone.clear();
        this.#answer = undefined;
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
    const isConnected = this.#parts.peers.connectedPeers().length > 0;
    // Who keeps silent must not keep this node from beginning with blocks.
    const patience = this.#without.size > 0 ? manifestMsWithOthers : manifestMs;
    const hasNone = (peer: PublicKey) =>
      this.#without.has(peer) || this.#peers.isSilent(peer, patience);
    return isConnected && this.#peers.others.every(hasNone);
  }

  /** (6) Tells whether a node that could go on with its ledger waits for others in vain. */
  #isAlone(): boolean {
    const nowMs = this.#timers.nowMs();
    if (this.#peers.others.length > 0) this.#metMs = nowMs;
    return this.#hasLedger && nowMs - this.#metMs >= aloneMsMax;
  }

  /** Asks all for their manifests; who takes long is waited for, but not here. */
  async #askAll(): Promise<void> {
    const { rested, resting } = this.#peers.askable();
    const askable = rested.length > 0 ? rested : resting;
    while (askable.length > 0) {
      const some = askable.splice(0, manifestsAtOnce);
      await this.#atMost(lookMs, Promise.all(some.map((peer) => this.#askManifest(peer))));
    }
  }

  async #askManifest(peer: PublicKey): Promise<void> {
    const { peers } = this.#parts;
    const bytes = await this.#peers.ask(peer, () => peers.requestManifest(peer, 0));
    if (bytes === "gone") this.#without.add(peer);
    else if (bytes !== undefined) this.#judge(peer, bytes);
  }

  /** @returns Whether the work came to its end. */
  async #atMost(delayMs: number, work: Promise<unknown>): Promise<boolean> {
    let stopWaiting = () => {};
    const patience = new Promise<boolean>((resolve) => {
      stopWaiting = this.#timers.after(delayMs, () => resolve(false));
    });
    try {
      return await Promise.race([work.then(() => true), patience]);
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
      this.#peers.onLie(peer, error);
    }
  }

  /** Fetches chunk after chunk. */
  async #chunks(): Promise<ChunksEnd> {
    const { writer, log } = this.#parts;
    const height = writer.height as number;
    this.#lastMs = this.#timers.nowMs();
    for (let count = 0; ; count += 1) {
      await this.#keep();
      if (writer.next === undefined) return "whole";
      if (count % logEveryChunks === logEveryChunks - 1)
        log.info({ height, from: writer.next }, "fetching");
      const peer = await this.#nextPeer();
      // While nobody could be asked, one that was asked before may have answered.
      if (this.#answer !== undefined) continue;
      if (peer === "gone" || peer === "stalled" || peer === "alone") return peer;
      const fetching = Promise.race([this.#fetch(peer, height, writer.next), this.#answered()]);
      if (!(await this.#atMost(this.#patienceMs, fetching))) this.#patienceMs *= patienceFactor;
    }
  }

  /** Asks for a chunk; it is kept unless another peer brought it meanwhile. */
  async #fetch(peer: PublicKey, height: number, from: string): Promise<void> {
    const { peers, writer } = this.#parts;
    const startMs = this.#timers.nowMs();
    const bytes = await this.#peers.ask(peer, () => peers.requestChunk(peer, height, from));
    if (bytes === undefined || writer.height !== height) return;
    const tookMs = this.#timers.nowMs() - startMs;
    if (bytes === "gone") this.#gone.add(peer);
    else if (writer.next === from) {
      this.#answer ??= { peer, from, bytes, tookMs };
      this.#wake();
    }
  }

  /** Waits for the chunk from any of those who were asked. */
  #answered(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #keep(): Promise<void> {
    const { writer } = this.#parts;
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer === undefined || answer.from !== writer.next) return;
    this.#lastMs = this.#timers.nowMs();
    this.#patienceMs = Math.max(patienceMs, patienceFactor * answer.tookMs);
    try {
      await writer.add(answer.bytes);
    } catch (error) {
      this.#peers.onLie(answer.peer, error);
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
      const { rested, resting } = this.#peers.askable();
      const peer = this.#peers.inTurn(rested.filter(isThere));
      await this.#wait(peer === undefined ? lookMs : requestMs);
      const connected = this.#peers.others;
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
      const last = this.#peers.inTurn(resting.filter(isThere));
      if (last !== undefined) return last;
    }
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

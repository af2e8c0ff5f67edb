/**
 * Fetches a snapshot from peers, chunk by chunk, each from another peer in turn. Nothing a peer
 * sends is believed: snapshot-writer.ts verifies it before it is kept.
 *
 * Invariants:
 *
 * (1) A peer that sent what does not hold is not asked again during this download; one that did
 *     not answer is left alone for `penaltyMs`, and ten times as long as it kept this node waiting:
 *     so one that keeps silent costs a tenth of the time at most.
 * (2) A download that was begun goes on as long as a peer still serves that snapshot; when all who
 *     answer say that it is gone, and others kept silent for `stalledMs`, the newest one is begun.
 * (3) Peers are asked no faster than they are willing to answer.
 * (4) Who keeps silent holds up nobody: what others offer is begun after `lookMs`.
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

/** Snapshots below this height are of no use to who has more. */
export type DownloadGoal = { readonly aboveHeight: number };

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
const lookMs = 500;
/** Peers that come up together find each other within this. */
const looksMin = 10;
const logEveryChunks = 64;

/** Fetches one snapshot. */
export class SnapshotDownload {
  readonly #parts: DownloadParts;
  readonly #timers: Timers;
  readonly #warnings: SeldomLog;
  readonly #liars = new Set<PublicKey>();
  readonly #restUntilMs = new Map<PublicKey, number>();
  readonly #gone = new Set<PublicKey>();
  /** Since when a peer is asked for its manifest: it is asked for nothing else meanwhile. */
  readonly #askedMs = new Map<PublicKey, number>();
  /** Manifests that came since the last look. */
  readonly #answers = new Map<PublicKey, Uint8Array | "gone">();
  #turn = 0;

  constructor(parts: DownloadParts) {
    this.#parts = parts;
    this.#timers = parts.timers ?? realTimers;
    this.#warnings = new SeldomLog(parts.log, () => this.#timers.nowMs());
  }

  /**
   * Fetches the newest snapshot that peers have, or goes on with one that was begun.
   *
   * @returns Its height, once it is a whole ledger store; `undefined` when every peer that is
   *   connected says that it has none above the goal.
   * @throws {LedgerError} NODE_STOPPED
   */
  async run(goal: DownloadGoal): Promise<number | undefined> {
    const { writer, log } = this.#parts;
    for (;;) {
      if (writer.height === undefined && !(await this.#begin(goal))) return undefined;
      log.info({ height: writer.height }, "fetching a snapshot");
      if (!(await this.#chunks())) {
        log.warn({ height: writer.height }, "no peer has this snapshot any more: begun anew");
        if (!(await this.#begin(goal))) return undefined;
        continue;
      }
      const height = await this.#finish();
      if (height !== undefined) return height;
      if (!(await this.#begin(goal))) return undefined;
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

  /** Begins with the newest snapshot among those of all peers. */
  async #begin({ aboveHeight }: DownloadGoal): Promise<boolean> {
    for (let looks = 0; ; looks += 1) {
      const found: { readonly height: number; readonly bytes: Uint8Array }[] = [];
      const without = new Set<PublicKey>();
      for (const [peer, bytes] of await this.#manifests())
        if (bytes === "gone") without.add(peer);
        else this.#judge(peer, bytes, found);
      const best = found.toSorted((left, right) => right.height - left.height)[0];
      if (best !== undefined && best.height > aboveHeight) {
        this.#gone.clear();
        await this.#parts.writer.begin(best.bytes);
        return true;
      }
      const isOlder = best !== undefined;
      if (looks >= looksMin && (isOlder || this.#hasNobody(without))) return false;
      await this.#wait(lookMs);
    }
  }

  /** Tells whether nobody has a snapshot, as far as those say who do not keep silent. */
  #hasNobody(without: ReadonlySet<PublicKey>): boolean {
    const connected = this.#parts.peers.connectedPeers();
    const nowMs = this.#timers.nowMs();
    // Who keeps silent must not keep this node from beginning with blocks.
    const patienceMs = without.size > 0 ? manifestMsWithOthers : manifestMs;
    const isSilent = (peer: PublicKey) =>
      nowMs - (this.#askedMs.get(peer) ?? nowMs) >= patienceMs ||
      (this.#restUntilMs.get(peer) ?? 0) > nowMs;
    return (
      connected.length > 0 &&
      connected.every((peer) => without.has(peer) || this.#liars.has(peer) || isSilent(peer))
    );
  }

  /** What peers answered since the last look; who takes long is waited for, but not here. */
  async #manifests(): Promise<readonly (readonly [PublicKey, Uint8Array | "gone"])[]> {
    const askable = this.#askable();
    while (askable.length > 0) {
      const some = askable.splice(0, manifestsAtOnce);
      await this.#atMost(lookMs, Promise.all(some.map((peer) => this.#askManifest(peer))));
    }
    const answers = [...this.#answers];
    this.#answers.clear();
    return answers;
  }

  async #askManifest(peer: PublicKey): Promise<void> {
    const { peers } = this.#parts;
    this.#askedMs.set(peer, this.#timers.nowMs());
    try {
      const bytes = await this.#ask(peer, () => peers.requestManifest(peer, 0));
      if (bytes !== undefined) this.#answers.set(peer, bytes);
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

  #judge(
    peer: PublicKey,
    bytes: Uint8Array,
    found: { readonly height: number; readonly bytes: Uint8Array }[],
  ): void {
    try {
      const { height } = verifyManifest(decodeManifest(bytes), this.#parts.context);
      found.push({ height, bytes });
    } catch (error) {
      this.#onLie(peer, error);
    }
  }

  /** Fetches chunk after chunk. @returns False when the snapshot is to be had no more. */
  async #chunks(): Promise<boolean> {
    const { writer, peers, log } = this.#parts;
    const height = writer.height as number;
    let lastMs = this.#timers.nowMs();
    for (let count = 0; ; count += 1) {
      const from = writer.next;
      if (from === undefined) return true;
      if (count % logEveryChunks === logEveryChunks - 1) log.info({ height, from }, "fetching");
      const peer = await this.#nextPeer(lastMs);
      if (peer === undefined) return false;
      const bytes = await this.#ask(peer, () => peers.requestChunk(peer, height, from));
      if (bytes === "gone") this.#gone.add(peer);
      if (bytes === undefined || bytes === "gone") continue;
      lastMs = this.#timers.nowMs();
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
   * @param lastMs - When the last chunk came.
   * @returns `undefined` when those who say anything said that the snapshot is gone.
   */
  async #nextPeer(lastMs: number): Promise<PublicKey | undefined> {
    for (;;) {
      const askable = this.#askable().filter((peer) => !this.#gone.has(peer));
      this.#turn += 1;
      const peer = askable[this.#turn % askable.length];
      await this.#wait(peer === undefined ? lookMs : requestMs);
      if (peer !== undefined) return peer;
      const connected = this.#parts.peers.connectedPeers().filter((one) => !this.#liars.has(one));
      const silent = connected.filter((one) => !this.#gone.has(one));
      const isStalled = this.#timers.nowMs() - lastMs >= stalledMs;
      if (silent.length < connected.length && (silent.length === 0 || isStalled)) return undefined;
    }
  }

  #askable(): PublicKey[] {
    const nowMs = this.#timers.nowMs();
    return this.#parts.peers
      .connectedPeers()
      .filter((peer) => !this.#liars.has(peer) && !this.#askedMs.has(peer))
      .filter((peer) => (this.#restUntilMs.get(peer) ?? 0) <= nowMs);
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

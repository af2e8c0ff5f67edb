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
 *     answer say that it is gone, the newest one is begun instead.
 * (3) Peers are asked no faster than they are willing to answer.
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
const manifestMs = 8_000;
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
      const askable = this.#askable();
      while (askable.length > 0) {
        const some = askable.splice(0, manifestsAtOnce);
        const answers = await Promise.all(some.map((peer) => this.#askManifest(peer)));
        for (const { peer, bytes } of answers)
          if (bytes === "gone") without.add(peer);
          else if (bytes !== undefined) this.#judge(peer, bytes, found);
      }
      const best = found.toSorted((left, right) => right.height - left.height)[0];
      if (best !== undefined && best.height > aboveHeight) {
        this.#gone.clear();
        await this.#parts.writer.begin(best.bytes);
        return true;
      }
      const connected = this.#parts.peers.connectedPeers();
      // Who keeps silent must not keep this node from beginning with blocks.
      const askableNow = this.#askable();
      const nobodyHas = connected.every(
        (peer) => without.has(peer) || this.#liars.has(peer) || !askableNow.includes(peer),
      );
      const isOlder = best !== undefined;
      if (looks >= looksMin && connected.length > 0 && (nobodyHas || isOlder)) return false;
      await this.#wait(lookMs);
    }
  }

  async #askManifest(peer: PublicKey) {
    const { peers } = this.#parts;
    const asking = this.#ask(peer, () => peers.requestManifest(peer, 0));
    return { peer, bytes: await this.#inTime(peer, asking) };
  }

  /** A manifest is some hundred kilobytes at most: who takes long for it holds up the others. */
  async #inTime<T>(peer: PublicKey, asking: Promise<T>): Promise<T | undefined> {
    const startMs = this.#timers.nowMs();
    let stopWaiting = () => {};
    const patience = new Promise<undefined>((resolve) => {
      stopWaiting = this.#timers.after(manifestMs, () => {
        const facts = { peer, request: "manifest", reason: "takes too long" };
        this.#onSilence(peer, new LedgerError("P2P_SYNC_FAILED", facts), startMs);
        resolve(undefined);
      });
    });
    try {
      return await Promise.race([asking, patience]);
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
    for (let count = 0; ; count += 1) {
      const from = writer.next;
      if (from === undefined) return true;
      if (count % logEveryChunks === logEveryChunks - 1) log.info({ height, from }, "fetching");
      const peer = await this.#nextPeer();
      if (peer === undefined) return false;
      const bytes = await this.#ask(peer, () => peers.requestChunk(peer, height, from));
      if (bytes === "gone") this.#gone.add(peer);
      if (bytes === undefined || bytes === "gone") continue;
      try {
        await writer.add(bytes);
      } catch (error) {
        if (!isLie(error)) throw error;
        this.#onLie(peer, error);
      }
    }
  }

  /** Waits for a peer to ask. @returns `undefined` when all there are said that it is gone. */
  async #nextPeer(): Promise<PublicKey | undefined> {
    for (;;) {
      const askable = this.#askable().filter((peer) => !this.#gone.has(peer));
      this.#turn += 1;
      const peer = askable[this.#turn % askable.length];
      await this.#wait(peer === undefined ? lookMs : requestMs);
      if (peer !== undefined) return peer;
      const connected = this.#parts.peers.connectedPeers().filter((one) => !this.#liars.has(one));
      if (connected.length > 0 && connected.every((one) => this.#gone.has(one))) return undefined;
    }
  }

  #askable(): PublicKey[] {
    const nowMs = this.#timers.nowMs();
    return this.#parts.peers
      .connectedPeers()
      .filter((peer) => !this.#liars.has(peer) && (this.#restUntilMs.get(peer) ?? 0) <= nowMs);
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

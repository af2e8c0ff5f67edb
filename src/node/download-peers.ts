/**
 * The peers of a download: who may be asked, who is left alone for a while, and who for good.
 *
 * Invariants:
 *
 * (1) A peer is asked for one thing at a time.
 * (2) One that lied is not asked again. One that failed is left alone for `penaltyMs`, and where
 *     there are others `penaltyFactor` times as long as it took to fail.
 */
import { isLedgerError, type LedgerError } from "../base/errors.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Log } from "../base/log.ts";
import { SeldomLog } from "./seldom.ts";
import type { Timers } from "./timers.ts";

const penaltyMs = 2_000;
const penaltyFactor = 10;

/** Remembers how peers behaved during one download. */
export class DownloadPeers {
  readonly #connected: () => readonly PublicKey[];
  readonly #timers: Timers;
  readonly #log: Log;
  readonly #warnings: SeldomLog;
  readonly #liars = new Set<PublicKey>();
  readonly #restUntilMs = new Map<PublicKey, number>();
  /** When each failed last. */
  readonly #failedMs = new Map<PublicKey, number>();
  /** Since when a peer is asked for something. */
  readonly #askedMs = new Map<PublicKey, number>();
  #turn = 0;

  constructor(parts: {
    connected(): readonly PublicKey[];
    readonly timers: Timers;
    readonly log: Log;
  }) {
    this.#connected = parts.connected;
    this.#timers = parts.timers;
    this.#log = parts.log;
    this.#warnings = new SeldomLog(parts.log, () => parts.timers.nowMs());
  }

  /** Those who are connected, but for liars. */
  get others(): PublicKey[] {
    return this.#connected().filter((peer) => !this.#liars.has(peer));
  }

  /** Somebody has not answered yet. */
  get isAsking(): boolean {
    return this.#askedMs.size > 0;
  }

  /** Peers that may be asked. Who failed is left to rest as long as there are others. */
  askable(): { readonly rested: PublicKey[]; readonly resting: PublicKey[] } {
    const nowMs = this.#timers.nowMs();
    const able = this.others.filter((peer) => !this.#askedMs.has(peer));
    const isBearable = (peer: PublicKey) => nowMs - (this.#failedMs.get(peer) ?? 0) >= penaltyMs;
    return {
      rested: able.filter((peer) => !this.#isResting(peer)),
      resting: able.filter((peer) => this.#isResting(peer) && isBearable(peer)),
    };
  }

  /** Another one each time; none of none. */
  inTurn(peers: readonly PublicKey[]): PublicKey | undefined {
    this.#turn += 1;
    return peers[this.#turn % peers.length];
  }

  /** Tells whether a peer rests, or has owed an answer for so long. */
  isSilent(peer: PublicKey, patienceMs: number): boolean {
    const nowMs = this.#timers.nowMs();
    const isLate = nowMs - (this.#askedMs.get(peer) ?? nowMs) >= patienceMs;
    return isLate || this.#isResting(peer);
  }

  /**
   * Asks a peer.
   *
   * @returns What it sent; "gone" when it said that it has this no more; `undefined` when it failed.
   */
  async ask(
    peer: PublicKey,
    request: () => Promise<Uint8Array>,
  ): Promise<Uint8Array | "gone" | undefined> {
    const startMs = this.#timers.nowMs();
    this.#askedMs.set(peer, startMs);
    try {
      return await request();
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      if (error.code === "P2P_SYNC_PRUNED") return "gone";
      this.#onFailure(peer, error, startMs);
      return undefined;
    } finally {
      this.#askedMs.delete(peer);
    }
  }

  /** What a peer sent does not hold. @throws what is no lie. */
  onLie(peer: PublicKey, error: unknown): void {
    if (!isLie(error)) throw error;
    this.#liars.add(peer);
    this.#log.warn({ peer, error: String(error) }, "peer passed over: its snapshot is wrong");
  }

  #isResting(peer: PublicKey): boolean {
    return (this.#restUntilMs.get(peer) ?? 0) > this.#timers.nowMs();
  }

  #onFailure(peer: PublicKey, error: LedgerError, startMs: number): void {
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
}

function isLie(error: unknown): boolean {
  return isLedgerError(error, "SNAPSHOT_INVALID") || isLedgerError(error, "CODEC_INVALID");
}

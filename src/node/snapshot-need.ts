/**
 * Decides when a running node gives up its ledger for a snapshot: when more peers than can be
 * faulty say that they pruned the next block, and nobody else has it. A node that has blocks of its
 * own does so only if its configuration says `sync: snapshot`, for those blocks go.
 */
import type { PublicKey } from "../base/keys.ts";
import type { Log } from "../base/log.ts";
import { faultyMax } from "../base/proof/certificate.ts";
import type { NodeConfig } from "./config.ts";

/** A snapshot that cannot be had is not asked for again before this; one that came was no waste. */
const restMs = 60_000;

/** Remembers when a snapshot was wanted last, and at which height. */
export class SnapshotNeed {
  readonly #parts: { readonly config: Pick<NodeConfig, "sync">; readonly log: Log };
  #restUntilMs = 0;
  #restHeight = 0;

  constructor(parts: { readonly config: Pick<NodeConfig, "sync">; readonly log: Log }) {
    this.#parts = parts;
  }

  /** Tells whether the ledger is to be replaced now; true at most once in `restMs` at one height. */
  isNow(
    peers: readonly PublicKey[],
    { height, memberCount }: { readonly height: number; readonly memberCount: number },
    nowMs = performance.now(),
  ): boolean {
    const { config, log } = this.#parts;
    const isResting = nowMs < this.#restUntilMs && height === this.#restHeight;
    if (peers.length <= faultyMax(memberCount) || isResting) return false;
    this.#restUntilMs = nowMs + restMs;
    this.#restHeight = height;
    const isWanted = height === 0 || config.sync === "snapshot";
    log.warn({ height, peers: peers.length, isWanted }, "peers have pruned the next block");
    return isWanted;
  }
}

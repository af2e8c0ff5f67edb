/**
 * Decides when a running node gives up its ledger for a snapshot: when more peers than can be
 * faulty say that they pruned the next block, and nobody else has it. A node that has blocks of its
 * own does so only if its configuration says `sync: snapshot`, for those blocks go.
 */
import type { PublicKey } from "../base/keys.ts";
import type { Log } from "../base/log.ts";
import { faultyMax } from "../base/proof/certificate.ts";
import type { NodeConfig } from "./config.ts";

/** A snapshot that cannot be had is not asked for again before this; looking for it takes 5 s. */
const restMs = 20_000;

/** Remembers when a snapshot was wanted last. */
export class SnapshotNeed {
  readonly #parts: { readonly config: Pick<NodeConfig, "sync">; readonly log: Log };
  #restUntilMs = 0;

  constructor(parts: { readonly config: Pick<NodeConfig, "sync">; readonly log: Log }) {
    this.#parts = parts;
  }

  /**
   * Tells whether the ledger is to be replaced now; true at most once in `restMs`.
   *
   * @param peers - Those that said that they pruned the next block; not only members, as a node
   *   without a ledger knows those of the genesis only.
   */
  isNow(
    peers: readonly PublicKey[],
    { height, memberCount }: { readonly height: number; readonly memberCount: number },
    nowMs = performance.now(),
  ): boolean {
    const { config, log } = this.#parts;
    if (peers.length <= faultyMax(memberCount) || nowMs < this.#restUntilMs) return false;
    this.#restUntilMs = nowMs + restMs;
    const isWanted = height === 0 || config.sync === "snapshot";
    log.warn({ height, peers: peers.length, isWanted }, "peers have pruned the next block");
    return isWanted;
  }

  /** A snapshot came: a node that falls behind again need not wait for the next one. */
  noteReplaced(): void {
    this.#restUntilMs = 0;
  }
}

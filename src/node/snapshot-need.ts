/**
 * Decides when a running node gives up its ledger for a snapshot: when more peers than can be
 * faulty say that they pruned the next block, and nobody else has it. A node that has blocks of its
 * own does so only if its configuration says `sync: snapshot`, for those blocks go.
 */
import type { PublicKey } from "../base/keys.ts";
import type { Log } from "../base/log.ts";
import { faultyMax } from "../base/proof/certificate.ts";
import type { NodeConfig } from "./config.ts";

/** A snapshot that cannot be had is not asked for again before this. */
const restMs = 60_000;

/** What there is to compare with. */
type Present = {
  /** Of the tip here. */
  readonly height: number;
  /** Peer keys: of them, and of them only, it is known how many may lie. */
  readonly members: readonly PublicKey[];
};

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
   * @param peers - Those that said that they pruned the next block.
   */
  isNow(
    peers: readonly PublicKey[],
    { height, members }: Present,
    nowMs = performance.now(),
  ): boolean {
    const { config, log } = this.#parts;
    const { length: count } = members.filter((member) => peers.includes(member));
    if (count <= faultyMax(members.length) || nowMs < this.#restUntilMs) return false;
    this.#restUntilMs = nowMs + restMs;
    const isWanted = height === 0 || config.sync === "snapshot";
    log.warn({ height, peers: count, isWanted }, "peers have pruned the next block");
    return isWanted;
  }

  /** A snapshot came: a node that falls behind again need not wait for the next one. */
  noteReplaced(): void {
    this.#restUntilMs = 0;
  }
}

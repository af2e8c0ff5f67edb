/**
 * Decides when a running node gives up its ledger for a snapshot: when more peers than can be
 * faulty say that they pruned the next block, nobody else has it, and one of them shows a manifest
 * of what comes later. A node that has blocks of its own does so only if its configuration says
 * `sync: snapshot`, for those blocks go.
 *
 * Invariants:
 *
 * (1) How many can be faulty is a matter of the validators that the manifest proves: those that this
 *     node knows may be of long ago, and most of them without a ledger.
 * (2) What peers say alone does not keep this node from its work: it takes the certificate of a
 *     quorum above its tip.
 */
import { isLedgerError } from "../base/errors.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Log } from "../base/log.ts";
import { faultyMax } from "../base/proof/certificate.ts";
import { decodeManifest } from "../ledger/snapshot-format.ts";
import { type SnapshotContext, verifyManifest } from "../ledger/snapshot-verify.ts";
import type { NodeConfig } from "./config.ts";
import type { SnapshotPeers } from "./snapshot-download.ts";

/** A snapshot that cannot be had is not asked for again before this; looking for it takes 5 s. */
const restMs = 20_000;
/** Manifests of no more peers are not looked at again before this: as who has pruned is passed over. */
const lookRestMs = 5_000;

/** What a manifest proves for this decision. */
type Shown = { readonly height: number; readonly faultyMax: number };

/** Whether there is a need, and whether it is to be met. */
export type Need = "none" | "unwanted" | "wanted";

/** Remembers when a snapshot was wanted last. */
export class SnapshotNeed {
  readonly #parts: {
    readonly config: Pick<NodeConfig, "sync">;
    readonly context: SnapshotContext;
    readonly log: Log;
  };
  #restUntilMs = 0;
  #looked = { count: 0, untilMs: 0 };
  #isLooking = false;

  constructor(parts: {
    readonly config: Pick<NodeConfig, "sync">;
    readonly context: SnapshotContext;
    readonly log: Log;
  }) {
    this.#parts = parts;
  }

  /**
   * Tells whether the ledger is to be replaced now; that it is needed at most once in `restMs`.
   *
   * @param without - Those that said that they pruned the next block; not only members, as a node
   *   without a ledger knows those of the genesis only.
   * @param height - What this node has.
   */
  async look(
    without: readonly PublicKey[],
    height: number,
    peers: Pick<SnapshotPeers, "requestManifest">,
    nowMs = performance.now(),
  ): Promise<Need> {
    const isLooked = nowMs < this.#looked.untilMs && without.length <= this.#looked.count;
    if (this.#isLooking || isLooked || nowMs < this.#restUntilMs) return "none";
    this.#looked = { count: without.length, untilMs: nowMs + lookRestMs };
    this.#isLooking = true;
    try {
      const isEnough = (shown: Shown) => shown.height > height && without.length > shown.faultyMax;
      const looks = without.map(async (peer) => {
        const shown = await this.#shownBy(peer, peers);
        return shown !== undefined && isEnough(shown);
      });
      if (!(await isAnyTrue(looks))) return "none";
    } finally {
      this.#isLooking = false;
    }
    this.#restUntilMs = nowMs + restMs;
    const { config, log } = this.#parts;
    const isWanted = height === 0 || config.sync === "snapshot";
    log.warn({ height, peers: without.length, isWanted }, "peers have pruned the next block");
    return isWanted ? "wanted" : "unwanted";
  }

  /** A snapshot came: a node that falls behind again need not wait for the next one. */
  noteReplaced(): void {
    this.#restUntilMs = 0;
    this.#looked = { count: 0, untilMs: 0 };
  }

  async #shownBy(
    peer: PublicKey,
    peers: Pick<SnapshotPeers, "requestManifest">,
  ): Promise<Shown | undefined> {
    try {
      const manifest = decodeManifest(await peers.requestManifest(peer, 0));
      const { header, validators } = verifyManifest(manifest, this.#parts.context);
      return { height: header.height, faultyMax: faultyMax(validators.length) };
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      return undefined;
    }
  }
}

/** Does not wait for the slow ones once one says yes. */
function isAnyTrue(answers: readonly Promise<boolean>[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    for (const answer of answers) answer.then((isTrue) => isTrue && resolve(true), reject);
    Promise.all(answers).then(() => resolve(false), reject);
  });
}

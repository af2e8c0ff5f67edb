/**
 * Decides when a running node gives up its ledger for a snapshot: when more peers than can be
 * faulty say that they pruned the next block, nobody else has it, and one of them shows a manifest
 * of what comes later. A node that has blocks of its own does so only if its configuration says
 * `sync: snapshot`, for those blocks go.
 *
 * Invariants:
 *
 * (1) How many can be faulty is a matter of the validators that the manifest proves, or of those
 *     here if they are fewer: as the set grows or shrinks, a node that was away hears few of it.
 * (2) What peers say alone does not keep this node from its work: it takes a certificate above its
 *     tip, of a quorum of those validators that follow from the ones it knows.
 * (3) What does not hold costs the verification of one manifest a peer.
 */
import { isLedgerError } from "../base/errors.ts";
import type { Header } from "../base/format/block.ts";
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
/** Who showed nothing above the tip, though it says that it pruned the next block, rests for this. */
const lowRestMs = 60_000;
/** Manifests that are held at once, each of up to `syncBytesMax`. */
const manifestsAtOnce = 8;

/** What this node has. */
type Own = { readonly tip: Header; readonly memberCount: number };

/** What a look is about. */
type Look = Own & {
  /** How many peers said that they pruned the next block. */
  readonly count: number;
  readonly peers: Pick<SnapshotPeers, "requestManifest">;
  readonly nowMs: number;
};

/** Whether there is a need, and whether it is to be met. */
export type Need = "none" | "unwanted" | "wanted";

/** Remembers when a snapshot was wanted last. */
export class SnapshotNeed {
  readonly #parts: {
    readonly config: Pick<NodeConfig, "sync">;
    readonly context: SnapshotContext;
    readonly log: Log;
  };
  /** Whose manifest is not asked for; for ever if one did not hold. */
  readonly #resting = new Map<PublicKey, number>();
  #restUntilMs = 0;
  #looked = { count: 0, untilMs: 0 };
  /** Counts what was told: a look that began before that comes too late. */
  #told = 0;

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
   */
  async look(
    without: readonly PublicKey[],
    own: Own,
    peers: Pick<SnapshotPeers, "requestManifest">,
    nowMs = performance.now(),
  ): Promise<Need> {
    const { length: count } = without;
    const isLooked = nowMs < this.#looked.untilMs && count <= this.#looked.count;
    if (isLooked || nowMs < this.#restUntilMs) return "none";
    this.#looked = { count, untilMs: nowMs + lookRestMs };
    const told = this.#told;
    const isShown = await this.#isShown(without, { ...own, count, peers, nowMs });
    if (!isShown || told !== this.#told) return "none";
    this.#told += 1;
    this.#restUntilMs = nowMs + restMs;
    const { config, log } = this.#parts;
    const { height } = own.tip;
    const isWanted = height === 0 || config.sync === "snapshot";
    log.warn({ height, peers: count, isWanted }, "peers have pruned the next block");
    return isWanted ? "wanted" : "unwanted";
  }

  /** A snapshot came: a node that falls behind again need not wait for the next one. */
  noteReplaced(): void {
    this.#restUntilMs = 0;
    this.#looked = { count: 0, untilMs: 0 };
  }

  /** Asks a few at a time; does not wait for slow ones once one shows it. */
  #isShown(without: readonly PublicKey[], look: Look): Promise<boolean> {
    const waiting = without.filter((peer) => (this.#resting.get(peer) ?? 0) <= look.nowMs).values();
    return new Promise((resolve, reject) => {
      let isShown = false;
      const askOn = async () => {
        for (const peer of waiting) {
          if (isShown) return;
          if (!(await this.#shows(peer, look))) continue;
          isShown = true;
          resolve(true);
        }
      };
      const lanes = Array.from({ length: manifestsAtOnce }, askOn);
      Promise.all(lanes).then(() => resolve(false), reject);
    });
  }

  /** Tells whether a peer shows that there is more, and so few may be faulty. */
  async #shows(peer: PublicKey, look: Look): Promise<boolean> {
    const { tip, memberCount, count, peers, nowMs } = look;
    let bytes: Uint8Array;
    try {
      bytes = await peers.requestManifest(peer, 0);
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      return false;
    }
    try {
      const manifest = decodeManifest(bytes);
      const isAbove = (manifest.headers.at(-1)?.height ?? 0) > tip.height;
      if (!isAbove) this.#resting.set(peer, nowMs + lowRestMs);
      if (!isAbove) return false;
      const { validators } = verifyManifest(manifest, { ...this.#parts.context, tip });
      return count > faultyMax(Math.min(validators.length, memberCount));
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      this.#resting.set(peer, Number.POSITIVE_INFINITY);
      const facts = { peer, error: String(error) };
      this.#parts.log.warn(facts, "peer passed over: the snapshot that it offers is wrong");
      return false;
    }
  }
}

/**
 * How far the clocks of the peers are off, as their answers to the question for their height show:
 * each brings the peer's clock (`NodeClock`) along. A proposal cannot tell that: its time is later
 * than its parent's, however far its proposer is behind.
 *
 * For people and monitors only. How this node's own clock follows others is in clock-watch.ts.
 *
 * Invariants:
 *
 * (1) What is shown was true, but for half of `roundTripMsMax`, if the peer told the truth: its
 *     answer was made somewhere between question and arrival, and counts as made in the middle.
 * (2) What is older than `ageMsMax` is not shown.
 * (3) What a peer says changes what is shown of itself, and nothing else.
 */
import type { PublicKey } from "../base/keys.ts";
import type { Clock } from "../base/log.ts";
import type { BlockSource } from "./chain-follower.ts";
import type { Timers } from "./timers.ts";

/** Where a peer is, and its clock. */
export type PeerStatus = {
  readonly height: number;
  /** Its clock when it answered, UTC milliseconds. */
  readonly clockMs: number;
};

/** A source of blocks whose peers tell their clocks. */
export interface ClockedSource extends BlockSource {
  requestStatus(peer: PublicKey): Promise<PeerStatus>;
}

type Sight = {
  readonly clockMs: number;
  /** When it showed that, by the timers of this node. */
  readonly atMs: number;
};

/** What takes longer says too little, and the one before is better. */
const roundTripMsMax = 1_000;
/** Peers are asked about every second; one that brings blocks, or is passed over, less often. */
const ageMsMax = 60_000;

/** Keeps the last useful answer of each peer. */
export class PeerClocks {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #sights = new Map<PublicKey, Sight>();

  constructor(parts: { readonly clock: Clock; readonly timers: Timers }) {
    this.#clock = parts.clock;
    this.#timers = parts.timers;
  }

  /** Returns the same source; the clocks that peers tell through it are noted. */
  watching(source: ClockedSource): BlockSource {
    return {
      connectedPeers: () => source.connectedPeers(),
      requestBlocks: (peer, from, countMax) => source.requestBlocks(peer, from, countMax),
      requestStatus: async (peer) => {
        const askedAtMs = this.#timers.nowMs();
        const status = await source.requestStatus(peer);
        this.#note(peer, status, askedAtMs);
        return status;
      },
    };
  }

  /**
   * Returns by how much the clock of a peer is ahead of this node's, in milliseconds; behind when
   * negative, `undefined` when it is not known.
   */
  offsetMs(peer: PublicKey): number | undefined {
    const sight = this.#sights.get(peer);
    if (sight === undefined) return undefined;
    const ageMs = this.#timers.nowMs() - sight.atMs;
    // Against the present clock: it may have been set forward since.
    return ageMs > ageMsMax ? undefined : sight.clockMs + ageMs - this.#clock.nowMs();
  }

  #note(peer: PublicKey, { clockMs }: PeerStatus, askedAtMs: number): void {
    const roundTripMs = this.#timers.nowMs() - askedAtMs;
    if (roundTripMs > roundTripMsMax) return;
    this.#sights.set(peer, { clockMs, atMs: askedAtMs + roundTripMs / 2 });
  }
}

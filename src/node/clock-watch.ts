/**
 * How far this node's clock is from those of the other validators, as their fresh proposals show:
 * the time in one is its proposer's clock a moment ago. A clock that is off makes a node refuse
 * what all others accept, and nothing else would say why. One that is behind since the machine was
 * paused is helped by it (clock.ts). A proposer that is behind does not show it, as the time in its
 * block is after that of the parent: people are shown what peers say (peer-clocks.ts).
 */
import type { ConsensusMessage } from "../base/format/message.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";

/** Keeps what the last fresh proposal of each validator showed. */
export class ClockWatch {
  readonly #last = new Map<PublicKey, { readonly hash: Hash; readonly offsetMs: number }>();

  /** Looks at a verified message. One that is sent again is old, and tells nothing new. */
  note(message: ConsensusMessage, nowMs: number): void {
    // A block that was prepared in a former round is proposed again with its former time.
    if (message.kind !== "proposal" || message.prepares.length > 0) return;
    const { validator, block } = message;
    if (this.#last.get(validator)?.hash === block.hash) return;
    const offsetMs = block.header.timestampMs - nowMs;
    this.#last.set(validator, { hash: block.hash, offsetMs });
  }

  /** Forgets all: what was seen was held against a clock that has been set since. */
  clear(): void {
    this.#last.clear();
  }

  /**
   * Returns by how much an honest one of `others` is ahead of this node, at least: `Infinity` when
   * there are no others, 0 or less when it is not known.
   */
  aheadMsMin(others: readonly PublicKey[], faultyMax: number): number {
    if (others.length === 0) return Number.POSITIVE_INFINITY;
    const offsets = others.flatMap((other) => this.#last.get(other)?.offsetMs ?? []);
    // So many liars may be above it, and no more.
    return offsets.sort((left, right) => right - left)[faultyMax] ?? 0;
  }

  /**
   * Returns by how much most others are ahead of this node, in milliseconds; behind when negative.
   *
   * @param faultyMax - Validators that may lie: that many are not enough to say anything.
   */
  offsetMs(faultyMax: number): number {
    const offsets = [...this.#last.values()].map((last) => last.offsetMs);
    if (offsets.length <= faultyMax) return 0;
    offsets.sort((left, right) => left - right);
    return offsets[Math.floor(offsets.length / 2)] ?? 0;
  }
}

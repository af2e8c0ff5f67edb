/**
 * How far this node's clock is from those of the other validators, as their fresh proposals show:
 * the time in one is its proposer's clock a moment ago. A clock that is off makes a node refuse
 * what all others accept, and nothing else would say why.
 */
import type { ConsensusMessage } from "../base/format/message.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";

/** Keeps what the last fresh proposal of each validator showed. */
export class ClockWatch {
  readonly #last = new Map<PublicKey, { readonly hash: Hash; readonly offsetMs: number }>();

  /** Looks at a verified message. One that is sent again is old, and tells nothing new. */
  note(message: ConsensusMessage, nowMs: number): void {
    if (message.kind !== "proposal" || message.round !== 0) return;
    const { validator, block } = message;
    if (this.#last.get(validator)?.hash === block.hash) return;
    const offsetMs = block.header.timestampMs - nowMs;
    this.#last.set(validator, { hash: block.hash, offsetMs });
  }

  /** Returns by how much a validator is ahead of this node, in milliseconds, if it is known. */
  offsetOf(validator: PublicKey): number | undefined {
    return this.#last.get(validator)?.offsetMs;
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

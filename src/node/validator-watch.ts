/**
 * What this node saw of each validator since it started: when it was last heard of, and how far it
 * has voted. For people and monitors, and for a clock that is behind; nothing else is decided by it.
 */
import type { Certificate, ConsensusMessage } from "../base/format/message.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Log } from "../base/log.ts";
import { faultyMax } from "../base/proof/certificate.ts";
import type { NodeClock } from "./clock.ts";
import { ClockWatch } from "./clock-watch.ts";

/** One validator as seen here; absent fields: not yet. */
export type ValidatorSight = {
  /** Clock of this node when a message of it came, UTC milliseconds. */
  readonly lastSeenMs: number | undefined;
  /** Greatest height it is known to have voted at. */
  readonly votedHeight: number | undefined;
};

/** Collects sights of validators from verified messages and certificates. */
export class ValidatorWatch {
  readonly #clocks = new ClockWatch();
  readonly #lastSeenMs = new Map<PublicKey, number>();
  readonly #votedHeights = new Map<PublicKey, number>();

  /** Looks at a verified message. */
  note(message: ConsensusMessage, nowMs: number): void {
    const { validator, kind, height } = message;
    this.#lastSeenMs.set(validator, nowMs);
    this.#clocks.note(message, nowMs);
    if (kind === "prepare" || kind === "commit") this.#noteVote(validator, height);
  }

  /** Looks at a verified certificate, with the validators of its height, sorted ascending. */
  noteCertificate({ height, signatures }: Certificate, validators: readonly PublicKey[]): void {
    for (const { validatorIndex } of signatures) {
      const validator = validators[validatorIndex];
      if (validator !== undefined) this.#noteVote(validator, height);
    }
  }

  /** Returns what was seen of a validator. */
  of(validator: PublicKey): ValidatorSight {
    return {
      lastSeenMs: this.#lastSeenMs.get(validator),
      votedHeight: this.#votedHeights.get(validator),
    };
  }

  /** Sets the clock of this node forward if its machine was paused and the others went on. */
  setClock(
    validators: readonly PublicKey[],
    parts: {
      readonly clock: NodeClock;
      readonly log: Log;
      readonly signer: { readonly publicKey: PublicKey } | undefined;
    },
  ): void {
    const { clock, log, signer } = parts;
    const others = validators.filter((validator) => validator !== signer?.publicKey);
    const aheadMs = this.#clocks.aheadMsMin(others, faultyMax(validators.length));
    const steppedMs = clock.stepForward?.(aheadMs) ?? 0;
    if (steppedMs === 0) return;
    this.#clocks.clear();
    log.warn({ steppedMs }, "the clock of this node was behind and is set forward");
  }

  /** See ClockWatch.offsetMs. */
  offsetMs(faultyMax: number): number {
    return this.#clocks.offsetMs(faultyMax);
  }

  #noteVote(validator: PublicKey, height: number): void {
    const before = this.#votedHeights.get(validator) ?? 0;
    this.#votedHeights.set(validator, Math.max(before, height));
  }
}

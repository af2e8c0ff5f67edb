/**
 * What is done with the bytes of a consensus message before the core sees it: decoded, judged by
 * its use (message-filter.ts), checked, and looked at for signs of liars and of the own key.
 *
 * Invariant: what `take` returns has only signatures that hold, and the transactions of its header.
 */
import { claimOf } from "../base/format/equivocation.ts";
import {
  type Claim,
  type ConsensusMessage,
  decodeMessage,
  type Signed,
} from "../base/format/message.ts";
import type { ConsensusState } from "../consensus/state.ts";
import { findBlock } from "../consensus/votes.ts";
import type { DriverParts } from "./driver-types.ts";
import { EquivocationWatch } from "./equivocation-watch.ts";
import { isKeyUsedElsewhere } from "./key-guard.ts";
import { isHeld, isOfUse } from "./message-filter.ts";
import type { ValidatorWatch } from "./validator-watch.ts";
import {
  checkContent,
  isSigned,
  mustBeSigned,
  type SignatureContext,
  type Verifiable,
} from "./verify-message.ts";

/** Receives messages for one driver. */
export class MessageReception {
  readonly #parts: DriverParts;
  readonly #watch: ValidatorWatch;
  readonly #onKeyUsedElsewhere: () => void;
  readonly #equivocations = new EquivocationWatch();

  /** @param onKeyUsedElsewhere - Called when a claim of the own key comes that is not known. */
  constructor(parts: DriverParts, watch: ValidatorWatch, onKeyUsedElsewhere: () => void) {
    this.#parts = parts;
    this.#watch = watch;
    this.#onKeyUsedElsewhere = onKeyUsedElsewhere;
  }

  /**
   * Takes bytes from the network.
   *
   * @returns The message, if it is for the core.
   * @throws {LedgerError} when it is malformed, or a signature or a block in it does not hold.
   */
  take(bytes: Uint8Array, state: ConsensusState): ConsensusMessage | undefined {
    const message = decodeMessage(bytes);
    if (isOfUse(state, message)) {
      this.#verify(message, state);
      checkContent(message, (hash) => findBlock(state, hash));
      this.#noteClaims(message, state);
      this.#noteSight(message);
      return message;
    }
    if (isHeld(state, message)) {
      this.#noteSight(message);
    } else if (message.validator === state.self || this.#equivocations.contradicts(message)) {
      const claim = claimOf(message);
      this.#verify(claim, state);
      this.#noteClaims(claim, state);
    } else if (state.validators.includes(message.validator)) {
      this.#compare(claimOf(message), state);
    }
    return undefined;
  }

  /** Two claims that are of no use may convict their validator all the same: then both are checked. */
  #compare(claim: Signed<Claim>, state: ConsensusState): void {
    const former = this.#equivocations.compare(claim);
    if (former === undefined) return;
    if (isSigned(former, this.#contextOf(state))) this.#noteClaims(former, state);
    this.#verify(claim, state);
    this.#noteClaims(claim, state);
  }

  #verify(message: Verifiable, state: ConsensusState): void {
    mustBeSigned(message, this.#contextOf(state));
  }

  #contextOf({ validators }: ConsensusState): SignatureContext {
    const { ledger, verifier } = this.#parts;
    return { chainId: ledger.chainId, verifier, validators };
  }

  #noteClaims(message: Verifiable, state: ConsensusState): void {
    if (isKeyUsedElsewhere(state, message, this.#parts)) this.#onKeyUsedElsewhere();
    const isTrue = (claim: Signed<Claim>) => isSigned(claim, this.#contextOf(state));
    for (const pair of this.#equivocations.note(message, isTrue)) this.#parts.onEquivocation(pair);
  }

  #noteSight(message: ConsensusMessage): void {
    this.#watch.note(message, this.#parts.clock.nowMs());
  }
}

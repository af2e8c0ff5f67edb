/**
 * Looks for two claims of one validator that contradict each other. The consensus core just ignores
 * the second one; here it becomes evidence against the validator.
 *
 * Invariants:
 *
 * (1) Every claim that is kept has a signature that was verified.
 * (2) What is kept is bounded for each validator, whatever it signs; the oldest goes first.
 * (3) A pair is reported once while its claims are kept.
 */
import { claimOf, contradict, type Equivocation } from "../base/format/equivocation.ts";
import type { Claim, Signed } from "../base/format/message.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import { claimsIn, type Verifiable } from "./verify-message.ts";

type Kept = { readonly claim: Signed<Claim>; isReported: boolean };

/** Remembers the verified claims of each validator for a while. */
export class EquivocationWatch {
  readonly #claims = new Map<PublicKey, Map<string, Kept>>();

  /** Tells whether an unverified message would contradict a claim that is kept. */
  contradicts(message: Signed<Claim>): boolean {
    const kept = this.#claims.get(message.validator)?.get(placeOf(message));
    return kept !== undefined && !kept.isReported && contradict(kept.claim, message);
  }

  /** Takes a message whose signatures hold. @returns What it and earlier ones prove. */
  note(message: Verifiable): Equivocation[] {
    const found = claimsIn(message).map((claim) => this.#noteClaim(claim));
    return found.filter((pair) => pair !== undefined);
  }

  #noteClaim(message: Signed<Claim>): Equivocation | undefined {
    const { validator } = message;
    const ofValidator = this.#claims.get(validator) ?? new Map<string, Kept>();
    this.#claims.set(validator, ofValidator);
    const place = placeOf(message);
    const kept = ofValidator.get(place);
    if (kept === undefined) {
      ofValidator.set(place, { claim: claimOf(message), isReported: false });
      if (ofValidator.size > limits.watchedClaimsMax) dropOldest(ofValidator);
      return undefined;
    }
    if (kept.isReported || !contradict(kept.claim, message)) return undefined;
    kept.isReported = true;
    return [kept.claim, claimOf(message)];
  }
}

function placeOf({ kind, height, round }: Signed<Claim>): string {
  return `${height}/${round}/${kind}`;
}

function dropOldest(claims: Map<string, Kept>): void {
  const [oldest] = claims.keys();
  claims.delete(oldest as string);
}

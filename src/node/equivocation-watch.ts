/**
 * Looks for two claims of one validator that contradict each other. The consensus core just ignores
 * the second one; here it becomes evidence against the validator.
 *
 * Invariants:
 *
 * (1) Every claim that proves something has a signature that was verified. One that came unchecked
 *     is kept apart, and only to be compared.
 * (2) What is kept is bounded for each validator, whatever it signs; the oldest goes first.
 * (3) A pair is reported once while its claims are kept.
 */
import { claimOf, contradict, type Equivocation } from "../base/format/equivocation.ts";
import type { Claim, Signed } from "../base/format/message.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import { claimsIn, type Verifiable } from "./verify-message.ts";

type Kept = { readonly claim: Signed<Claim>; isReported: boolean };

/** Remembers the claims of each validator for a while. */
export class EquivocationWatch {
  readonly #claims = new Map<PublicKey, Map<string, Kept>>();
  /** What nobody had a use for, so that its signature was not checked. */
  readonly #unchecked = new Map<PublicKey, Map<string, Signed<Claim>>>();

  /** Tells whether an unverified message would contradict a claim that is kept. */
  contradicts(message: Signed<Claim>): boolean {
    const kept = this.#claims.get(message.validator)?.get(placeOf(message));
    return kept !== undefined && !kept.isReported && contradict(kept.claim, message);
  }

  /**
   * Takes a claim that is of no use but for this, unchecked.
   *
   * @returns The former one, if this one contradicts it, or has another signature for the same:
   *   both are worth a check then, and none is kept here any more. Either may be forged.
   */
  compare(message: Signed<Claim>): Signed<Claim> | undefined {
    const { validator, signature } = message;
    const place = placeOf(message);
    if (this.#claims.get(validator)?.has(place)) return undefined;
    const ofValidator = this.#unchecked.get(validator) ?? new Map<string, Signed<Claim>>();
    this.#unchecked.set(validator, ofValidator);
    const former = ofValidator.get(place);
    if (former === undefined) keep(ofValidator, place, claimOf(message));
    if (former === undefined || Buffer.compare(former.signature, signature) === 0) return undefined;
    ofValidator.delete(place);
    return former;
  }

  /**
   * Takes a message whose signatures hold.
   *
   * @param isSigned - Checks a claim that came unchecked before.
   * @returns What it and earlier ones prove.
   */
  note(message: Verifiable, isSigned: (claim: Signed<Claim>) => boolean): Equivocation[] {
    const found = claimsIn(message).map((claim) => this.#noteClaim(claim, isSigned));
    return found.filter((pair) => pair !== undefined);
  }

  #noteClaim(
    message: Signed<Claim>,
    isSigned: (claim: Signed<Claim>) => boolean,
  ): Equivocation | undefined {
    const { validator } = message;
    const ofValidator = this.#claims.get(validator) ?? new Map<string, Kept>();
    this.#claims.set(validator, ofValidator);
    const place = placeOf(message);
    const kept = ofValidator.get(place);
    if (kept !== undefined) return pairOf(kept, message);
    const first = { claim: claimOf(message), isReported: false };
    keep(ofValidator, place, first);
    const unchecked = this.#unchecked.get(validator)?.get(place);
    this.#unchecked.get(validator)?.delete(place);
    const isWorthIt = unchecked !== undefined && contradict(unchecked, message);
    return isWorthIt && isSigned(unchecked) ? pairOf(first, unchecked) : undefined;
  }
}

/** (3) */
function pairOf(kept: Kept, claim: Signed<Claim>): Equivocation | undefined {
  if (kept.isReported || !contradict(kept.claim, claim)) return undefined;
  kept.isReported = true;
  return [kept.claim, claimOf(claim)];
}

function placeOf({ kind, height, round }: Signed<Claim>): string {
  return `${height}/${round}/${kind}`;
}

/** The oldest goes first. */
function keep<T>(claims: Map<string, T>, place: string, claim: T): void {
  claims.set(place, claim);
  if (claims.size <= limits.watchedClaimsMax) return;
  const [oldest] = claims.keys();
  claims.delete(oldest as string);
}

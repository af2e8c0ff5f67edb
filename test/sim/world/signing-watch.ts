/** Watches what keys sign: in ascending slots, never two things in one, and on disk before. */
import type { Claim } from "../../../src/base/format/message.ts";
import { type SigningRecord, sameClaim } from "../../../src/base/format/signing-record.ts";
import { SignedSlots } from "../checkers.ts";
import { readClaim, Violation } from "./checkers.ts";

/** Watches what each key signs, over all its lives. */
export class SigningWatch {
  readonly #signed = new Map<string, SignedSlots>();
  readonly #chainId: string;

  constructor(chainId: string) {
    this.#chainId = chainId;
  }

  /**
   * Sees a signature come into being.
   *
   * @param record - What is on disk at that moment.
   * @throws {Violation}
   */
  note(key: string, message: Uint8Array, record: SigningRecord | undefined): void {
    const claim = readClaim(message, this.#chainId);
    const slot = `${claim.kind} ${claim.height}/${claim.round}`;
    if (record === undefined || !covers(record, claim))
      throw new Violation("signing", `${slot} is not on disk when signed`);
    const slots = this.#signed.get(key) ?? new SignedSlots();
    this.#signed.set(key, slots);
    try {
      slots.sign(claim);
    } catch (error) {
      throw new Violation("signing", (error as Error).message);
    }
  }
}

/** A record holds the claim, or is of a later round and with it forbids any other in this one. */
function covers({ height, round, claims, prepared }: SigningRecord, claim: Claim): boolean {
  if (height !== claim.height) return false;
  if (round === claim.round) return claims.some((each) => sameClaim(each, claim));
  return round > claim.round && (claim.kind !== "commit" || (prepared?.round ?? -1) >= claim.round);
}

/** What must hold of a validator's signatures, whatever happens to it. */
import type { Claim } from "../../src/base/format/message.ts";
import { claimOrder, sameClaim } from "../../src/base/format/signing-record.ts";

/** Claims that are kept: those of some rounds, as a restart signs at most one round's again. */
const keptMax = 16;

/**
 * What one key signed: never two different claims in one slot, and slots ascend. The same claim may
 * be signed again; that does not lower the highest slot.
 */
export class SignedSlots {
  /** In ascending slots, each once. */
  #claims: readonly Claim[] = [];

  /** Notes a claim that is about to be signed. @throws {Error} naming the claim. */
  sign(claim: Claim): void {
    if (this.#claims.some((former) => sameClaim(former, claim))) return;
    const highest = this.#claims.at(-1);
    const order = highest === undefined ? 1 : compare(slotOf(claim), slotOf(highest));
    const where = `${claim.height}/${claim.round}`;
    if (this.#claims.some((former) => compare(slotOf(former), slotOf(claim)) === 0))
      throw new Error(`two ${claim.kind}s of one validator in ${where}`);
    if (order < 0) throw new Error(`a ${claim.kind} below the highest slot in ${where}`);
    this.#claims = [...this.#claims.slice(1 - keptMax), claim];
  }
}

function slotOf({ height, round, kind }: Claim): readonly number[] {
  return [height, round, claimOrder[kind]];
}

function compare(left: readonly number[], right: readonly number[]): number {
  for (const [index, value] of left.entries()) {
    const difference = value - (right[index] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** What must hold of a validator's signatures, whatever happens to it. */
import type { Claim } from "../../src/base/format/message.ts";
import { claimOrder, sameClaim } from "../../src/base/format/signing-record.ts";

/**
 * Checks a claim that is about to be signed against all that were: never two different ones in one
 * slot, never one of a lower slot unless it is the same again.
 *
 * @throws {Error} naming the claim.
 */
export function checkSigning(before: readonly Claim[], claim: Claim): void {
  const slot = ({ height, round, kind }: Claim) => [height, round, claimOrder[kind]];
  // A restart signs at most the claims of one round again.
  for (const former of before.slice(-8)) {
    if (sameClaim(former, claim)) return;
    if (slot(former).join() === slot(claim).join())
      throw new Error(`two ${claim.kind}s of one validator in ${claim.height}/${claim.round}`);
  }
  const last = before.at(-1);
  if (last !== undefined && compare(slot(claim), slot(last)) < 0)
    throw new Error(`a ${claim.kind} below the last slot in ${claim.height}/${claim.round}`);
}

function compare(left: readonly number[], right: readonly number[]): number {
  for (const [index, value] of left.entries()) {
    const difference = value - (right[index] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

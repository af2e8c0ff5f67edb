/**
 * Signatures of the simulator: a hash over signer and message instead of Ed25519, for speed. They
 * bind what real ones bind (chain id, height, round, hash), so what the shell must refuse is
 * refused here too. Anybody can forge them; the simulated liars of the tests sign for themselves.
 */
import { createHash } from "node:crypto";
import { equalBytes } from "../../src/base/bytes.ts";
import {
  type Claim,
  type ConsensusMessage,
  claimMessage,
  type RoundChangeClaim,
  type Signed,
} from "../../src/base/format/message.ts";
import { type Hash, injectSha256 } from "../../src/base/hash.ts";
import type { PublicKey, Verifier } from "../../src/base/keys.ts";

// Blocks are hashed often here; the native function gives the same bytes.
injectSha256((bytes) => new Uint8Array(createHash("sha256").update(bytes).digest()));

/** Chain id of simulated clusters. */
export const simChainId: Hash = "c0".repeat(32);

/** Returns the key of a simulated validator; keys ascend with the index. */
export function keyOf(index: number): PublicKey {
  return (index + 0x11).toString(16).repeat(32);
}

/** Signs bytes for a key. */
export function fakeSign(message: Uint8Array, validator: PublicKey): Uint8Array {
  return new Uint8Array(createHash("sha512").update(validator).update(message).digest());
}

/** Checks what `fakeSign` made. */
export const fakeVerifier: Verifier = {
  verify: (message, signature, key) => equalBytes(fakeSign(message, key), signature),
};

/** Signs a claim. */
export function signedBy<C extends Claim>(
  validator: PublicKey,
  claim: C,
  chainId: Hash = simChainId,
): Signed<C> {
  return { ...claim, validator, signature: fakeSign(claimMessage(claim, chainId), validator) };
}

/** What the shell does before it feeds a message: checks every signature in it. */
export function signaturesHold(message: ConsensusMessage, chainId: Hash): boolean {
  const claims: Signed<Claim>[] = [message];
  if (message.kind === "proposal") claims.push(...message.roundChanges, ...message.prepares);
  if (message.kind === "roundChange") claims.push(...message.prepares);
  return claims.every((claim) =>
    fakeVerifier.verify(claimMessage(claim, chainId), claim.signature, claim.validator),
  );
}

/** Takes a round change out of the message it was sent in. */
export function claimOnly(
  message: Signed<RoundChangeClaim> & { readonly preparedBlock?: unknown },
): Signed<RoundChangeClaim> {
  const { kind, height, round, prepared, validator, signature } = message;
  return { kind, height, round, prepared, validator, signature };
}

/**
 * Checks every signature of a consensus message, the embedded ones of its justification too, so
 * that the pure core never sees one that does not hold. Whether a signer may vote and whether a
 * justification suffices is for the core.
 */
import { LedgerError } from "../base/errors.ts";
import {
  type Claim,
  type ConsensusMessage,
  claimMessage,
  type Signed,
} from "../base/format/message.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey, Verifier } from "../base/keys.ts";
import { merkleRoot } from "../base/proof/merkle.ts";

/** What signatures are checked against. */
export type SignatureContext = {
  readonly chainId: Hash;
  readonly verifier: Verifier;
  /** Signatures of others are not worth the time of a check. */
  readonly validators: readonly PublicKey[];
};

/** Tells whether all signatures of a message hold and are of validators. */
export function verifyMessage(message: ConsensusMessage, context: SignatureContext): boolean {
  return claimsIn(message).every((claim) => verifyClaim(claim, context));
}

/**
 * Lists all that validators signed in a message, its own claim first. A liar may show a claim to
 * nobody directly, and yet need it in a justification.
 */
export function claimsIn(message: ConsensusMessage): readonly Signed<Claim>[] {
  if (!("prepares" in message)) return [message];
  const changes = "roundChanges" in message ? message.roundChanges : [];
  return [message, ...message.prepares, ...changes];
}

function verifyClaim(claim: Signed<Claim>, context: SignatureContext): boolean {
  const { chainId, verifier, validators } = context;
  if (!validators.includes(claim.validator)) return false;
  return verifier.verify(claimMessage(claim, chainId), claim.signature, claim.validator);
}

/**
 * Checks that the block in a message holds the transactions its header stands for. Nothing signed
 * covers them but that root: with others a liar could give each node another block of one hash, of
 * which the certified one is then missing where it is needed.
 *
 * @throws {LedgerError} BLOCK_INVALID
 */
export function checkContent(message: ConsensusMessage): void {
  const block =
    message.kind === "proposal"
      ? message.block
      : message.kind === "roundChange"
        ? message.preparedBlock
        : undefined;
  if (block === undefined || merkleRoot(block.transactions) === block.header.transactionsRoot)
    return;
  const { height } = block.header;
  const reason = "transactionsRoot differs from the transactions";
  throw new LedgerError("BLOCK_INVALID", { height, reason });
}

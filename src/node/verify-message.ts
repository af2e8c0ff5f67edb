/**
 * Checks every signature of a consensus message, the embedded ones of its justification too, so
 * that the pure core never sees one that does not hold. Whether a signer may vote and whether a
 * justification suffices is for the core.
 */
import { LedgerError } from "../base/errors.ts";
import type { Block } from "../base/format/block.ts";
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

/** A message, or a claim taken out of one. */
export type Verifiable = ConsensusMessage | Signed<Claim>;

/**
 * Tells whether all signatures of a message hold and are of validators. A stranger's name costs no
 * check, and decoding lets each signer into a list once.
 */
export function isSigned(message: Verifiable, context: SignatureContext): boolean {
  const claims = claimsIn(message);
  const isOfValidators = claims.every(({ validator }) => context.validators.includes(validator));
  return isOfValidators && claims.every((claim) => verifyClaim(claim, context));
}

/** Refuses a message that is not `isSigned`. @throws {LedgerError} */
export function mustBeSigned(message: Verifiable, context: SignatureContext): void {
  const { validator, height } = message;
  if (!isSigned(message, context))
    throw new LedgerError("CONSENSUS_SIGNATURE_INVALID", { validator, height });
}

/**
 * Lists all that validators signed in a message, its own claim first. A liar may show a claim to
 * nobody directly, and yet need it in a justification.
 */
export function claimsIn(message: Verifiable): readonly Signed<Claim>[] {
  if (!("prepares" in message)) return [message];
  const changes = "roundChanges" in message ? message.roundChanges : [];
  return [message, ...message.prepares, ...changes];
}

function verifyClaim(claim: Signed<Claim>, { chainId, verifier }: SignatureContext): boolean {
  return verifier.verify(claimMessage(claim, chainId), claim.signature, claim.validator);
}

/**
 * Checks that the block in a message holds the transactions its header stands for. Nothing signed
 * covers them but that root: with others a liar could give each node another block of one hash, of
 * which the certified one is then missing where it is needed.
 *
 * @param known - Finds a block whose content was checked: equal bytes need no hashing again.
 * @throws {LedgerError} BLOCK_INVALID
 */
export function checkContent(
  message: ConsensusMessage,
  known: (hash: Hash) => Block | undefined,
): void {
  const block =
    message.kind === "proposal"
      ? message.block
      : message.kind === "roundChange"
        ? message.preparedBlock
        : undefined;
  if (block !== undefined && areSame(block.transactions, known(block.hash)?.transactions)) return;
  if (block === undefined || merkleRoot(block.transactions) === block.header.transactionsRoot)
    return;
  const { height } = block.header;
  const reason = "transactionsRoot differs from the transactions";
  throw new LedgerError("BLOCK_INVALID", { height, reason });
}

function areSame(left: Block["transactions"], right: Block["transactions"] | undefined): boolean {
  if (left.length !== right?.length) return false;
  return left.every((bytes, index) => Buffer.compare(bytes, right[index] as Uint8Array) === 0);
}

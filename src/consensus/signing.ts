/**
 * Signing: every claim of this validator goes through here.
 *
 * Invariants:
 *
 * (1) The slots (height, round, kind in `claimOrder`) of signed claims only ascend.
 * (2) The record that goes with a claim holds the claim, all others of its round, and the highest
 *     prepared certificate of the height.
 * (3) Nothing is signed at a height that is abstained from, or below the record's height.
 */
import { assert } from "../base/assert.ts";
import type { Claim, ConsensusMessage, Signed } from "../base/format/message.ts";
import { claimOrder, type SigningRecord, sameClaim } from "../base/format/signing-record.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Attachments, Effect, Step } from "./event.ts";
import { type ConsensusState, withEffect } from "./state.ts";

/** Accompanies a vote. */
const noAttachments: Attachments = { block: undefined, roundChanges: [], prepares: [] };

/** Tells whether this node votes at the current height at all. */
export function mayVote(state: ConsensusState): boolean {
  const { self, validators, height, abstainThroughHeight, record } = state;
  if (self === undefined || !validators.includes(self)) return false;
  return height > abstainThroughHeight && (record === undefined || record.height <= height);
}

/** Tells whether a claim of a kind may be signed in the current round. */
export function maySign(state: ConsensusState, kind: Claim["kind"]): boolean {
  const { record, height, round } = state;
  if (!mayVote(state)) return false;
  if (record === undefined || record.height < height || record.round < round) return true;
  const isNext = record.claims.every((signed) => claimOrder[kind] > claimOrder[signed.kind]);
  return record.round === round && isNext;
}

/** Returns the hash this validator voted for or proposed in the current round, if it did. */
export function boundHash(state: ConsensusState): string | undefined {
  const claims = isOfRound(state.record, state) ? state.record.claims : [];
  for (const claim of claims) if (claim.kind !== "roundChange") return claim.blockHash;
  return undefined;
}

/**
 * Tells whether a message of the own key was not signed by this node, as far as its record shows:
 * another process uses the key. The shell then stops the node. A message below the record's round
 * cannot be told and is let pass; right after start, wait for the record to be restored.
 */
export function isForeignUseOfKey(state: ConsensusState, message: Signed<Claim>): boolean {
  const { self, record } = state;
  if (message.validator !== self) return false;
  if (record === undefined || message.height > record.height) return true;
  if (message.height < record.height || message.round < record.round) return false;
  return !record.claims.some((claim) => claim.kind === message.kind && sameClaim(claim, message));
}

/** Hands a claim of the current round to the shell for signing, with its record. */
export function sign(
  state: ConsensusState,
  claim: Claim,
  attachments: Attachments,
): Step<ConsensusState> {
  assert(maySign(state, claim.kind), "a claim is signed above the slot of the record");
  assert(claim.height === state.height && claim.round === state.round, "a claim is of this round");
  const record = recordOf(state, claim, attachments);
  return withEffect({ ...state, record }, { kind: "sign", claim, attachments, record });
}

function recordOf(
  state: ConsensusState,
  claim: Claim,
  { block, roundChanges, prepares }: Attachments,
): SigningRecord {
  const { height, round, prepared } = state;
  const former = isOfRound(state.record, state) ? state.record : undefined;
  const claims = [...(former?.claims ?? []), claim];
  if (claim.kind !== "proposal")
    return { height, round, claims, proposal: former?.proposal, prepared };
  assert(block !== undefined, "a proposal has a block");
  return { height, round, claims, proposal: { block, roundChanges, prepares }, prepared };
}

function isOfRound(
  record: SigningRecord | undefined,
  { height, round }: ConsensusState,
): record is SigningRecord {
  return record !== undefined && record.height === height && record.round === round;
}

/** Signs the round change to the current round, if this node votes. */
export function signRoundChange(state: ConsensusState): Step<ConsensusState> {
  if (!maySign(state, "roundChange")) return { state, effects: [] };
  const { height, round, prepared } = state;
  const claim: Claim = {
    kind: "roundChange",
    height,
    round,
    prepared: prepared && { round: prepared.round, blockHash: prepared.block.hash },
  };
  const { block, prepares } = prepared ?? { block: undefined, prepares: [] };
  return sign(state, claim, { block, roundChanges: [], prepares });
}

/** Signs a vote for a block in the current round, if this node votes. */
export function signVote(
  state: ConsensusState,
  kind: "prepare" | "commit",
  blockHash: string,
): Step<ConsensusState> {
  if (!maySign(state, kind)) return { state, effects: [] };
  const { height, round } = state;
  return sign(state, { kind, height, round, blockHash }, noAttachments);
}

/** Returns the effects that sign once more exactly what a record says was signed. */
export function signAgain(record: SigningRecord): readonly Effect[] {
  return record.claims.flatMap((claim) => {
    const attachments = attachmentsIn(record, claim);
    return attachments ? [{ kind: "sign" as const, claim, attachments, record }] : [];
  });
}

/**
 * A round change that reported an older prepared block than the record now holds is not sent
 * again: its round went on to a commit, which only a proposal with all its round changes allows.
 */
function attachmentsIn(record: SigningRecord, claim: Claim): Attachments | undefined {
  const { proposal, prepared } = record;
  if (claim.kind === "proposal") return proposal;
  if (claim.kind !== "roundChange" || claim.prepared === undefined) return noAttachments;
  if (prepared?.round !== claim.prepared.round) return undefined;
  return { block: prepared.block, roundChanges: [], prepares: prepared.prepares };
}

/** Puts a signed claim and what accompanies it together to the message that is sent. */
export function messageOf(
  claim: Claim,
  attachments: Attachments,
  signer: { readonly validator: PublicKey; readonly signature: Uint8Array },
): ConsensusMessage {
  const { block, roundChanges, prepares } = attachments;
  switch (claim.kind) {
    case "proposal":
      assert(block !== undefined, "a proposal has a block");
      return { ...claim, ...signer, block, roundChanges, prepares };
    case "roundChange":
      return { ...claim, ...signer, preparedBlock: block, prepares };
    default:
      return { ...claim, ...signer };
  }
}

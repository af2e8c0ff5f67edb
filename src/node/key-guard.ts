/**
 * Notices that another process uses the validator key of this node: by what it signs, wherever it
 * is seen. Two instances that go on would convict the validator of equivocation.
 *
 * A second instance is often not heard directly, as it has the same peer key, too. What it signed
 * comes back inside justifications and in the certificates of blocks.
 */
import type { Certificate } from "../base/format/message.ts";
import type { PublicKey } from "../base/keys.ts";
import { isForeignUseOfKey } from "../consensus/signing.ts";
import type { ConsensusState } from "../consensus/state.ts";
import { claimsIn, type Verifiable } from "./verify-message.ts";

/** What the guard needs to know besides the core's state. */
type Memory = {
  /** Record at start: until the core has it restored, it stands for what was signed. */
  readonly record: ConsensusState["record"];
  /** The record was lost before this start, so own votes from before are not known. */
  readonly isRecordLost: boolean;
};

/** Tells whether a verified message holds something that this node's key signed elsewhere. */
export function isKeyUsedElsewhere(
  state: ConsensusState,
  message: Verifiable,
  memory: Memory,
): boolean {
  const known = knownTo(state, memory);
  return known !== undefined && claimsIn(message).some((claim) => isForeignUseOfKey(known, claim));
}

/**
 * Tells whether this node's key signed a certificate elsewhere.
 *
 * @param validators - Of the certificate's height, sorted ascending.
 */
export function isKeyInCertificate(
  state: ConsensusState,
  certificate: Certificate,
  { validators, ...memory }: Memory & { readonly validators: readonly PublicKey[] },
): boolean {
  const known = knownTo(state, memory);
  const { height, round, blockHash, signatures } = certificate;
  const own = signatures.find(({ validatorIndex }) => validators[validatorIndex] === state.self);
  if (known === undefined || own === undefined || state.self === undefined) return false;
  const { signature } = own;
  const commit = { kind: "commit", height, round, blockHash, signature } as const;
  return isForeignUseOfKey(known, { ...commit, validator: state.self });
}

/**
 * The state with the record to judge by. After a loss there is none until something is signed: what
 * was found, if anything, is not the newest one.
 */
function knownTo(state: ConsensusState, { record, isRecordLost }: Memory) {
  const known = state.record ?? record;
  return isRecordLost && known === record ? undefined : { ...state, record: known };
}

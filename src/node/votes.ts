/**
 * What becomes of a signing record that is lost or damaged, before anything is signed. Where it is
 * kept is the caller's matter.
 */
import { LedgerError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { quorumSize } from "../base/proof/certificate.ts";
import type { Votes } from "./shell.ts";

/** How a signing record was found. */
export type FoundRecord = {
  /** Bytes of the newest whole record; `undefined` when nothing was signed, or all is lost. */
  readonly record: Uint8Array | undefined;
  readonly isLost: boolean;
  /** A part is damaged that may have held the newest record. */
  readonly isTorn: boolean;
};

/**
 * Tells with which record a node votes, and whether it must first learn what it may have signed.
 *
 * @param options - `validators`: their count. `acceptLostVotes`: the operator's word, agreed with
 *   the others, that a lost record hides no vote.
 * @throws {LedgerError} NODE_VOTES_LOST when the others are too few to learn from.
 */
export function judgeRecord(
  found: FoundRecord,
  options: { readonly validators: number; readonly acceptLostVotes: boolean; readonly log: Log },
): Pick<Votes, "record" | "isLost" | "hasForgotten"> {
  const { validators, acceptLostVotes, log } = options;
  const { record } = found;
  const canLearn = validators - 1 >= quorumSize(validators);
  if (!found.isLost && !found.isTorn) return { record, isLost: false, hasForgotten: false };
  const what = found.isLost ? "lost" : "damaged, its newest part perhaps: taken for lost";
  log.warn({ acceptLostVotes }, `the signing record is ${what}`);
  if (!acceptLostVotes && !canLearn) throw new LedgerError("NODE_VOTES_LOST", { validators });
  return { record, isLost: !acceptLostVotes, hasForgotten: true };
}

/**
 * What becomes of a signing record that is lost or damaged, before anything is signed. Where it is
 * kept is the caller's matter.
 */
import { LedgerError } from "../base/errors.ts";
import { decodeSigningRecord } from "../base/format/signing-record.ts";
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

/** How many heights above the tip of the others a vote may be that a lost record hides. */
const hiddenHeights = 2;

/**
 * Tells with which record a node votes, and what it must learn first when that is lost.
 *
 * @param options - `validators`: their count. `acceptLostVotes`: the operator's word, agreed with
 *   the others, that a lost record hides no vote above the tip. The tip has to be learnt all the
 *   same: the ledger of this node may be older than its votes.
 * @throws {LedgerError} NODE_VOTES_LOST when the others are too few to learn from.
 */
export function judgeRecord(
  found: FoundRecord,
  options: { readonly validators: number; readonly acceptLostVotes: boolean; readonly log: Log },
): Pick<Votes, "record" | "loss"> {
  const { validators, acceptLostVotes, log } = options;
  const others = validators - 1;
  const quorum = quorumSize(validators);
  // What was learnt of hidden votes after a loss gives way to the operator's word: else validators
  // that lost theirs together would wait for a height that they alone can bring about.
  const isForgotten = acceptLostVotes && isLimit(found.record);
  const record = isForgotten ? undefined : found.record;
  if (!found.isLost && !found.isTorn && !isForgotten) return { record, loss: undefined };
  const what = found.isTorn ? "damaged, its newest part perhaps: taken for lost" : "lost";
  log.warn({ acceptLostVotes }, `the signing record is ${what}`);
  if (!acceptLostVotes && others < quorum) throw new LedgerError("NODE_VOTES_LOST", { validators });
  return { record, loss: { hiddenHeights: acceptLostVotes ? 0 : hiddenHeights } };
}

/** Tells whether a record says no more than below which height votes may be hidden. */
function isLimit(record: Uint8Array | undefined): boolean {
  return record !== undefined && decodeSigningRecord(record).claims.length === 0;
}

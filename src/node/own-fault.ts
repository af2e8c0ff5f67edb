/**
 * Whose fault it is when a decided block cannot be taken: whoever brought it, or this node. A peer
 * is passed over; a node that cannot trust itself stops voting. What must not happen is the wrong
 * way round: else one liar could silence honest nodes by what it sends.
 */
import { type ErrorCode, isLedgerError } from "../base/errors.ts";

/** What untrusted bytes and unreachable peers lead to. Everything else is a fault of this node. */
const foreignCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "BLOCK_INVALID",
  "BLOCK_TOO_LARGE",
  "CERTIFICATE_INVALID",
  "CODEC_INVALID",
  "P2P_FRAME_INVALID",
  "P2P_PEER_UNREACHABLE",
  "P2P_SYNC_FAILED",
  "P2P_SYNC_PRUNED",
  "SYNC_PEER_LIED",
]);

/** Codes that say that a peer did not answer, not that it lied. */
const absenceCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "P2P_PEER_UNREACHABLE",
  "P2P_SYNC_FAILED",
  "P2P_SYNC_PRUNED",
]);

/** Tells whether an error of this node passes by itself, so that it need not stop voting for it. */
export function isPassing(error: unknown): boolean {
  if (!isLedgerError(error)) return false;
  const { code, facts } = error;
  // A read that failed, as files were too many or the disk did not answer, and not for damage.
  if (code === "LEDGER_STORE_UNREADABLE") return facts.salvageable !== true;
  return code === "LEDGER_STORE_CLOSED" || code === "NODE_STOPPED";
}

/** Tells whether an error says something of this node rather than of who sent a block. */
export function isOwnFault(error: unknown): boolean {
  return !isLedgerError(error) || !foreignCodes.has(error.code);
}

/** Tells whether an error proves that a peer lied, rather than that it could not be asked. */
export function isProvenLie(error: unknown): boolean {
  return isLedgerError(error) && foreignCodes.has(error.code) && !absenceCodes.has(error.code);
}

/**
 * What a refusal means for a gateway. Only codes are judged here; whether a claim is true is for
 * delivery.ts to prove.
 *
 * | class | codes | what follows |
 * |---|---|---|
 * | lost | expired, nonce used, too old or taken | a new signature, once it is proven |
 * | passing | full, too far ahead, unknown, dropped, no proof, 5xx | the next node, later |
 * | final | all other refusals: unknown sender, role, other chain | the gateway stops |
 *
 * A receipt's outcome is either about the readings (the batch is halved) or about the setting: no
 * reading of the meter can pass before somebody registers it, so none of them is put aside.
 */
import { errorTable, isLedgerError } from "../base/errors.ts";

/** The old bytes may never be included; whether that is so has to be proven first. */
const lost: ReadonlySet<string> = new Set([
  "TRANSACTION_EXPIRED",
  "TRANSACTION_NONCE_USED",
  "TRANSACTION_NONCE_TOO_OLD",
  "TRANSACTION_NONCE_CONFLICT",
]);

/** Refusals below 500 that end by themselves. */
const passing: ReadonlySet<string> = new Set([
  "MEMPOOL_SENDER_SHARE",
  "TRANSACTION_NONCE_TOO_FAR",
  "TRANSACTION_EXPIRY_TOO_FAR",
  "API_TRANSACTION_UNKNOWN",
  "LEDGER_PROOF_UNAVAILABLE",
  "LEDGER_PRUNED",
  "CLIENT_TRANSACTION_DROPPED",
]);

/** Answers of 500 and above by a node that did look at the transaction. */
const judged: ReadonlySet<string> = new Set(["MEMPOOL_FULL", "CLIENT_WAIT_TIMEOUT"]);

/** Outcomes of receipts that say nothing about the readings. */
const ofSetting: ReadonlySet<string> = new Set([
  "METERING_METER_UNKNOWN",
  "METERING_GATEWAY_FOREIGN",
  "CONTRACT_UNKNOWN",
  "CONTRACT_METHOD_UNKNOWN",
  "CONTRACT_ROLE_MISSING",
]);

/** What an error says about a transaction: see the table above; `silent` says nothing of it. */
export type RefusalClass = "lost" | "passing" | "silent" | "final";

/** Returns the class of an error of the client; `undefined` when it is a fault of this process. */
export function refusalClass(error: unknown): RefusalClass | undefined {
  if (!isLedgerError(error)) return undefined;
  const { code, facts } = error;
  if (lost.has(code)) return "lost";
  if (code === "CLIENT_TRANSACTION_DROPPED" && lost.has(String(facts.dropped))) return "lost";
  if (passing.has(code) || judged.has(code)) return "passing";
  return errorTable[code].httpStatus >= 500 ? "silent" : "final";
}

/** Tells whether an outcome is about who reports what, and not about single readings. */
export function isOutcomeOfSetting(outcome: string): boolean {
  return ofSetting.has(outcome);
}

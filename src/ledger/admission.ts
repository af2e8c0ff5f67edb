/**
 * Who may put a transaction into a block: the checks of both admission classes.
 *
 * Stateless: size, form, chain id, signature. They fail on every honest node alike, so a peer that
 * passes such bytes on is to blame. State-dependent: expiry, sender, role, gas limit, replay
 * window. They depend on the height a node is at, or on its clock, so nobody is to blame. A block
 * that holds a transaction of either class is invalid; what fails later is in a receipt.
 *
 * Expiry counts as state-dependent: whoever makes a transaction that expires while it travels could
 * else make honest peers blame each other.
 */
import type { ErrorCode } from "../base/errors.ts";
import { LedgerError } from "../base/errors.ts";
import type { LedgerParameters } from "../base/format/genesis.ts";
import { checkNonce, type ReplayWindow } from "../base/format/replay-window.ts";
import type { Transaction } from "../base/format/transaction.ts";
import { limits } from "../base/limits.ts";
import { type ContractEntry, rolesOfMethod, type SenderEntry } from "./system-entries.ts";

/** `stateless`: gossip rejects and blames the peer. `stateful`: gossip ignores. */
type AdmissionClass = "stateless" | "stateful";

const statelessCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "TRANSACTION_TOO_LARGE",
  "CODEC_INVALID",
  "JSON_INVALID",
  "KEY_INVALID",
  "TRANSACTION_CHAIN_MISMATCH",
  "TRANSACTION_SIGNATURE_INVALID",
]);

/** Returns the class of a refusal. Codes that admission does not know blame nobody. */
export function admissionClass(code: string): AdmissionClass {
  return statelessCodes.has(code) ? "stateless" : "stateful";
}

/**
 * Codes of refusals that time or other transactions can lift: such a transaction stays in the
 * mempool, although no block can hold it now.
 */
export const passingRefusals: ReadonlySet<string> = new Set<ErrorCode>([
  "TRANSACTION_NONCE_TOO_FAR",
  "TRANSACTION_EXPIRY_TOO_FAR",
]);

/** What the state says about one transaction. */
type AdmissionFacts = {
  readonly parameters: LedgerParameters;
  /** Time of the block that would hold it, UTC milliseconds. */
  readonly timeMs: number;
  readonly sender: SenderEntry | undefined;
  /** Absent when the contract is unknown, which is found out by execution. */
  readonly contract: ContractEntry | undefined;
  readonly window: ReplayWindow;
};

/** Returns why no block of that time on that state may hold the transaction, if so. */
export function stateRefusal(
  transaction: Transaction,
  facts: AdmissionFacts,
): LedgerError | undefined {
  return (
    expiryRefusal(transaction, facts.timeMs) ??
    senderRefusal(transaction, facts) ??
    gasRefusal(transaction, facts.parameters) ??
    windowRefusal(transaction, facts.window)
  );
}

/** Returns the highest gas limit a transaction may have: it must also fit an empty block. */
function gasLimitMax(parameters: LedgerParameters): number {
  return Math.min(parameters.callGasMax, parameters.blockGasMax);
}

function expiryRefusal({ expiresAtMs }: Transaction, timeMs: number): LedgerError | undefined {
  if (expiresAtMs <= timeMs) return new LedgerError("TRANSACTION_EXPIRED", { expiresAtMs, timeMs });
  const expiresAtMsMax = timeMs + limits.expiryMsMax;
  if (expiresAtMs <= expiresAtMsMax) return undefined;
  return new LedgerError("TRANSACTION_EXPIRY_TOO_FAR", { expiresAtMs, expiresAtMsMax });
}

function senderRefusal(transaction: Transaction, facts: AdmissionFacts): LedgerError | undefined {
  const { sender, contract } = facts;
  if (sender === undefined)
    return new LedgerError("TRANSACTION_SENDER_UNKNOWN", { sender: transaction.sender });
  const { did, status } = sender;
  if (status !== "active")
    return new LedgerError("TRANSACTION_SENDER_SUSPENDED", { sender: did, status });
  if (contract === undefined) return undefined;
  const roles = rolesOfMethod(contract, transaction.method);
  if (roles === undefined || roles.some((role) => sender.roles.includes(role))) return undefined;
  return new LedgerError("TRANSACTION_ROLE_MISSING", {
    sender: did,
    contract: transaction.contract,
    method: transaction.method,
    roles: roles.join(", "),
  });
}

function gasRefusal(
  { gasLimit }: Transaction,
  parameters: LedgerParameters,
): LedgerError | undefined {
  const max = gasLimitMax(parameters);
  if (gasLimit <= max) return undefined;
  return new LedgerError("TRANSACTION_GAS_LIMIT", { gasLimit, gasLimitMax: max });
}

function windowRefusal(
  { sender, nonce }: Transaction,
  window: ReplayWindow,
): LedgerError | undefined {
  const { highest } = window;
  switch (checkNonce(window, nonce)) {
    case "fresh":
      return undefined;
    case "used":
      return new LedgerError("TRANSACTION_NONCE_USED", { sender, nonce });
    case "tooOld": {
      const nonceMin = highest - limits.replayWindowBits + 1;
      return new LedgerError("TRANSACTION_NONCE_TOO_OLD", { sender, nonce, nonceMin });
    }
    case "tooFar": {
      const nonceMax = highest + limits.replayWindowBits;
      return new LedgerError("TRANSACTION_NONCE_TOO_FAR", { sender, nonce, nonceMax });
    }
  }
}

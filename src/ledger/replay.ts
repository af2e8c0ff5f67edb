/**
 * Executes stored blocks again: for the repair of a store and for `chain verify`. It checks what a
 * validator checks of the transactions, signatures included; certificates, links and roots are the
 * caller's matter.
 */
import { isLedgerError } from "../base/errors.ts";
import type { Hash } from "../base/hash.ts";
import type { Verifier } from "../base/keys.ts";
import { blockInvalid } from "./block-rules.ts";
import { executeBlock } from "./executor.ts";
import { withSystemContract } from "./system/system-caller.ts";
import { readParameters, readValidators, SystemEntries } from "./system-entries.ts";
import type { ContractCaller, Execute } from "./types.ts";
import { VerifiedTransactions } from "./verified-transactions.ts";

/** Makes the function that executes a block on the state before it. */
export function createExecute(options: {
  readonly chainId: Hash;
  readonly caller: ContractCaller;
  readonly verifier: Verifier;
}): Execute {
  const { chainId, verifier } = options;
  const caller = withSystemContract(options.caller, { chainId, verifier });
  const verified = new VerifiedTransactions({ chainId, verifier });
  const entries = new SystemEntries();
  return async ({ header, transactions, state }) => {
    const { height, timestampMs: timeMs } = header;
    const checked = await checkTransactions(verified, transactions, height);
    const parameters = readParameters(state);
    const validators = readValidators(state);
    const context = { state, caller, entries, parameters, validators, height, timeMs };
    const executed = await executeBlock(context, checked);
    return {
      receipts: executed.receiptBytes,
      transactionIds: checked.map(({ id }) => id),
      changes: executed.changes,
      gasUsed: executed.gasUsed,
    };
  };
}

/**
 * Decodes and verifies the transactions of a block.
 *
 * @throws {LedgerError} BLOCK_INVALID that names the first one refused.
 */
export async function checkTransactions(
  verified: VerifiedTransactions,
  transactions: readonly Uint8Array[],
  height: number,
) {
  const results = await verified.checkAll(transactions);
  return results.map((result, index) => {
    if (isLedgerError(result))
      throw blockInvalid(height, `transaction ${index}: ${result.code}`, result);
    return result;
  });
}

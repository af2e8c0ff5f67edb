/**
 * Brings proof that a validator contradicted itself onto the ledger, by a transaction of this node.
 * All nodes that saw both claims do so; the first is recorded and the others have no effect.
 */
import { didOf } from "../base/format/did.ts";
import { type Equivocation, encodeEquivocation } from "../base/format/equivocation.ts";
import type { Hash } from "../base/hash.ts";
import type { Log } from "../base/log.ts";

/** Submits a call of the system contract, signed by this node. */
type SubmitCall = (call: { readonly method: string; readonly argsJson: string }) => void;

/** Returns what is done with each pair: it is logged and submitted. */
export function equivocationReporter(parts: {
  readonly chainId: Hash;
  readonly log: Log;
  readonly submit: SubmitCall;
}): (pair: Equivocation) => void {
  const { chainId, log, submit } = parts;
  return (pair) => {
    const { validator, kind, height, round } = pair[0];
    const facts = { validator: didOf(validator), kind, height, round };
    log.error(facts, "a validator signed two different messages for one place");
    submit({ method: "reportEquivocation", argsJson: encodeEquivocation(pair, chainId) });
  };
}

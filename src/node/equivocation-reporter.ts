/**
 * Brings proof that a validator contradicted itself onto the ledger, by a transaction of this node.
 * All nodes that saw both claims do so; the first is recorded and the others have no effect. What
 * could add nothing is not sent: a liar that goes on would have all others fill blocks for ever.
 */
import { didOf } from "../base/format/did.ts";
import { type Equivocation, encodeEquivocation } from "../base/format/equivocation.ts";
import type { Hash } from "../base/hash.ts";
import type { Log } from "../base/log.ts";
import { isOnRecord } from "../ledger/system/report-equivocation.ts";
import type { StateReader } from "../ledger/types.ts";
import type { SystemCall } from "./node-transactions.ts";

/** Returns what is done with each pair: it is logged and submitted. */
export function equivocationReporter(parts: {
  readonly ledger: { readonly chainId: Hash; readonly state: StateReader };
  readonly log: Log;
  /** Submits a call of the system contract, signed by this node. */
  submit(call: SystemCall): void;
}): (pair: Equivocation) => void {
  const { ledger, log, submit } = parts;
  return (pair) => {
    const { validator, kind, height, round } = pair[0];
    const place = { validator: didOf(validator), kind, height, round };
    log.error(place, "a validator signed two different messages for one place");
    const isMoot = () => isOnRecord(ledger.state, place);
    const argsJson = encodeEquivocation(pair, ledger.chainId);
    submit({ method: "reportEquivocation", argsJson, isMoot });
  };
}

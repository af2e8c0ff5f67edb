/** The methods of the system contract. A row here is all that a new method needs. */
import { approveChange, withdrawApproval } from "./approve-change.ts";
import { declareReady } from "./declare-ready.ts";
import { reportEquivocation } from "./report-equivocation.ts";
import type { SystemMethod } from "./types.ts";

/** The dispatch table: methods by name. */
export const systemMethods: Readonly<Record<string, SystemMethod>> = {
  approveChange,
  declareReady,
  reportEquivocation,
  withdrawApproval,
};

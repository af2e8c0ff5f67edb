/** Approving changes of the validator set, and taking an approval back (ADR 0021). */
import { z } from "zod";
import type { Did } from "../../base/format/did.ts";
import { administratorRole } from "../../base/format/genesis.ts";
import type { JsonValue } from "../../base/format/json.ts";
import { changeId, ValidatorChange } from "../../base/format/validator-change.ts";
import { hash32Pattern } from "../../base/hash.ts";
import { limits } from "../../base/limits.ts";
import { quorumSize } from "../../base/proof/certificate.ts";
import { StateOverlay } from "../state-overlay.ts";
import { applyChange } from "./apply-change.ts";
import { type ChangeEntry, readAdministrators, readRow, readTable, writeRow } from "./tables.ts";
import { type SystemCall, SystemRefusal, systemMethod } from "./types.ts";

const roles = [administratorRole];

/** `approveChange`: at a quorum of the administrators the change takes effect in that block. */
export const approveChange = systemMethod({
  roles,
  // Nearly all of it for the checks of two new keys; every ledger permits as much.
  gas: limits.callGasMin,
  args: z.strictObject({ change: ValidatorChange }),
  run({ change }, call) {
    const { state, sender, timeMs } = call;
    const administrators = administratorsWith(call);
    forgetExpired(call);
    const id = changeId(change);
    const known = readRow(state, "change", id);
    const approvedBefore = known?.approvedBy ?? [];
    if (approvedBefore.includes(sender))
      throw new SystemRefusal("SYSTEM_CHANGE_APPROVED_BEFORE", `you approved ${id} before`);
    const approvedBy = [...approvedBefore, sender].sort();
    const needed = quorumSize(administrators.length);
    const isDue = approvedBy.length >= needed;
    // Tried on the side when it is not due yet: who approves first hears of a mistake.
    applyChange(isDue ? state : new StateOverlay(state), change, call);
    if (!isDue) checkRoom(call);
    const firstAtMs = known?.firstAtMs ?? timeMs;
    const entry: ChangeEntry = { change, approvedBy, firstAtMs };
    writeRow(state, ["change", id], isDue ? undefined : entry);
    call.emit("changeApproved", { change: id, approvals: approvedBy.length, needed, by: sender });
    if (isDue) call.emit("changeApplied", { id, change: change as JsonValue });
  },
});

/** `withdrawApproval`: of a change that is still open. */
export const withdrawApproval = systemMethod({
  roles,
  gas: 1_000_000,
  args: z.strictObject({ change: z.string().regex(hash32Pattern) }),
  run({ change: id }, call) {
    const { state, sender } = call;
    administratorsWith(call);
    forgetExpired(call);
    const entry = readRow(state, "change", id);
    if (entry === undefined || !entry.approvedBy.includes(sender))
      throw new SystemRefusal(
        "SYSTEM_CHANGE_UNKNOWN",
        `you have not approved an open change ${id}`,
      );
    const approvedBy = entry.approvedBy.filter((did) => did !== sender);
    writeRow(state, ["change", id], approvedBy.length === 0 ? undefined : { ...entry, approvedBy });
    call.emit("approvalWithdrawn", { change: id, approvals: approvedBy.length, by: sender });
  },
});

/** Only those who stood in the genesis count, or new accounts could outvote them. */
function administratorsWith({ state, sender }: SystemCall): readonly Did[] {
  const administrators = readAdministrators(state);
  if (administrators.includes(sender)) return administrators;
  throw new SystemRefusal("SYSTEM_NOT_ADMINISTRATOR", "the genesis names you no administrator");
}

function forgetExpired({ state, timeMs }: SystemCall): void {
  for (const [id, { firstAtMs }] of readTable(state, "change"))
    if (timeMs - firstAtMs > limits.changeMsMax) writeRow(state, ["change", id], undefined);
}

function checkRoom({ state, sender }: SystemCall): void {
  const open = readTable(state, "change").filter(([, { approvedBy }]) =>
    approvedBy.includes(sender),
  );
  if (open.length >= limits.changesPerAdministratorMax)
    throw new SystemRefusal("SYSTEM_CHANGES_TOO_MANY", `you approved ${open.length} open changes`);
}

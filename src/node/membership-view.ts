/** Members, candidates and open changes in the shape that the API shows. */
import type { ApiMembership } from "../api/api-node.ts";
import { limits } from "../base/limits.ts";
import { quorumSize } from "../base/proof/certificate.ts";
import { readAdministrators, readRow, readTable } from "../ledger/system/tables.ts";
import type { StateReader } from "../ledger/types.ts";

/** Reads what the API shows of the members. */
export function membershipView(state: StateReader, timeMs: number): ApiMembership {
  const administrators = readAdministrators(state);
  return {
    members: readTable(state, "member").map(([id, member]) => ({ id, ...member })),
    candidates: readTable(state, "candidate").map(([id, candidate]) => {
      const ready = readRow(state, "ready", id);
      const validUntilMs = (ready?.atMs ?? 0) + limits.readyMsMax;
      return { id, ...candidate, ready: ready === undefined ? null : { ...ready, validUntilMs } };
    }),
    administrators,
    approvalsNeeded: administrators.length === 0 ? null : quorumSize(administrators.length),
    changes: readTable(state, "change")
      .map(([id, { change, approvedBy, firstAtMs }]) => {
        const expiresAtMs = firstAtMs + limits.changeMsMax;
        return { id, change, approvedBy, expiresAtMs };
      })
      .filter(({ expiresAtMs }) => expiresAtMs >= timeMs),
  };
}

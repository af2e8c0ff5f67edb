/** `validator add`: approves that candidates vote. */
import { z } from "zod";
import { command } from "../command.ts";
import { approvalDetails, approvalInput, approvalOptions, approve, ids } from "./approve.ts";

/** The command. */
export const validatorAdd = command({
  name: "validator add",
  summary: "Approves that one or two candidates vote, once their nodes said that they are ready.",
  details: approvalDetails,
  arguments: [["<ids>", "id of a candidate, or two with a comma"]],
  options: approvalOptions,
  examples: [
    "loopledger validator add grid --key heat-producer-administrator",
    "loopledger validator add grid,municipality --key heat-producer-administrator",
  ],
  input: z.strictObject({ ids, ...approvalInput }),
  run: ({ ids: added, ...options }, terminal) =>
    approve({ kind: "add", ids: added }, options, terminal),
});

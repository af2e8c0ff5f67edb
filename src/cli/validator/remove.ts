/** `validator remove`: approves that members vote no more. */
import { z } from "zod";
import { command } from "../command.ts";
import { approvalDetails, approvalInput, approvalOptions, approve, ids } from "./approve.ts";

/** The command. */
export const validatorRemove = command({
  name: "validator remove",
  summary: "Approves that one or two members vote no more.",
  details:
    `${approvalDetails} Their nodes may stay connected for an hour, to fetch the blocks that say ` +
    "so. Mind what remains: two validators stop when either is down, three tolerate no liar.",
  arguments: [["<ids>", "id of a member, or two with a comma"]],
  options: approvalOptions,
  examples: ["loopledger validator remove grid --key heat-producer-administrator"],
  input: z.strictObject({ ids, ...approvalInput }),
  run: ({ ids: removed, ...options }, terminal) =>
    approve({ kind: "remove", ids: removed }, options, terminal),
});

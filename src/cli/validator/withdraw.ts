/** `validator withdraw`: takes back an approval, or approves that a candidate is none any more. */
import { z } from "zod";
import { LedgerError } from "../../base/errors.ts";
import { hash32Pattern } from "../../base/hash.ts";
import { command, text } from "../command.ts";
import { approvalDetails, approvalInput, approvalOptions, approve, send } from "./approve.ts";

const hashForm = "a change as `validator list` prints it";

/** The command. */
export const validatorWithdraw = command({
  name: "validator withdraw",
  summary: "Takes back your approval of an open change, or approves that a candidate goes.",
  details: `${approvalDetails} Taking back an approval needs nobody else.`,
  options: [
    ["--approval <change>", "open change that you approved"],
    ["--candidate <id>", "candidate that is to be none any more"],
    ...approvalOptions,
  ],
  examples: [
    "loopledger validator withdraw --approval 3f0c... --key heat-producer-administrator",
    "loopledger validator withdraw --candidate grid --key heat-producer-administrator",
  ],
  input: z.strictObject({
    approval: z.string(hashForm).regex(hash32Pattern, hashForm).optional(),
    candidate: text.optional(),
    ...approvalInput,
  }),
  async run({ approval, candidate, ...options }, terminal) {
    if ((approval === undefined) === (candidate === undefined)) {
      const expected = "--approval or --candidate, one of them";
      throw new LedgerError("CLI_USAGE_INVALID", { option: "approval", expected, got: "" });
    }
    if (candidate !== undefined)
      return approve({ kind: "withdraw", id: candidate }, options, terminal);
    const args = { change: approval ?? "" };
    const { height } = await send({ method: "withdrawApproval", args }, options, terminal);
    terminal.result({ change: approval, height }, `approval withdrawn in block ${height}`);
    return 0;
  },
});

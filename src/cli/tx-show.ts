/** `tx show`: what became of a transaction. */
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { hash32Pattern } from "../base/hash.ts";
import { command, directory, directoryOption } from "./command.ts";
import { clientOf, urlOption, urls } from "./connection.ts";

/** The command. */
export const txShow = command({
  name: "tx show",
  summary: "Shows what became of a transaction.",
  details: "The answer is one node's word; `tx submit --wait` verifies the certificate.",
  arguments: [["<id>", "id of the transaction, 64 hexadecimal digits"]],
  options: [urlOption, directoryOption],
  examples: ["loopledger tx show 3f1c...e0", "loopledger tx show 3f1c...e0 --json"],
  input: z.strictObject({
    id: z.string().regex(hash32Pattern, "64 hexadecimal digits"),
    url: urls,
    dir: directory,
  }),
  async run({ id, ...place }, terminal) {
    const status = await clientOf(place).transaction(id, { withCall: true });
    if (status === undefined) throw new LedgerError("API_TRANSACTION_UNKNOWN", { id });
    terminal.result(status, JSON.stringify(status, undefined, 2));
    return 0;
  },
});

/** `validator admit`: approves that somebody becomes a candidate. */
import { z } from "zod";
import { LedgerError } from "../../base/errors.ts";
import { ValidatorChange } from "../../base/format/validator-change.ts";
import { command, text } from "../command.ts";
import { approvalDetails, approvalInput, approvalOptions, approve } from "./approve.ts";

/** The command. */
export const validatorAdmit = command({
  name: "validator admit",
  summary: "Approves a candidate: its node may connect and follow, but does not vote.",
  details:
    `${approvalDetails} The candidate starts its node with \`joining: true\`; when it has caught ` +
    "up it says so on the ledger by itself, and can be added.",
  options: [
    ["--id <id>", "short name on the ledger, such as grid-operator"],
    ["--name <name>", "name for people (default: the id)"],
    ["--validator-key <did>", "key that will vote, as `key show` prints it"],
    ["--peer-key <did>", "key of the network identity of its node"],
    ["--address <multiaddress>", "where its node listens, such as /ip4/192.0.2.7/tcp/7401"],
    ...approvalOptions,
  ],
  examples: [
    "loopledger validator admit --id grid --validator-key did:key:z6Mk... --peer-key did:key:z6Mk... --address /ip4/192.0.2.7/tcp/7401 --key heat-producer-administrator",
  ],
  input: z.strictObject({
    id: text,
    name: text.optional(),
    validatorKey: text,
    peerKey: text,
    address: text.optional(),
    ...approvalInput,
  }),
  async run({ id, name = id, validatorKey, peerKey, address, ...options }, terminal) {
    const member = { id, name, validatorKey, peerKey, ...(address && { address }) };
    const change = ValidatorChange.safeParse({ kind: "admit", candidate: member });
    if (change.success) return approve(change.data, options, terminal);
    const issue = change.error.issues[0];
    const field = String(issue?.path.at(-1) ?? "");
    const option = field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const got = String(Object.entries(member).find(([key]) => key === field)?.[1]).slice(0, 200);
    throw new LedgerError("CLI_USAGE_INVALID", { option, expected: issue?.message ?? "", got });
  },
});

/** What the commands that change the validators share: signing as an administrator, and telling. */
import { z } from "zod";
import { LedgerError } from "../../base/errors.ts";
import type { JsonValue } from "../../base/format/json.ts";
import { namePattern } from "../../base/format/transaction.ts";
import { changeId, type ValidatorChange } from "../../base/format/validator-change.ts";
import type { LedgerClient } from "../../client/client.ts";
import { directory, directoryOption, text, wholeNumber } from "../command.ts";
import {
  clientOf,
  genesisFileOf,
  genesisOption,
  openKey,
  readTrust,
  urlOption,
  urls,
} from "../connection.ts";
import type { Terminal } from "../terminal.ts";

/** Options of every command that an administrator signs. */
export const approvalOptions = [
  ["--key <file>", "key of an administrator: a file, or NODE-administrator for the devnet's"],
  ["--passphrase-file <file>", "file of mode 0600 (default: environment, prompt, or the devnet's)"],
  ["--timeout-ms <ms>", "wait no longer than this (default: 30000)"],
  urlOption,
  genesisOption,
  directoryOption,
] as const;

/** Input of `approvalOptions`. */
export const approvalInput = {
  key: text,
  passphraseFile: text.optional(),
  timeoutMs: wholeNumber(1, 3_600_000).optional(),
  url: urls,
  genesis: text.optional(),
  dir: directory,
};

/** How approvals work, for the help. */
export const approvalDetails =
  "A change takes effect once a quorum of the administrators of the genesis approved the same " +
  "change: each runs the same command with a key of its own. `validator list` shows what waits.";

/** Ids of members or candidates: one, or two with a comma. */
export const ids = z
  .string("one id, or two with a comma")
  .transform((list) => list.split(",").sort())
  .refine(
    (list) => list.length <= 2 && list.every((id) => namePattern.test(id)),
    "one id, or two with a comma",
  );

type Options = {
  readonly key: string;
  readonly passphraseFile?: string | undefined;
  readonly timeoutMs?: number | undefined;
  readonly url?: readonly string[] | undefined;
  readonly genesis?: string | undefined;
  readonly dir: string;
};

/** Approves a change and says whether it took effect. */
export async function approve(
  change: ValidatorChange,
  options: Options,
  terminal: Terminal,
): Promise<number> {
  const args = { change: change as JsonValue };
  const { client, height } = await send({ method: "approveChange", args }, options, terminal);
  const id = changeId(change);
  const { changes, approvalsNeeded } = await client.members();
  const open = changes.find((one) => one.id === id);
  const approvals = open?.approvedBy.length;
  const said =
    approvals === undefined
      ? "it has taken effect"
      : `${approvals} of ${approvalsNeeded} approvals; the others run the same command`;
  const value = { change: id, height, applied: open === undefined, approvals: approvals ?? null };
  terminal.result(value, `change ${id}\napproved in block ${height}: ${said}`);
  return 0;
}

/** Calls the system contract as an administrator and waits until that is final. */
export async function send(
  { method, args }: { readonly method: string; readonly args: JsonValue },
  options: Options,
  terminal: Terminal,
): Promise<{ readonly client: LedgerClient; readonly height: number }> {
  const trust = readTrust(genesisFileOf(options.dir, options.genesis));
  const { signer } = await openKey(options, terminal);
  const client = clientOf(options);
  const call = { contract: "system", method, args };
  const { timeoutMs } = options;
  const final = await client.submitAndWait(call, { signer, trust, timeoutMs });
  const { receipt, header, transaction } = final;
  const { height } = header;
  const { outcome } = receipt;
  if (outcome === "ok") return { client, height };
  const { id } = transaction;
  const status = await client.transaction(id);
  const detail = (status?.status === "final" && status.detail) || null;
  throw new LedgerError("CLI_TRANSACTION_REFUSED", { id, outcome, detail, height });
}

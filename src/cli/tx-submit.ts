/** `tx submit`: signs a call and sends it. */
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { parseJson } from "../base/format/json.ts";
import { command, directory, directoryOption, text, wholeNumber } from "./command.ts";
import {
  clientOf,
  genesisFileOf,
  genesisOption,
  keyOptions,
  openKey,
  readTrust,
  urlOption,
  urls,
} from "./connection.ts";
import { jsonInput } from "./json-input.ts";

const nameForm = "a name such as metering or makeBill";
const name = z.string(nameForm).regex(/^[a-z][a-zA-Z0-9-]{0,63}$/, nameForm);

/** The command. */
export const txSubmit = command({
  name: "tx submit",
  summary: "Signs a call of a contract's method and sends it to a node.",
  details:
    "With --wait it ends when the transaction is final and its certificate has been verified " +
    "against the genesis; the exit code is 1 when the call failed. Without, the transaction is " +
    "merely held in the memory of a node: look it up with `tx show`.",
  options: [
    ["--contract <name>", "contract"],
    ["--method <name>", "method of the contract"],
    ["--args <json>", "arguments as JSON, or @FILE (default: {})"],
    ...keyOptions,
    ["--wait", "wait until it is final, and verify that"],
    ["--timeout-ms <ms>", "wait no longer than this (default: 30000)"],
    ["--gas-limit <gas>", "gas the call may use (default: the most that the ledger permits)"],
    urlOption,
    genesisOption,
    directoryOption,
  ],
  examples: [
    "loopledger tx submit --contract billing --method publishTariff --args @data/tariffs/demo.json --wait",
    `loopledger tx submit --contract billing --method makeBill --args '{"meter":"m-1","month":"2019-01","tariff":"demo-heat"}' --key biller --wait`,
  ],
  input: z.strictObject({
    contract: name,
    method: name,
    args: text.default("{}"),
    key: text.default("operator"),
    passphraseFile: text.optional(),
    wait: z.boolean().default(false),
    timeoutMs: wholeNumber(1, 3_600_000).optional(),
    gasLimit: wholeNumber(1, Number.MAX_SAFE_INTEGER).optional(),
    url: urls,
    genesis: text.optional(),
    dir: directory,
  }),
  async run(options, terminal) {
    const { contract, method, wait, gasLimit, timeoutMs } = options;
    const call = { contract, method, args: parseJson(jsonInput(options.args)) };
    const trust = readTrust(genesisFileOf(options.dir, options.genesis));
    const { signer } = await openKey(options, terminal);
    const client = clientOf(options);
    const { id } = await client.submitCall(call, { signer, trust, gasLimit });
    if (!wait) {
      terminal.result({ id, status: "pending" }, id);
      return 0;
    }
    const { receipt, header } = await client.waitFinal(id, trust, { timeoutMs });
    const { outcome, gasUsed, events, changes } = receipt;
    const { height } = header;
    if (outcome !== "ok") {
      // The receipt is proven; the text beside it is the node's word, and only for people.
      const status = await client.transaction(id);
      const detail = (status?.status === "final" && status.detail) || null;
      throw new LedgerError("CLI_TRANSACTION_REFUSED", { id, outcome, detail, height });
    }
    const parsed = events.map(({ json, ...event }) => ({ ...event, data: parseJson(json) }));
    const keys = changes.map(({ key }) => key);
    const value = { id, status: "final", height, outcome, gasUsed, events: parsed, keys };
    const written = keys.map((key) => `  ${key}`).join("\n");
    terminal.result(value, `${id}\nfinal in block ${height}, ${gasUsed} gas, wrote:\n${written}`);
    return 0;
  },
});

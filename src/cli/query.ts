/** `query`: asks a view of a contract. */
import { z } from "zod";
import { parseJson } from "../base/format/json.ts";
import { command, directory, directoryOption, text } from "./command.ts";
import { clientOf, urlOption, urls } from "./connection.ts";
import { jsonInput } from "./json-input.ts";

/** The command. */
export const query = command({
  name: "query",
  summary: "Asks a view of a contract and prints its answer as JSON.",
  details: "The answer is one node's word about the state after its last block.",
  arguments: [
    ["<contract>", "contract"],
    ["<view>", "view of the contract"],
  ],
  options: [
    ["--args <json>", "arguments as JSON, or @FILE (default: {})"],
    urlOption,
    directoryOption,
  ],
  examples: [
    `loopledger query metering meter --args '{"meter":"m-1"}'`,
    `loopledger query billing bills --args '{"meter":"m-1"}'`,
  ],
  input: z.strictObject({
    contract: text,
    view: text,
    args: text.default("{}"),
    url: urls,
    dir: directory,
  }),
  async run({ contract, view, args, ...place }, terminal) {
    const input = parseJson(jsonInput(args));
    const { result } = await clientOf(place).view(contract, view, input);
    terminal.result(result, JSON.stringify(result, undefined, 2));
    return 0;
  },
});

/** `block show`: a block with its transactions. */
import { z } from "zod";
import { command, directory, directoryOption } from "./command.ts";
import { clientOf, urlOption, urls } from "./connection.ts";
import { columns } from "./terminal.ts";

/** The command. */
export const blockShow = command({
  name: "block show",
  summary: "Shows a block: header, signers, transactions and their outcomes.",
  arguments: [["<height>", "height, or latest"]],
  options: [urlOption, directoryOption],
  examples: ["loopledger block show latest", "loopledger block show 12 --json"],
  input: z.strictObject({
    height: z
      .string()
      .regex(/^(\d{1,15}|latest)$/, "a height, or latest")
      .transform((height) => (height === "latest" ? ("latest" as const) : Number(height))),
    url: urls,
    dir: directory,
  }),
  async run({ height, ...place }, terminal) {
    const block = await clientOf(place).block(height);
    const lines = [
      `height      ${block.height}`,
      `hash        ${block.hash}`,
      `parent      ${block.parentHash}`,
      `time        ${new Date(block.timestampMs).toISOString()}`,
      `state root  ${block.stateRoot}`,
      `round       ${block.round ?? "none: the genesis"}`,
      `gas         ${block.gasUsed}`,
      `signers     ${block.signers.join("\n            ")}`,
      "",
      columns(
        ["transaction", "call", "outcome", "gas"],
        block.transactions.map(({ id, contract, method, outcome, gasUsed }) => [
          id,
          `${contract}.${method}`,
          outcome,
          `${gasUsed}`,
        ]),
      ),
    ];
    terminal.result(block, lines.join("\n"));
    return 0;
  },
});

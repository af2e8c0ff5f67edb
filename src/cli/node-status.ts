/** `node status`: what a node says of itself. */
import { z } from "zod";
import { command, directory, directoryOption } from "./command.ts";
import { clientOf, urlOption, urls } from "./connection.ts";
import { columns } from "./terminal.ts";

/** The command. */
export const nodeStatus = command({
  name: "node status",
  summary: "Shows height, state root, readiness and the validators as a node sees them.",
  options: [urlOption, directoryOption],
  examples: ["loopledger node status", "loopledger node status --url http://127.0.0.1:7402"],
  input: z.strictObject({ url: urls, dir: directory }),
  async run(options, terminal) {
    const status = await clientOf(options).status();
    const { name, height, hash, stateRoot, round, phase, ready, notReady, chainId } = status;
    const validators = status.validators.map((each) => [
      each.name,
      `${each.height ?? ""}`,
      `${each.round ?? ""}`,
      each.lastSeenMs === null ? "" : new Date(each.lastSeenMs).toISOString(),
    ]);
    const lines = [
      `node        ${name}, version ${status.version}`,
      `chain       ${chainId}`,
      `height      ${height}, block ${hash}`,
      `state root  ${stateRoot}`,
      `deciding    height ${status.decidingHeight}, round ${round}, ${phase}`,
      `ready       ${ready ? "yes" : `no: ${notReady.join("; ")}`}`,
      `peers       ${status.peers.length} connected`,
      `mempool     ${status.mempool.transactions} transactions`,
      "",
      columns(["validator", "height", "round", "last seen"], validators),
    ];
    terminal.result(status, lines.join("\n"));
    return 0;
  },
});

/** `devnet status`: which nodes of a devnet run, and how far they are. */
import { z } from "zod";
import { command, directory, directoryOption } from "../command.ts";
import { columns } from "../terminal.ts";
import { type DevnetNode, openDevnet } from "./layout.ts";
import { runningProcess, statusOf } from "./processes.ts";

/** The command. */
export const devnetStatus = command({
  name: "devnet status",
  summary: "Shows which nodes of a devnet run, their heights and state roots.",
  options: [directoryOption],
  examples: ["loopledger devnet status", "loopledger devnet status --json"],
  input: z.strictObject({ dir: directory }),
  async run({ dir }, terminal) {
    const nodes = await Promise.all(openDevnet(dir).nodes.map(describe));
    const rows = nodes.map(({ name, url, pid, ready, height, stateRoot }) => [
      name,
      url,
      pid === null ? "stopped" : `${pid}`,
      ready === null ? "" : ready ? "ready" : "not ready",
      `${height ?? ""}`,
      stateRoot?.slice(0, 16) ?? "",
    ]);
    const head = ["node", "url", "process", "state", "height", "state root"];
    terminal.result({ nodes }, columns(head, rows));
    return 0;
  },
});

async function describe(node: DevnetNode) {
  const { name, url } = node;
  const pid = runningProcess(node)?.pid ?? null;
  const status = pid === null ? undefined : await statusOf(node);
  return {
    name,
    url,
    pid,
    ready: status?.ready ?? null,
    height: status?.height ?? null,
    stateRoot: status?.stateRoot ?? null,
  };
}

/** `devnet down`: ends the nodes of a devnet; their data stay. */
import { z } from "zod";
import { command, directory, directoryOption, text } from "../command.ts";
import { nodesNamed, openDevnet } from "./layout.ts";
import { stopNodes } from "./processes.ts";

/** The command. */
export const devnetDown = command({
  name: "devnet down",
  summary: "Ends the nodes of a devnet; `devnet up` starts them again with all they have.",
  options: [
    directoryOption,
    ["--node <name>", "end only this node"],
    ["--kill", "end without a clean stop (SIGKILL), as a power cut would"],
  ],
  examples: ["loopledger devnet down", "loopledger devnet down --node data-centre --kill"],
  input: z.strictObject({
    dir: directory,
    node: text.optional(),
    kill: z.boolean().default(false),
  }),
  async run({ dir, node, kill }, terminal) {
    const nodes = nodesNamed(openDevnet(dir), node);
    const stopped = await stopNodes(nodes, kill ? "SIGKILL" : "SIGTERM");
    const text = stopped.length === 0 ? "nothing was running" : `stopped: ${stopped.join(", ")}`;
    terminal.result({ stopped }, text);
    return 0;
  },
});

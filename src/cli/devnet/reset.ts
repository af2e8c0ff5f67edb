/** `devnet reset`: ends a devnet and deletes it. */
import { rm } from "node:fs/promises";
import { z } from "zod";
import { command, directory, directoryOption } from "../command.ts";
import { openDevnet } from "./layout.ts";
import { stopNodes } from "./processes.ts";

/** The command. */
export const devnetReset = command({
  name: "devnet reset",
  summary: "Ends the nodes of a devnet and deletes all it has: ledgers, keys, genesis.",
  details: "It deletes only a directory that `devnet up` made. The next `devnet up` begins anew.",
  options: [directoryOption],
  examples: ["loopledger devnet reset", "loopledger devnet reset --dir /tmp/seven"],
  input: z.strictObject({ dir: directory }),
  async run({ dir }, terminal) {
    const devnet = openDevnet(dir);
    const stopped = await stopNodes(devnet.nodes);
    await rm(devnet.directory, { recursive: true });
    terminal.result({ stopped, deleted: devnet.directory }, `deleted ${devnet.directory}`);
    return 0;
  },
});

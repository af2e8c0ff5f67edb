/** `node restore`: gives a node without a ledger that of a backup. */
import { z } from "zod";
import { restoreBackup } from "../node/restore.ts";
import { command, text } from "./command.ts";

/** The command. */
export const nodeRestore = command({
  name: "node restore",
  summary: "Gives a stopped node without a ledger that of a backup, after verifying it.",
  details:
    "Every file is held against the backup's manifest, and every block is executed again from the " +
    "genesis on; --quick leaves that out. A ledger that is there is never overwritten. The signing " +
    "record is put aside, as nobody knows what was signed since: the node votes again once a " +
    "quorum of others told it where the chain is. With fewer others it needs " +
    "--accept-lost-votes at its start.",
  options: [
    ["--from <directory>", "the backup"],
    ["--config <file>", "configuration of the node (YAML)"],
    ["--quick", "check checksums and the state's root only"],
  ],
  examples: [
    "loopledger node restore --from /backup/2026-02-01 --config /etc/loopledger/node.yaml",
  ],
  input: z.strictObject({ from: text, config: text, quick: z.boolean().default(false) }),
  async run({ from, config: configFile, quick: isQuick }, terminal) {
    const { chainId, height, hash } = await restoreBackup({ from, configFile, isQuick });
    const lines = [
      `restored    height ${height}, block ${hash}`,
      `chain       ${chainId}`,
      "the signing record counts as lost: the node follows before it votes again",
    ];
    terminal.result({ chainId, height, hash }, lines.join("\n"));
    return 0;
  },
});

/** `node backup`: a copy of a node's ledger that can be restored. */
import { z } from "zod";
import { takeBackup } from "../node/backup.ts";
import { command, text } from "./command.ts";

/** The command. */
export const nodeBackup = command({
  name: "node backup",
  summary: "Copies the ledger of a node, running or not, with its genesis and configuration.",
  details:
    "The copy is consistent whatever the node does meanwhile, is opened and checked, and appears " +
    "under its name only when it is whole. It never holds the signing record, and keys only with " +
    "--with-keys. `chain verify --dir <directory>` re-checks it at any time.",
  options: [
    ["--config <file>", "configuration of the node (YAML)"],
    ["--dir <directory>", "where the backup goes; must not exist"],
    ["--with-keys", "add the encrypted key files; whoever has them can guess at the passphrase"],
  ],
  examples: [
    "loopledger node backup --config /etc/loopledger/node.yaml --dir /backup/2026-02-01",
    "loopledger node backup --config devnet/nodes/data-centre/node.yaml --dir backup",
  ],
  input: z.strictObject({ config: text, dir: text, withKeys: z.boolean().default(false) }),
  async run({ config: configFile, dir: directory, withKeys }, terminal) {
    const manifest = await takeBackup({ configFile, directory, withKeys });
    const { chainId, height, hash, files } = manifest;
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const lines = [
      `backup      ${directory}, ${files.length} files, ${bytes} bytes`,
      `chain       ${chainId}`,
      `height      ${height}, block ${hash}`,
    ];
    terminal.result({ directory, chainId, height, hash, bytes }, lines.join("\n"));
    return 0;
  },
});

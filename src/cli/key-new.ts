/** `key new`: makes a key in an encrypted file. */
import { z } from "zod";
import { createKeyFile } from "../node/key-file.ts";
import { command, text } from "./command.ts";
import { passphraseOf } from "./connection.ts";

/** The command. */
export const keyNew = command({
  name: "key new",
  summary: "Makes a key in an encrypted file and prints its did:key.",
  details:
    "One key serves one purpose: a validator key votes, a peer key names a node in the network, " +
    "account and gateway keys sign transactions. A file is never overwritten. The passphrase " +
    "comes from --passphrase-file, else from LOOPLEDGER_PASSPHRASE, else from a prompt.",
  options: [
    ["--purpose <purpose>", "validator, peer, account or gateway"],
    ["--out <file>", "key file to write, mode 0600"],
    ["--passphrase-file <file>", "file of mode 0600 with the passphrase"],
    ["--weak-for-devnet", "fast to open and marked weak; for nothing of value"],
  ],
  examples: [
    "loopledger key new --purpose account --out operator.json",
    "loopledger key new --purpose validator --out validator.json --passphrase-file passphrase",
  ],
  input: z.strictObject({
    purpose: z.enum(["validator", "peer", "account", "gateway"], {
      error: "validator, peer, account or gateway",
    }),
    out: text,
    passphraseFile: text.optional(),
    weakForDevnet: z.boolean().default(false),
  }),
  async run({ purpose, out, passphraseFile, weakForDevnet }, terminal) {
    const passphrase = await passphraseOf(passphraseFile, "Passphrase of the new key: ", terminal);
    const { did } = await createKeyFile({ file: out, purpose, passphrase, weakForDevnet });
    terminal.result({ did, purpose, file: out }, did);
    return 0;
  },
});

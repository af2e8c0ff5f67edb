/** `key show`: the public part of a key file. */
import { z } from "zod";
import { openKeyFile, readKeyFile } from "../node/key-file.ts";
import { command, text } from "./command.ts";
import { passphraseOf } from "./connection.ts";

/** The command. */
export const keyShow = command({
  name: "key show",
  summary: "Shows the public part of a key file.",
  details: "With --check the file is also opened with its passphrase.",
  arguments: [["<file>", "key file"]],
  options: [
    ["--check", "open it: shows that passphrase and file fit"],
    ["--passphrase-file <file>", "file of mode 0600 with the passphrase"],
  ],
  examples: ["loopledger key show operator.json", "loopledger key show operator.json --check"],
  input: z.strictObject({
    file: text,
    check: z.boolean().default(false),
    passphraseFile: text.optional(),
  }),
  async run({ file, check, passphraseFile }, terminal) {
    const { publicKey: did, purpose, kdf } = await readKeyFile(file);
    const weak = "weakForDevnet" in kdf;
    if (check) {
      const passphrase = await passphraseOf(passphraseFile, `Passphrase of ${file}: `, terminal);
      await openKeyFile({ file, passphrase });
    }
    const strength = weak ? ", marked weak for a devnet" : "";
    const checked = check ? "\nthe passphrase opens it" : "";
    terminal.result(
      { did, purpose, weak, checked: check },
      `${did}\n${purpose} key${strength}${checked}`,
    );
    return 0;
  },
});

/** `key show`: the public part of a key file. */
import { z } from "zod";
import { openKeyFile, readKeyFile } from "../node/key-file.ts";
import { command, directory, directoryOption, text } from "./command.ts";
import { keyFileOf, passphraseOf } from "./connection.ts";

/** The command. */
export const keyShow = command({
  name: "key show",
  summary: "Shows the public part of a key file.",
  details: "With --check the file is also opened with its passphrase.",
  arguments: [["<key>", "key file, or operator, biller or gateway for the devnet's"]],
  options: [
    ["--did", "print only the did:key"],
    ["--check", "open it: shows that passphrase and file fit"],
    ["--passphrase-file <file>", "file of mode 0600 with the passphrase"],
    directoryOption,
  ],
  examples: [
    "loopledger key show operator.json",
    "loopledger key show operator.json --check",
    "loopledger key show gateway --did",
  ],
  input: z.strictObject({
    key: text,
    did: z.boolean().default(false),
    check: z.boolean().default(false),
    passphraseFile: text.optional(),
    dir: directory,
  }),
  async run(options, terminal) {
    const { file, passphraseFile } = keyFileOf(options);
    const { publicKey: did, purpose, kdf } = await readKeyFile(file);
    const weak = "weakForDevnet" in kdf;
    if (options.check) {
      const passphrase = await passphraseOf(passphraseFile, `Passphrase of ${file}: `, terminal);
      await openKeyFile({ file, passphrase });
    }
    const strength = weak ? ", marked weak for a devnet" : "";
    const checked = options.check ? "\nthe passphrase opens it" : "";
    const text = options.did ? did : `${did}\n${purpose} key${strength}${checked}`;
    terminal.result({ did, purpose, weak, checked: options.check, file }, text);
    return 0;
  },
});

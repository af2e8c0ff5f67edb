/** Writes docs/CLI.md from the help of every command. */
import type { Command } from "commander";
import { program } from "../../src/cli/main.ts";

const head = `# Command line

\`node bin/loopledger.js COMMAND\`, or \`loopledger COMMAND\` where the package is installed.

- Results go to stdout, everything else to stderr. With \`--json\` stdout carries JSON only: one value, or for \`events follow\`
  one a line.
- Exit codes: 0 done, 1 refused or failed, 2 the command line itself is wrong.
- An error says its code, its facts and what to do next on stderr, with \`--json\` as \`{"error": {code, facts, meaning, next}}\`.
  All codes: [ERRORS.md](ERRORS.md).
- Commands that need nodes, keys or a genesis take those of the devnet in \`./devnet\` (or \`--dir\`) unless others are named.
- A passphrase comes from the file that is named (mode 0600), else from LOOPLEDGER_PASSPHRASE, else from a prompt; never
  from the command line, which others can list.

This page is made from the commands' own help by \`UPDATE_DOCS=1 npx vitest run test/unit/cli/page.test.ts\`.
`;

/** Returns the text of the page, commands in the order of the help. */
export function cliPage(): string {
  const root = program(async () => {});
  const leaves = root.commands.flatMap((command) =>
    command.commands.length === 0 ? [command] : command.commands,
  );
  const sections = leaves.map(
    (command) => `## ${nameOf(command)}\n\n\`\`\`text\n${helpOf(command).trimEnd()}\n\`\`\`\n`,
  );
  return [head, ...sections].join("\n");
}

/** Returns what `--help` prints, in lines of at most 100 characters. */
function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (piece) => {
      text += piece;
    },
    getOutHelpWidth: () => 100,
  });
  command.outputHelp();
  return text;
}

function nameOf(command: Command): string {
  const parent = command.parent?.parent == null ? "" : `${command.parent.name()} `;
  return parent + command.name();
}

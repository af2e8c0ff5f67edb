/**
 * The command line: takes the words apart, calls the command, gives its exit code.
 *
 * Exit codes: 0 done, 1 refused or failed, 2 the command line itself is wrong. Errors go to stderr
 * with code, facts and what to do next; with `--json` as one JSON object.
 */
import { readFileSync } from "node:fs";
import { CommanderError, Command as Parser } from "commander";
import { errorTable, isLedgerError, LedgerError } from "../base/errors.ts";
import { injectNative } from "../node/native-crypto.ts";
import type { Command } from "./command.ts";
import { commands } from "./commands.ts";
import { processTerminal, type Streams } from "./terminal.ts";

const groups: Readonly<Record<string, string>> = {
  key: "Keys in encrypted files.",
  genesis: "The file that all stakeholders agree on before the first block.",
  devnet: "A ledger of several nodes on this machine, to try and to test.",
  node: "One node.",
  validator: "Members and candidates; changes approved by a quorum of the administrators.",
  tx: "Transactions.",
  block: "Blocks.",
  events: "What contracts announce.",
  gateway: "The device side: readings from a source to the ledger.",
  evidence: "Proofs that need no node.",
  chain: "The stored chain of a stopped node.",
};

/** Codes that say that the command line itself is wrong. */
const usageCodes = ["CLI_USAGE_INVALID", "CLI_COMMAND_LINE_INVALID"] as const;

/**
 * Runs a command line without the program's name.
 *
 * @returns The exit code.
 */
export async function main(argv: readonly string[], streams?: Streams): Promise<number> {
  injectNative();
  const isJson = argv.includes("--json");
  const terminal = processTerminal(isJson, streams);
  const state = { exitCode: 0 };
  const parser = program((command, input) =>
    command.run(input, terminal).then((exitCode) => {
      state.exitCode = exitCode;
    }),
  );
  const { out, err } = streams ?? { out: process.stdout, err: process.stderr };
  // A settings object is not inherited by subcommands that exist already.
  for (const each of [parser, ...parser.commands, ...parser.commands.flatMap((c) => c.commands)])
    each.exitOverride().configureOutput({
      writeOut: (text) => out.write(text),
      writeErr: (text) => err.write(text),
      // Shown below like every other error, with a code.
      outputError: () => {},
    });
  try {
    await parser.parseAsync([...argv], { from: "user" });
    return state.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    // Help for who named no command is no error, but nothing was done either.
    if (error instanceof CommanderError && error.code === "commander.help") return 2;
    const shown = terminal.isInterrupted() ? new LedgerError("CLI_INTERRUPTED", {}) : coded(error);
    terminal.note(describeError(shown, isJson));
    return usageCodes.some((code) => code === shown.code) ? 2 : 1;
  }
}

/** Builds the parser with all commands; `call` runs one. */
export function program(
  call: (command: Command, input: Readonly<Record<string, unknown>>) => Promise<void>,
): Parser {
  const root = new Parser("loopledger")
    .description("A permissioned ledger for local energy loops.")
    .version(version())
    .showSuggestionAfterError();
  const parents = new Map<string, Parser>();
  for (const command of commands) {
    const words = command.name.split(" ");
    const leaf = words.at(-1) ?? "";
    const group = words.length > 1 ? words[0] : undefined;
    const parent = group === undefined ? root : groupOf(root, parents, group);
    addCommand(parent, leaf, command, call);
  }
  return root;
}

function groupOf(root: Parser, parents: Map<string, Parser>, name: string): Parser {
  const known = parents.get(name);
  if (known !== undefined) return known;
  const made = root.command(name).description(groups[name] ?? "");
  parents.set(name, made);
  return made;
}

function addCommand(
  parent: Parser,
  leaf: string,
  command: Command,
  call: (command: Command, input: Readonly<Record<string, unknown>>) => Promise<void>,
): void {
  const parser = parent.command(leaf).summary(command.summary).description(described(command));
  const names: string[] = [];
  for (const [syntax, description] of command.arguments ?? []) {
    parser.argument(syntax, description);
    names.push(syntax.replace(/[<>[\]]/g, ""));
  }
  for (const [flags, description] of command.options) parser.option(flags, description);
  parser.option("--json", "print JSON only, on stdout");
  const examples = command.examples.map((line) => `  $ ${line}`).join("\n");
  parser.addHelpText("after", `\nExamples:\n${examples}`);
  parser.action((...values: unknown[]) => {
    const { json: _, ...options } = parser.opts<Record<string, unknown>>();
    const given = names.map((name, index) => [name, values[index]]);
    return call(command, { ...options, ...Object.fromEntries(given) });
  });
}

function described({ summary, details }: Command): string {
  return details === undefined ? summary : `${summary}\n\n${details}`;
}

/** Gives every error a code: those of the parser, of the file system, and faults. */
function coded(error: unknown): LedgerError {
  if (isLedgerError(error)) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  if (cause instanceof CommanderError) {
    const reason = cause.message.replace(/^error: /, "").replaceAll("\n", " ");
    return new LedgerError("CLI_COMMAND_LINE_INVALID", { reason }, { cause });
  }
  const { code, path, syscall } = cause as NodeJS.ErrnoException;
  if (code !== undefined && path !== undefined && syscall !== undefined)
    return new LedgerError("CLI_FILE_UNUSABLE", { file: path, reason: code }, { cause });
  return new LedgerError("CLI_FAULT", { reason: cause.message }, { cause });
}

function describeError(error: LedgerError, isJson: boolean): string {
  const { code } = error;
  const { meaning, next } = errorTable[code];
  if (isJson) return JSON.stringify({ error: { code, facts: error.facts, meaning, next } });
  const facts = Object.entries(error.facts).map(([name, value]) => `  ${name}: ${value}`);
  const fault =
    code === "CLI_FAULT" && error.cause instanceof Error ? error.cause.stack : undefined;
  const lines = [`error ${code}: ${meaning}`, ...facts, `next: ${next}`];
  return [...(fault === undefined ? [] : [fault]), ...lines].join("\n");
}

function version(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

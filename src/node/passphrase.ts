/**
 * Where the passphrase of a key file comes from: a file of mode 0600, else the environment, else a
 * hidden prompt on the terminal. It is never taken from the command line, which others can list.
 */
import { LedgerError } from "../base/errors.ts";
import { readPrivateFile } from "./private-file.ts";

/** The part of a terminal's input that a prompt needs; `process.stdin` is one. */
type TerminalInput = {
  readonly isTTY?: boolean | undefined;
  setRawMode(raw: boolean): unknown;
  on(event: "data", listener: (chunk: Buffer | string) => void): unknown;
  off(event: "data", listener: (chunk: Buffer | string) => void): unknown;
  resume(): unknown;
  pause(): unknown;
};

/** What to look at, in this order. */
export type PassphraseSources = {
  /** A file of mode 0600; one line break at its end is not part of the passphrase. */
  readonly file?: string | undefined;
  /** `process.env`, where LOOPLEDGER_PASSPHRASE is looked up. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly terminal?:
    | { readonly input: TerminalInput; write(text: string): void; readonly question: string }
    | undefined;
};

const fileBytesMax = 1024;

/**
 * Gets the passphrase.
 *
 * @throws {LedgerError} KEY_PASSPHRASE_MISSING, FILE_UNREADABLE or KEY_FILE_MODE.
 */
export async function readPassphrase(sources: PassphraseSources): Promise<string> {
  const { file, environment, terminal } = sources;
  if (file !== undefined) {
    const text = await readPrivateFile(file, fileBytesMax);
    return present(text.replace(/\r?\n$/, ""), `${file} is empty`);
  }
  const variable = environment?.LOOPLEDGER_PASSPHRASE;
  if (variable !== undefined) return present(variable, "LOOPLEDGER_PASSPHRASE is empty");
  if (terminal?.input.isTTY === true)
    return present(await askHidden(terminal), "nothing was typed");
  throw missing("no passphrase file, no LOOPLEDGER_PASSPHRASE, and no terminal to ask on");
}

function present(passphrase: string, reason: string): string {
  if (passphrase === "") throw missing(reason);
  return passphrase;
}

function missing(reason: string): LedgerError {
  return new LedgerError("KEY_PASSPHRASE_MISSING", { reason });
}

/** Reads one line without echo. */
function askHidden(terminal: NonNullable<PassphraseSources["terminal"]>): Promise<string> {
  const { input } = terminal;
  terminal.write(terminal.question);
  input.setRawMode(true);
  return new Promise((resolve, reject) => {
    let line = "";
    const finish = (settle: () => void) => {
      input.off("data", onData);
      input.setRawMode(false);
      input.pause();
      terminal.write("\n");
      settle();
    };
    const onData = (chunk: Buffer | string) => {
      for (const character of chunk.toString()) {
        if (character === "\r" || character === "\n") return finish(() => resolve(line));
        // In raw mode the terminal leaves Ctrl-C and Ctrl-D to the program.
        if (character === "\u0003" || character === "\u0004")
          return finish(() => reject(missing("the question was broken off")));
        const isErase = character === "\u007f" || character === "\b";
        line = isErase ? [...line].slice(0, -1).join("") : line + character;
      }
    };
    input.on("data", onData);
    input.resume();
  });
}

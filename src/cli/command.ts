/**
 * A command of the command line: data and one function. The command decides; parsing, help and
 * exit codes are main.ts's matter, so that every command has the same manners.
 */
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import type { Terminal } from "./terminal.ts";

/** A command as it is defined; `input` has options and arguments by their camel-case names. */
export type Definition<S extends z.ZodType> = {
  /** Words that call it, such as `devnet up`. */
  readonly name: string;
  /** One sentence for lists of commands. */
  readonly summary: string;
  /** What a user must know beyond that, as paragraphs. */
  readonly details?: string;
  /** Such as `["<id>", "id of the transaction"]`. */
  readonly arguments?: readonly (readonly [syntax: string, description: string])[];
  readonly options: readonly (readonly [flags: string, description: string])[];
  /** Whole command lines. */
  readonly examples: readonly string[];
  readonly input: S;
  /** @returns Exit code: 0 done, 1 refused. */
  run(input: z.infer<S>, terminal: Terminal): Promise<number>;
};

/** A command whose input is checked before it runs. */
export type Command = Omit<Definition<z.ZodType>, "run" | "input"> & {
  /** @throws {LedgerError} CLI_USAGE_INVALID when the input has not its form; what `run` throws. */
  run(input: Readonly<Record<string, unknown>>, terminal: Terminal): Promise<number>;
};

/** Makes a command of its definition. */
export function command<S extends z.ZodType>(definition: Definition<S>): Command {
  const { input: schema, run, ...rest } = definition;
  return {
    ...rest,
    run: async (input, terminal) => {
      const parsed = schema.safeParse(input);
      if (!parsed.success) throw usageError(parsed.error.issues[0], input);
      return run(parsed.data, terminal);
    },
  };
}

function usageError(
  issue: z.core.$ZodIssue | undefined,
  input: Readonly<Record<string, unknown>>,
): LedgerError {
  const name = String(issue?.path[0] ?? "");
  const option = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const got = input[name] === undefined ? "nothing" : String(input[name]).slice(0, 200);
  return new LedgerError("CLI_USAGE_INVALID", { option, expected: issue?.message ?? "", got });
}

/** A whole number in plain digits. */
export function wholeNumber(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  return z
    .string(expected)
    .regex(/^\d{1,16}$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected);
}

/** Any text but the empty one. */
export const text = z.string("a value").min(1, "a value");

/** The option that names the devnet's directory. */
export const directoryOption = [
  "--dir <directory>",
  "directory of the devnet (default: ./devnet)",
] as const;

/** Input of `directoryOption`. */
export const directory = text.default("devnet");

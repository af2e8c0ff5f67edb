/** Runs a command line in this process and catches what it prints. */
import { main } from "../../src/cli/main.ts";

/** What came of a command line. */
export type CliResult = { readonly code: number; readonly out: string; readonly err: string };

/** Runs a command line. */
export async function runCli(...argv: string[]): Promise<CliResult> {
  const texts = { out: "", err: "" };
  const stream = (name: "out" | "err") => ({
    write: (text: string | Uint8Array) => {
      texts[name] += text.toString();
      return true;
    },
  });
  const code = await main(argv, { out: stream("out"), err: stream("err") });
  return { code, ...texts };
}

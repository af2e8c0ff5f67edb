/** `evidence verify`: judges a bundle of evidence offline. */
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { parseGenesis } from "../base/format/genesis.ts";
import { limits } from "../base/limits.ts";
import { readText } from "../node/config.ts";
import { type JudgedEvidence, judgeEvidence } from "../node/judge-evidence.ts";
import { checkpoint } from "./checkpoint.ts";
import { command, directory, directoryOption, text } from "./command.ts";
import { genesisFileOf, genesisOption } from "./connection.ts";

/** The command. */
export const evidenceVerify = command({
  name: "evidence verify",
  summary: "Judges evidence offline, with nothing but the genesis file.",
  details:
    "The verdict is invalid, certified (a quorum of the genesis signed all of it) or anchored " +
    "(and it lies before the checkpoint). A bill is also computed again by the contract of the " +
    "genesis, from the proven values. Exit code 0 exactly if every check holds. What no " +
    "verdict says is listed with it; see docs/EVIDENCE.md.",
  arguments: [["<file>", "evidence"]],
  options: [
    genesisOption,
    ["--checkpoint <height:hash>", "block that you trust, from a source of your own"],
    ["--all", "list every check, not only those that failed"],
    directoryOption,
  ],
  examples: [
    "loopledger evidence verify bill.json --genesis genesis.json",
    "loopledger evidence verify bill.json --genesis genesis.json --checkpoint 200:3f..e0 --json",
  ],
  input: z.strictObject({
    file: text,
    genesis: text.optional(),
    checkpoint: checkpoint.optional(),
    all: z.boolean().default(false),
    dir: directory,
  }),
  async run({ file, genesis: genesisFile, checkpoint: trusted, all, dir }, terminal) {
    const genesis = parseGenesis(readText(genesisFileOf(dir, genesisFile)));
    const evidence = readText(file);
    if (evidence.length > limits.evidenceBytesMax)
      throw new LedgerError("EVIDENCE_INVALID", { path: "", reason: "the file is too long" });
    const verdict = await judgeEvidence(evidence, { genesis, checkpoint: trusted });
    terminal.result(verdict, described(verdict, all));
    return verdict.ok ? 0 : 1;
  },
});

function described(verdict: JudgedEvidence, all: boolean): string {
  const { level, checks, limits: unsaid, subject, value } = verdict;
  const shown = all ? checks : checks.filter(({ ok }) => !ok);
  return [
    `${level}: ${checks.filter(({ ok }) => ok).length} of ${checks.length} checks hold`,
    ...shown.map(({ name, ok, detail }) => `  ${ok ? "ok    " : "FAILED"} ${name}: ${detail}`),
    ...(verdict.recomputed === true ? ["the contract makes the same bill again"] : []),
    ...(subject === undefined ? [] : [`${subject.kind} ${subject.key}`]),
    ...(value === undefined ? [] : [JSON.stringify(value, undefined, 2)]),
    "It does not say:",
    ...unsaid.map((sentence) => `  - ${sentence}`),
  ].join("\n");
}

/** `evidence export`: gets the evidence of a bill and checks it before it is kept. */
import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { parseGenesis } from "../base/format/genesis.ts";
import { verifyEvidence } from "../base/proof/evidence.ts";
import type { LedgerClient } from "../client/client.ts";
import { readText } from "../node/config.ts";
import { nativeVerifier } from "../node/native-crypto.ts";
import { command, directory, directoryOption, text } from "./command.ts";
import { clientOf, genesisFileOf, genesisOption, urlOption, urls } from "./connection.ts";

/** The command. */
export const evidenceExport = command({
  name: "evidence export",
  summary: "Writes the evidence of a bill to a file, and checks it.",
  details:
    "The file proves the bill to whoever has the genesis file: see `evidence verify`. Without a " +
    "number the bill that counts is taken, which is the last correction.",
  arguments: [["<bill>", "bill as METER/MONTH or METER/MONTH/NUMBER"]],
  options: [
    ["--out <file>", "file to write (default: bill-<meter>-<month>-<number>.json)"],
    urlOption,
    genesisOption,
    directoryOption,
  ],
  examples: [
    "loopledger evidence export m-1/2019-01 --out bill.json",
    "loopledger evidence export m-1/2019-01/2 --url http://127.0.0.1:7402 --genesis genesis.json",
  ],
  input: z.strictObject({
    bill: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\/\d{4}-\d\d(\/\d{1,6})?$/, "METER/MONTH[/NUMBER]"),
    out: text.optional(),
    url: urls,
    genesis: text.optional(),
    dir: directory,
  }),
  async run({ bill, out, genesis, ...place }, terminal) {
    const client = clientOf(place);
    const id = await billId(client, bill);
    const evidence = await client.evidence(id);
    const trusted = parseGenesis(readText(genesisFileOf(place.dir, genesis)));
    const verdict = verifyEvidence(evidence, { genesis: trusted, verifier: nativeVerifier });
    const wrong = verdict.checks.find(({ ok }) => !ok);
    if (wrong !== undefined)
      throw new LedgerError("EVIDENCE_INVALID", { path: wrong.name, reason: wrong.detail });
    const file = out ?? `bill-${id.replaceAll("/", "-")}.json`;
    await writeFile(file, evidence);
    const bytes = Buffer.byteLength(evidence);
    terminal.result({ file, bill: id, bytes, level: verdict.level }, `${file}: ${bytes} bytes`);
    return 0;
  },
});

/** Completes METER/MONTH by the number of the bill that counts. */
async function billId(client: LedgerClient, bill: string): Promise<string> {
  const [meter = "", month = "", number] = bill.split("/");
  if (number !== undefined) return bill;
  const { result } = await client.view("billing", "bill", { meter, month });
  return z.object({ id: z.string() }).parse(result).id;
}

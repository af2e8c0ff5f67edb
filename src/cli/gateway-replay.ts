/** `gateway replay`: brings the readings of a CSV file onto the ledger. */
import { z } from "zod";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { Did } from "../base/format/did.ts";
import { parseGenesis } from "../base/format/genesis.ts";
import { LedgerClient } from "../client/client.ts";
import { runGatewayReplay } from "../gateway.ts";
import { readText } from "../node/config.ts";
import { nativeVerifier } from "../node/native-crypto.ts";
import { command, directory, directoryOption, text, wholeNumber } from "./command.ts";
import {
  gatewayDirectory,
  gatewayDirectoryOption,
  genesisFileOf,
  genesisOption,
  keyOptions,
  nodeUrls,
  openKey,
  urlOption,
  urls,
} from "./connection.ts";

const batchCountMax = 1_000;
/** Time for a node to say what it knows of the gateway and the meter. */
const askedMsMax = 2_000;

/** The command. */
export const gatewayReplay = command({
  name: "gateway replay",
  summary: "Reports the readings of a CSV file, batch by batch, until all are final.",
  details:
    "Readings are kept in a durable outbox until the gateway has itself verified that they are " +
    "final. Broken off at any moment, even by SIGKILL, the same command goes on where it was. " +
    "The meter must be registered with the gateway's key (`metering.registerMeter`). Exit code 1 " +
    "when readings were refused: `gateway status` lists them.",
  options: [
    ["--file <csv>", "readings: columns as in data/heat_meters"],
    ["--meter <id>", "meter on the ledger"],
    ["--batch <count>", "readings in one transaction (default: 100)"],
    ["--key <file>", "key file of the gateway (default: the devnet's gateway)"],
    keyOptions[1],
    gatewayDirectoryOption,
    urlOption,
    genesisOption,
    directoryOption,
  ],
  examples: [
    "loopledger gateway replay --file data/heat_meters/dk_heat_meter_660_hourly_2018_2019.csv --meter dk-660 --batch 100",
  ],
  input: z.strictObject({
    file: text,
    meter: text,
    batch: wholeNumber(1, batchCountMax).default(100),
    key: text.default("gateway"),
    passphraseFile: text.optional(),
    outbox: text.optional(),
    url: urls,
    genesis: text.optional(),
    dir: directory,
  }),
  async run(options, terminal) {
    const { file: csvFile, meter, batch: batchCount, dir } = options;
    const genesis = parseGenesis(readText(genesisFileOf(dir, options.genesis)));
    const nodes = nodeUrls(options);
    const { did, signer } = await openKey(options, terminal);
    await refuseWrongSetting(nodes, { gateway: did, meter });
    const signal = terminal.interruption();
    const progress = terminal.progress("readings", 0);
    const directory = gatewayDirectory(dir, options.outbox);
    const verifier = nativeVerifier;
    try {
      const summary = await runGatewayReplay({
        ...{ nodes, genesis, signer, verifier, directory, csvFile, meter, batchCount, signal },
        onProgress: ({ accepted, final }) => progress.update(final, accepted),
      });
      const { readings, refused, seconds, readingsPerSecond, isComplete } = summary;
      const rate = `${seconds.toFixed(1)} s, ${Math.round(readingsPerSecond)} a second`;
      const end = isComplete ? "" : "; stopped: run it again to go on";
      terminal.result(summary, `${readings} readings final, ${refused} refused; ${rate}${end}`);
      return isComplete && refused === 0 ? 0 : 1;
    } finally {
      progress.done();
    }
  },
});

type Setting = { readonly gateway: Did; readonly meter: string };

/**
 * Refuses a wrong key or meter before readings of theirs are in the outbox, from where nothing but
 * a receipt removes them. It is a courtesy: nodes that are silent, or that disagree because some
 * of them lag behind, refuse nothing.
 *
 * @throws {LedgerError} GATEWAY_SENDER_REFUSED
 */
async function refuseWrongSetting(nodes: readonly string[], setting: Setting): Promise<void> {
  const answers = await Promise.all(
    nodes.map((node) => {
      const client = new LedgerClient({ nodes: [node], timeoutMs: askedMsMax });
      return refusalOf(client, setting).catch(silentAsNothing);
    }),
  );
  const given = answers.filter((answer) => answer !== undefined);
  const [refusal] = given;
  if (refusal === undefined || given.includes("none")) return;
  throw new LedgerError("GATEWAY_SENDER_REFUSED", { gateway: setting.gateway, refusal });
}

/** A node that does not answer refuses nothing; what is no operating error is not hidden. */
function silentAsNothing(error: unknown): undefined {
  if (!isLedgerError(error)) throw error;
}

async function refusalOf(
  client: LedgerClient,
  { gateway, meter }: Setting,
): Promise<string | undefined> {
  const { enrolled, roles } = await client.account(gateway);
  if (!enrolled) return "TRANSACTION_SENDER_UNKNOWN";
  if (!roles.includes("gateway")) return "TRANSACTION_ROLE_MISSING";
  try {
    const { result } = await client.view("metering", "meter", { meter });
    const registered = z.object({ gateway: z.string() }).safeParse(result);
    // What has no form says nothing, as silence does.
    if (!registered.success) return undefined;
    return registered.data.gateway === gateway ? "none" : `METERING_GATEWAY_FOREIGN for ${meter}`;
  } catch (error) {
    const isUnknown =
      isLedgerError(error, "API_VIEW_REFUSED") && error.facts.outcome === "METERING_METER_UNKNOWN";
    if (isUnknown) return `METERING_METER_UNKNOWN for ${meter}`;
    throw error;
  }
}

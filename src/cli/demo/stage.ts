/** What the steps of the demo share. */
import { type Genesis, parseGenesis } from "../../base/format/genesis.ts";
import { LedgerClient } from "../../client/client.ts";
import { type Trust, trustOf } from "../../client/finality.ts";
import { readText } from "../../node/config.ts";
import { type OpenedKey, openKeyFile } from "../../node/key-file.ts";
import { nativeVerifier } from "../../node/native-crypto.ts";
import { type Devnet, devnetKeyFile } from "../devnet/layout.ts";
import type { Terminal } from "../terminal.ts";

/** What a run needs. */
export type DemoPlan = {
  readonly devnet: Devnet;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  /** The shipped data: readings and tariff. */
  readonly dataDirectory: URL;
  readonly outDirectory: string;
  /** Of the random damage. */
  readonly seed: number;
};

/** What the steps share. */
export type DemoStage = DemoPlan & {
  readonly genesis: Genesis;
  readonly trust: Trust;
  readonly client: LedgerClient;
  readonly keys: Readonly<Record<"operator" | "biller" | "gateway", OpenedKey>>;
};

/** The meter of the shipped readings, under its name on the ledger. */
export const meter = "dk-660";
/** Opens keys and genesis of a devnet. */
export async function openStage(plan: DemoPlan): Promise<DemoStage> {
  const { devnet } = plan;
  const passphrase = readText(devnet.passphraseFile).trimEnd();
  const open = (name: string) =>
    openKeyFile({ file: devnetKeyFile(devnet.directory, name), passphrase });
  const genesis = parseGenesis(readText(devnet.genesisFile));
  return {
    ...plan,
    genesis,
    trust: trustOf(genesis, nativeVerifier),
    client: new LedgerClient({ nodes: devnet.nodes.map(({ url }) => url) }),
    keys: {
      operator: await open("operator"),
      biller: await open("biller"),
      gateway: await open("gateway"),
    },
  };
}

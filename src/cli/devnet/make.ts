/**
 * Makes the files of a devnet: keys, genesis, one configuration a node. Its keys are marked weak
 * and their passphrase lies beside them: a devnet starts fast and guards no value.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { stringify } from "yaml";
import { LedgerError } from "../../base/errors.ts";
import { administratorRole, type Genesis } from "../../base/format/genesis.ts";
import { makeGenesis, standardContracts } from "../../node/genesis-maker.ts";
import { createKeyFile, type KeyPurpose } from "../../node/key-file.ts";
import {
  administratorKeyName,
  clientFileOf,
  clientFileText,
  type Devnet,
  type DevnetNode,
  devnetKeyFile,
  layoutOf,
  nodeNames,
  peerPortDistance,
} from "./layout.ts";

/** What a devnet is made of. */
export type DevnetPlan = {
  readonly directory: string;
  readonly nodeCount: number;
  readonly basePort: number;
};

type Member = Genesis["members"][number];

/**
 * Makes a devnet in a new or empty directory.
 *
 * @throws {LedgerError} CLI_DEVNET_DIRECTORY when something is in it; CONTRACTS_NOT_BUILT.
 */
export async function makeDevnet(plan: DevnetPlan): Promise<Devnet> {
  const devnet = layoutOf(plan.directory, plan.basePort, nodeNames(plan.nodeCount));
  const { directory, nodes } = devnet;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ((await readdir(directory)).length > 0)
    throw new LedgerError("CLI_DEVNET_DIRECTORY", { directory });
  const passphrase = randomBytes(16).toString("hex");
  await writeFile(devnet.passphraseFile, `${passphrase}\n`, { mode: 0o600, flag: "wx" });
  const key = async (file: string, purpose: KeyPurpose) =>
    (await createKeyFile({ file, purpose, passphrase, weakForDevnet: true })).did;
  const members = await Promise.all(
    nodes.map(
      async (node): Promise<Member> => ({
        id: node.name,
        name: node.name,
        validatorKey: await key(`${node.directory}/validator.json`, "validator"),
        peerKey: await key(`${node.directory}/peer.json`, "peer"),
      }),
    ),
  );
  const genesis = await devnetGenesis(members, (name, purpose) =>
    key(devnetKeyFile(directory, name), purpose),
  );
  await writeFile(devnet.genesisFile, `${JSON.stringify(genesis, undefined, 2)}\n`);
  for (const node of nodes) await writeFile(node.configFile, nodeYaml(devnet, node, members));
  await writeFile(clientFileOf(directory), clientFileText(devnet));
  return devnet;
}

async function devnetGenesis(
  members: Member[],
  key: (name: string, purpose: KeyPurpose) => Promise<string>,
): Promise<Genesis> {
  const member = members[0]?.id ?? "";
  const account = async (name: string, roles: string[], of = member) => ({
    did: await key(name, "account"),
    member: of,
    name,
    roles,
  });
  const administrators = members.map(({ id }) =>
    account(administratorKeyName(id), [administratorRole], id),
  );
  const accounts = [
    await account("operator", ["operator"]),
    await account("biller", ["biller"]),
    ...(await Promise.all(administrators)),
  ];
  const gateway = await key("gateway", "gateway");
  const devices = [{ did: gateway, member, name: "gateway", roles: ["gateway"] }];
  const timestampMs = Date.now();
  return makeGenesis(
    { name: "devnet", timestampMs, members, accounts, devices },
    standardContracts(),
  );
}

function nodeYaml(devnet: Devnet, node: DevnetNode, members: readonly Member[]): string {
  const address = (index: number) =>
    `/ip4/127.0.0.1/tcp/${devnet.basePort + peerPortDistance + index}`;
  const own = devnet.nodes.indexOf(node);
  const peers = members.map(({ peerKey }, index) => ({ peerKey, address: address(index) }));
  return stringify({
    name: node.name,
    genesis: "../../genesis.json",
    ledgerDirectory: "ledger",
    validatorKeyFile: "validator.json",
    peerKeyFile: "peer.json",
    passphraseFile: "../../passphrase",
    p2p: { listen: [address(own)], peers: peers.filter((_, index) => index !== own) },
    api: { port: devnet.basePort + own },
  });
}

/**
 * Where a devnet keeps what, and the file that tells other commands about it.
 *
 * | path below the devnet's directory | content |
 * |---|---|
 * | `client.json` | what a client needs: nodes, genesis, keys; written last, so it marks a whole devnet |
 * | `genesis.json` | the genesis all nodes share |
 * | `passphrase` | passphrase of all its key files, mode 0600; a devnet guards no value |
 * | `keys/<operator, biller, gateway>.json` | keys of those who send transactions |
 * | `keys/<member>-administrator.json` | keys of those who approve changes of the validators |
 * | `nodes/<name>/node.yaml` | configuration; beside it keys, signing record, `ledger/`, `log`, `process.json` |
 * | `gateway/` | outbox of `gateway replay` |
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { LedgerError } from "../../base/errors.ts";
import { checkedConfig } from "../../node/config.ts";

/** Names of the first four nodes; further ones are numbered. */
const stakeholders = ["heat-producer", "data-centre", "municipality", "grid-operator"];

/** Keys that a devnet makes for those who send transactions. */
export const devnetKeys = ["operator", "biller", "gateway"] as const;

/** Name of the key of a member's administrator, who approves changes of the validators. */
export function administratorKeyName(member: string): string {
  return `${member}-administrator`;
}

/** Tells whether a name may be that of a devnet's key. */
export function isDevnetKeyName(name: string): boolean {
  return devnetKeys.some((key) => key === name) || /^[a-z0-9-]+-administrator$/.test(name);
}

/** Peers listen this far above the HTTP ports. */
export const peerPortDistance = 100;

const ClientFile = z.strictObject({
  format: z.literal("loopledger-devnet-v0"),
  basePort: z.int().min(1).max(65_535),
  nodes: z.array(z.strictObject({ name: z.string(), url: z.string() })).min(1),
});

/** A devnet on disk. */
export type Devnet = {
  readonly directory: string;
  readonly basePort: number;
  readonly nodes: readonly DevnetNode[];
  readonly genesisFile: string;
  readonly passphraseFile: string;
};

/** One of its nodes. */
export type DevnetNode = {
  readonly name: string;
  /** Of its HTTP API. */
  readonly url: string;
  readonly directory: string;
  readonly configFile: string;
  readonly ledgerDirectory: string;
  readonly logFile: string;
  /** Remembers the running process. */
  readonly processFile: string;
};

/** Returns the paths of a devnet that is or will be in a directory. */
export function layoutOf(directory: string, basePort: number, names: readonly string[]): Devnet {
  const root = resolve(directory);
  return {
    directory: root,
    basePort,
    genesisFile: join(root, "genesis.json"),
    passphraseFile: join(root, "passphrase"),
    nodes: names.map((name, index) => {
      const own = join(root, "nodes", name);
      return {
        name,
        url: `http://127.0.0.1:${basePort + index}`,
        directory: own,
        configFile: join(own, "node.yaml"),
        ledgerDirectory: join(own, "ledger"),
        logFile: join(own, "log"),
        processFile: join(own, "process.json"),
      };
    }),
  };
}

/** Returns the names of `count` nodes. */
export function nodeNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => stakeholders[index] ?? `node-${index + 1}`);
}

/** Returns the path of the file that describes a devnet. */
export function clientFileOf(directory: string): string {
  return join(directory, "client.json");
}

/** Returns the key file of one of the devnet's senders. */
export function devnetKeyFile(directory: string, name: string): string {
  return join(directory, "keys", `${name}.json`);
}

/** The text of `client.json`. */
export function clientFileText({ basePort, nodes }: Devnet): string {
  const content: z.infer<typeof ClientFile> = {
    format: "loopledger-devnet-v0",
    basePort,
    nodes: nodes.map(({ name, url }) => ({ name, url })),
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

/** Reads the devnet of a directory; `undefined` when there is none. */
export function findDevnet(directory: string): Devnet | undefined {
  let text: string;
  try {
    text = readFileSync(clientFileOf(directory), "utf8");
  } catch {
    return undefined;
  }
  const { basePort, nodes } = checkedConfig(ClientFile, text);
  const names = nodes.map(({ name }) => name);
  return layoutOf(directory, basePort, names);
}

/** Reads the devnet of a directory. @throws {LedgerError} CLI_DEVNET_MISSING */
export function openDevnet(directory: string): Devnet {
  const devnet = findDevnet(directory);
  if (devnet === undefined)
    throw new LedgerError("CLI_DEVNET_MISSING", { directory: resolve(directory) });
  return devnet;
}

/** Finds nodes by name, all of them without one. @throws {LedgerError} CLI_NODE_UNKNOWN */
export function nodesNamed(devnet: Devnet, name: string | undefined): readonly DevnetNode[] {
  if (name === undefined) return devnet.nodes;
  const found = devnet.nodes.filter((node) => node.name === name);
  if (found.length > 0) return found;
  const known = devnet.nodes.map((node) => node.name).join(", ");
  throw new LedgerError("CLI_NODE_UNKNOWN", { node: name, known });
}

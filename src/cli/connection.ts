/**
 * Where commands find nodes, genesis and keys: in what was given, else in the devnet's directory,
 * so that whoever tries a devnet types little.
 */
import { join, resolve } from "node:path";
import { z } from "zod";
import { parseGenesis } from "../base/format/genesis.ts";
import { LedgerClient } from "../client/client.ts";
import { type Trust, trustOf } from "../client/finality.ts";
import { readText } from "../node/config.ts";
import { type OpenedKey, openKeyFile, readKeyFile } from "../node/key-file.ts";
import { nativeVerifier } from "../node/native-crypto.ts";
import { readPassphrase } from "../node/passphrase.ts";
import { devnetKeyFile, isDevnetKeyName, openDevnet } from "./devnet/layout.ts";
import type { Terminal } from "./terminal.ts";

/** The option that names nodes. */
export const urlOption = [
  "--url <urls>",
  "base address of a node, or several with commas (default: the devnet's nodes)",
] as const;

/** Input of `urlOption`. */
export const urls = z
  .string()
  .transform((text) => text.split(",").map((each) => each.trim()))
  .refine((list) => list.every(isHttpUrl), "addresses such as http://127.0.0.1:7400")
  .optional();

/** The option that names a genesis file. */
export const genesisOption = [
  "--genesis <file>",
  "genesis file that you trust (default: the devnet's)",
] as const;

/** The options that name a key. */
export const keyOptions = [
  ["--key <file>", "key file, or operator, biller, gateway or NODE-administrator for the devnet's"],
  ["--passphrase-file <file>", "file of mode 0600 (default: environment, prompt, or the devnet's)"],
] as const;

/** The option that names a gateway's directory. */
export const gatewayDirectoryOption = [
  "--outbox <directory>",
  "directory of the gateway's outbox (default: gateway in that of the devnet)",
] as const;

/** Returns the directory of a gateway. @throws {LedgerError} CLI_DEVNET_MISSING */
export function gatewayDirectory(dir: string, outbox: string | undefined): string {
  return outbox === undefined ? join(openDevnet(dir).directory, "gateway") : resolve(outbox);
}

/** Where to look. */
export type Place = { readonly dir: string; readonly url?: readonly string[] | undefined };

/** Returns the base addresses of the nodes. @throws {LedgerError} CLI_DEVNET_MISSING */
export function nodeUrls({ dir, url }: Place): readonly string[] {
  return url ?? openDevnet(dir).nodes.map((node) => node.url);
}

/** Makes a client of the nodes. @throws {LedgerError} CLI_DEVNET_MISSING */
export function clientOf(place: Place): LedgerClient {
  return new LedgerClient({ nodes: nodeUrls(place) });
}

/** Returns the path of the genesis file. @throws {LedgerError} CLI_DEVNET_MISSING */
export function genesisFileOf(dir: string, file: string | undefined): string {
  return file === undefined ? openDevnet(dir).genesisFile : resolve(file);
}

/** Reads what a client trusts. */
export function readTrust(genesisFile: string): Trust {
  return trustOf(parseGenesis(readText(genesisFile)), nativeVerifier);
}

/** Which key to open. */
export type KeyChoice = {
  readonly dir: string;
  /** A file, or the name of one of the devnet's keys. */
  readonly key: string;
  readonly passphraseFile?: string | undefined;
};

/** Returns the file of a key and where its passphrase may be. */
export function keyFileOf({ dir, key, passphraseFile }: KeyChoice) {
  if (!isDevnetKeyName(key)) return { file: resolve(key), passphraseFile };
  const devnet = openDevnet(dir);
  const file = devnetKeyFile(devnet.directory, key);
  return { file, passphraseFile: passphraseFile ?? devnet.passphraseFile };
}

/** Opens a key. @throws {LedgerError} What key files and passphrases throw. */
export async function openKey(choice: KeyChoice, terminal: Terminal): Promise<OpenedKey> {
  const { file, passphraseFile } = keyFileOf(choice);
  // A wrong name is told before anybody is asked for a passphrase.
  await readKeyFile(file);
  const passphrase = await passphraseOf(passphraseFile, `Passphrase of ${file}: `, terminal);
  return openKeyFile({ file, passphrase });
}

/** Gets a passphrase from a file, the environment or the terminal. */
export function passphraseOf(
  file: string | undefined,
  question: string,
  { environment, prompt }: Terminal,
): Promise<string> {
  return readPassphrase({ file, environment, terminal: { ...prompt, question } });
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

/**
 * Configuration of a node: one YAML file, checked as a whole before anything starts. Paths in it
 * are relative to the file, so a directory with a node can be moved.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { utf8Text } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

const DidKey = z.string().regex(/^did:key:z[1-9A-HJ-NP-Za-km-z]{47}$/, "expected a did:key");
const Address = z
  .string()
  .regex(/^\/(ip4|ip6|dns4|dns6)\/[^/]+\/tcp\/\d+$/, "expected a multiaddr");

const NodeConfigSchema = z.strictObject({
  /** Name for logs and metrics. */
  name: z.string().min(1).max(64),
  genesis: z.string().min(1),
  ledgerDirectory: z.string().min(1),
  /** Key file of the validator key; without it the node follows but does not vote. */
  validatorKeyFile: z.string().min(1).optional(),
  peerKeyFile: z.string().min(1),
  /** File of mode 0600; else LOOPLEDGER_PASSPHRASE, else a prompt. */
  passphraseFile: z.string().min(1).optional(),
  /** Default: `<validatorKeyFile>.signed`. Never in the ledger directory (D15). */
  signingRecordFile: z.string().min(1).optional(),
  /** The keys are not those of a member of the genesis: the node waits to be admitted, or was. */
  joining: z.boolean().default(false),
  p2p: z.strictObject({
    listen: z.array(Address).min(1).max(8),
    peers: z.array(z.strictObject({ peerKey: DidKey, address: Address })).max(256),
  }),
  api: z.strictObject({
    host: z.literal(["127.0.0.1", "::1", "localhost"]).default("127.0.0.1"),
    port: z.int().min(0).max(65_535),
  }),
  log: z
    .strictObject({ level: z.enum(["debug", "info", "warn", "error"]).default("info") })
    .default({ level: "info" }),
  /** How a node without a ledger begins: with the first block, or with a snapshot. */
  sync: z.enum(["blocks", "snapshot"]).default("blocks"),
  /** `HEIGHT:HASH` of a block that must be on the chain. */
  checkpoint: z
    .string()
    .regex(/^[1-9]\d{0,14}:[0-9a-f]{64}$/, "expected HEIGHT:HASH")
    .optional(),
  /** Old blocks and their history go, but for so many; absent: all are kept. */
  pruning: z.strictObject({ keepBlocks: z.int().min(limits.pruningKeepBlocksMin) }).optional(),
  /** Least time between two blocks of this node as proposer: more transactions share one block. */
  blockIntervalMs: z.int().min(0).max(limits.blockIntervalMsMax).default(50),
});

/** Stands for a key when no single one is wrong. */
const wholeFile = "(the whole file)";

/** A checked configuration with absolute paths. */
export type NodeConfig = z.infer<typeof NodeConfigSchema>;

/**
 * Reads a configuration file.
 *
 * @throws {LedgerError} CONFIG_INVALID with the key, what was expected and what came.
 */
export function readNodeConfig(file: string): NodeConfig {
  return parseNodeConfig(readText(file), dirname(resolve(file)));
}

/** Returns the block that must be on the chain, if one was configured. */
export function checkpointOf({ checkpoint }: Pick<NodeConfig, "checkpoint">) {
  if (checkpoint === undefined) return undefined;
  const [height = "", hash = ""] = checkpoint.split(":");
  return { height: Number(height), hash };
}

/** Parses YAML text; relative paths start from `directory`. */
export function parseNodeConfig(text: string, directory: string): NodeConfig {
  const config = checkedConfig(NodeConfigSchema, text);
  const absolute = (path: string) => resolve(directory, path);
  return {
    ...config,
    genesis: absolute(config.genesis),
    ledgerDirectory: absolute(config.ledgerDirectory),
    peerKeyFile: absolute(config.peerKeyFile),
    ...(config.validatorKeyFile && { validatorKeyFile: absolute(config.validatorKeyFile) }),
    ...(config.signingRecordFile && { signingRecordFile: absolute(config.signingRecordFile) }),
    ...(config.passphraseFile && { passphraseFile: absolute(config.passphraseFile) }),
  };
}

/** Checks YAML text against any schema; the error names the key, the wanted and the found. */
export function checkedConfig<T extends z.ZodType>(schema: T, text: string): z.infer<T> {
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0 });
  } catch (cause) {
    const got = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : "";
    throw new LedgerError("CONFIG_INVALID", { key: wholeFile, expected: "YAML", got }, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path ?? [];
  const message = issue?.message ?? "";
  const expected = /^Invalid input: expected (.*), received \w+$/.exec(message)?.[1] ?? message;
  if (issue?.code === "unrecognized_keys") {
    // Their values are not shown: a key that is unknown may well be a misplaced passphrase.
    const key = [...path, issue.keys[0] ?? ""].join(".");
    const known = "a key that there is: it may be misspelt, or in the wrong place";
    throw new LedgerError("CONFIG_INVALID", { key, expected: known, got: "an unknown key" });
  }
  const got = path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
  throw new LedgerError("CONFIG_INVALID", {
    key: path.join(".") || wholeFile,
    expected,
    got: (JSON.stringify(got) ?? "nothing").slice(0, 200),
  });
}

/** Reads a text that the operator named. @throws {LedgerError} FILE_UNREADABLE */
export function readText(file: string): string {
  try {
    // Reading "utf8" would put replacement characters for wrong bytes, and they would be signed.
    return utf8Text(readFileSync(file));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason =
      code === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "it is not UTF-8" : (code ?? "unknown");
    throw new LedgerError("FILE_UNREADABLE", { file, reason }, { cause });
  }
}

/**
 * Genesis: the file all stakeholders agree on before the first block. It is JSON, read by people;
 * what binds it is the chain id, the hash of the genesis header, whose `stateRoot` commits to
 * every member, key, account, device, parameter and contract.
 *
 * State layout of the system contract (D19), all values canonical JSON:
 *
 * | key | value |
 * |---|---|
 * | `system/chain/info` | `{"engineHash","name"}` |
 * | `system/chain/administrators` | `[did, ...]` ascending: accounts that had the role in the genesis |
 * | `system/member/<id>` | `{"address"?,"name","peerKey","validatorKey"}`, keys as did:key |
 * | `system/node/<did of peerKey>` | `{"member","name","roles":["node"],"status"}`: the nodes of members and candidates, as senders |
 * | `system/validators/<height>` | `[did, ...]`: validators from that height (12 hexadecimal digits) on, in the order of their raw keys |
 * | `system/role/<role>` | `{"description"}` |
 * | `system/account/<did>` | `{"member","name","roles","status"}`: people and services |
 * | `system/device/<did>` | `{"member","name","roles","status"}`: gateways and meters that sign |
 * | `system/contract/<name>` | `{"bundleHash","imageHash","methods","views"}` |
 * | `system/parameter/<name>` | an integer |
 * | `system/window/<did>` | replay window of a sender, written by the executor |
 *
 * What the system contract adds while the ledger runs: src/ledger/system/tables.ts.
 */
import { z } from "zod";
import { compareUtf8, utf8 } from "../bytes.ts";
import { caughtAs, LedgerError } from "../errors.ts";
import { type Hash, hash32Pattern, hashOf, zeroHash } from "../hash.ts";
import type { PublicKey } from "../keys.ts";
import { limits } from "../limits.ts";
import { merkleRoot } from "../proof/merkle.ts";
import { stateRootOf } from "../proof/state-proof.ts";
import { checkPublicKey } from "../verifier.ts";
import { type Header, headerHash, validatorsHash } from "./block.ts";
import { didOf, publicKeyOf } from "./did.ts";
import { canonicalJson, parseJson } from "./json.ts";
import { namePattern } from "./transaction.ts";

/** The contract that is part of the node: members, senders, contracts, parameters (D19). */
export const systemContract = "system";

const Name = z.string().regex(namePattern);
const Text = z.string().min(1).max(200);
const HashText = z.string().regex(hash32Pattern);
const DidText = z.string().superRefine((text, context) => {
  const message = didProblem(text);
  if (message !== undefined) context.addIssue({ code: "custom", message });
});

/** A multiaddress such as /ip4/192.0.2.1/tcp/7401. */
const Address = z
  .string()
  .max(200)
  .regex(/^\/(ip4|ip6|dns|dns4|dns6)\/[a-zA-Z0-9.:-]+\/tcp\/\d{1,5}$/);

/** Schema of a member: a stakeholder with its two keys and, if it wishes, where its node listens. */
export const Member = z.strictObject({
  id: Name,
  name: Text,
  validatorKey: DidText,
  peerKey: DidText,
  address: Address.optional(),
});

/** A member, or a candidate that is to become one. */
export type Member = z.infer<typeof Member>;

const Account = z.strictObject({
  did: DidText,
  member: Name,
  name: Text,
  roles: z.array(Name).min(1).max(16),
});

const Contract = z.strictObject({
  name: Name,
  source: z.string().min(1).max(limits.contractSourceBytesMax),
  imageHash: HashText,
  methods: z.record(Name, z.strictObject({ roles: z.array(Name).min(1).max(16) })),
  views: z.array(Name).max(256),
});

const Parameters = z.strictObject({
  blockGasMax: z.int().min(limits.callGasMin),
  // No node runs a call with more: the sandbox is measured up to there.
  callGasMax: z.int().min(limits.callGasMin).max(limits.callGasMax),
  // A block must hold any permitted transaction, or that one would wait until it expires.
  blockBytesMax: z
    .int()
    .min(limits.transactionBytesMax + 1_024)
    .max(limits.blockBytesMax),
  clockDriftMs: z.int().min(0),
  heartbeatMs: z.int().min(100),
  /** Heights that are multiples of it have a snapshot (ADR 0022). */
  snapshotInterval: z
    .int()
    .min(limits.snapshotIntervalMin)
    .max(limits.snapshotIntervalMax)
    .default(limits.snapshotIntervalDefault),
});

/** Schema of the genesis file. */
export const Genesis = z.strictObject({
  format: z.literal("loopledger-genesis-v0"),
  name: Text,
  timestampMs: z.int().min(0),
  engineHash: HashText,
  parameters: Parameters,
  roles: z.record(Name, Text),
  members: z.array(Member).min(1).max(limits.validatorsMax),
  accounts: z.array(Account).max(10_000),
  devices: z.array(Account).max(100_000),
  contracts: z.array(Contract).max(64),
});

/** A genesis file. */
export type Genesis = z.infer<typeof Genesis>;

/** The ledger parameters and their defaults. */
export type LedgerParameters = Genesis["parameters"];

/** Parameters of a new ledger unless the founders choose others. */
export const defaultParameters: LedgerParameters = {
  blockGasMax: limits.blockGasMax,
  callGasMax: limits.callGasMax,
  blockBytesMax: limits.blockBytesMax,
  clockDriftMs: limits.clockDriftMsDefault,
  heartbeatMs: limits.heartbeatMsDefault,
  snapshotInterval: limits.snapshotIntervalDefault,
};

/** All that follows from a genesis file. */
export type GenesisBlock = {
  readonly chainId: Hash;
  readonly header: Header;
  /** Public keys of the validators, sorted ascending. */
  readonly validators: readonly PublicKey[];
  /** State entries in key order. */
  readonly state: readonly (readonly [key: string, value: string])[];
};

/** Parses a genesis file. @throws {LedgerError} GENESIS_INVALID */
export function parseGenesis(text: string): Genesis {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    const cause = caughtAs(error, "JSON_INVALID");
    const reason = `not permitted JSON at offset ${cause.facts.offset}: ${cause.facts.reason}`;
    throw new LedgerError("GENESIS_INVALID", { path: "", reason }, { cause });
  }
  const parsed = Genesis.safeParse(value);
  if (!parsed.success) {
    // Who refuses a form names at least one reason.
    const { path, message } = parsed.error.issues[0] as z.core.$ZodIssue;
    throw new LedgerError("GENESIS_INVALID", { path: path.join("."), reason: message });
  }
  return checkedUnique(parsed.data);
}

/** Derives state, header and chain id. The same file gives the same chain id everywhere. */
export function genesisBlock(genesis: Genesis): GenesisBlock {
  const validators = validatorsOf(genesis);
  const state = genesisState(genesis);
  const setHash = validatorsHash(validators);
  const header: Header = {
    chainId: zeroHash,
    height: 0,
    parentHash: zeroHash,
    timestampMs: genesis.timestampMs,
    proposer: zeroHash,
    transactionsRoot: merkleRoot([]),
    receiptsRoot: merkleRoot([]),
    stateRoot: stateRootOf(state),
    validatorsHash: setHash,
    nextValidatorsHash: setHash,
    gasUsed: 0,
  };
  return { chainId: headerHash(header), header, validators, state };
}

/** Returns the state key of the validators from a height on. */
export function validatorsKey(height: number): string {
  return `system/validators/${height.toString(16).padStart(12, "0")}`;
}

/** The entry that lets the node of a member or candidate send transactions by itself. */
export function nodeAccount(member: string, name: string) {
  return { member, name, roles: ["node"], status: "active" };
}

/** Role of the accounts that approve changes of the validator set. */
export const administratorRole = "administrator";

function administratorsOf({ accounts }: Genesis): string[] {
  const found = accounts.filter(({ roles }) => roles.includes(administratorRole));
  return found.map(({ did }) => did).sort();
}

function validatorsOf({ members }: Genesis): PublicKey[] {
  return members.map(({ validatorKey }) => publicKeyOf(validatorKey)).sort();
}

function genesisState(genesis: Genesis): [string, string][] {
  const { name, engineHash } = genesis;
  const entries: [string, unknown][] = [
    ["system/chain/info", { name, engineHash }],
    ["system/chain/administrators", administratorsOf(genesis)],
    [validatorsKey(1), validatorsOf(genesis).map(didOf)],
  ];
  for (const { id, ...member } of genesis.members) {
    entries.push([`system/member/${id}`, member]);
    entries.push([`system/node/${member.peerKey}`, nodeAccount(id, member.name)]);
  }
  for (const [role, description] of Object.entries(genesis.roles))
    entries.push([`system/role/${role}`, { description }]);
  for (const table of ["account", "device"] as const)
    for (const { did, ...account } of genesis[`${table}s`])
      entries.push([`system/${table}/${did}`, { ...account, status: "active" }]);
  for (const { name, source, ...description } of genesis.contracts)
    entries.push([`system/contract/${name}`, { ...description, bundleHash: hashOf(utf8(source)) }]);
  for (const [parameter, value] of Object.entries(genesis.parameters))
    entries.push([`system/parameter/${parameter}`, value]);
  return entries
    .map(([key, value]): [string, string] => [key, canonicalJson(JSON.stringify(value))])
    .sort(([left], [right]) => compareUtf8(left, right));
}

function checkedUnique(genesis: Genesis): Genesis {
  const unique = (path: string, values: readonly string[]) => {
    if (new Set(values).size !== values.length)
      throw new LedgerError("GENESIS_INVALID", { path, reason: "a value occurs twice" });
  };
  const { members, accounts, devices, contracts } = genesis;
  unique(
    "members.id",
    members.map(({ id }) => id),
  );
  // One key, one purpose: a key that signs votes must not also sign transactions.
  unique("keys", [
    ...members.flatMap(({ validatorKey, peerKey }) => [validatorKey, peerKey]),
    ...[...accounts, ...devices].map(({ did }) => did),
  ]);
  unique(
    "contracts.name",
    contracts.map(({ name }) => name),
  );
  if (contracts.some(({ name }) => name === systemContract))
    throw new LedgerError("GENESIS_INVALID", { path: "contracts.name", reason: "it is taken" });
  if (administratorsOf(genesis).length > limits.administratorsMax)
    throw new LedgerError("GENESIS_INVALID", {
      path: "accounts",
      reason: "too many administrators",
    });
  const ids = new Set(members.map(({ id }) => id));
  for (const { did, member } of [...accounts, ...devices])
    if (!ids.has(member))
      throw new LedgerError("GENESIS_INVALID", { path: did, reason: `no member "${member}"` });
  return genesis;
}

/** Says why a text is no did:key that may be enrolled (D6). */
function didProblem(text: string): string | undefined {
  try {
    checkPublicKey(publicKeyOf(text));
    return undefined;
  } catch (error) {
    return `no usable Ed25519 did:key: ${caughtAs(error, "KEY_INVALID").facts.reason}`;
  }
}

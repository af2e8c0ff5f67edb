/**
 * Genesis files: what is refused, and that the chain id binds what it must.
 *
 * Shown able to fail: without `checkPublicKey`; with `JSON.parse` instead of the scanner.
 */
import { describe, expect, it } from "vitest";
import { isLedgerError } from "../../../../src/base/errors.ts";
import { didOf } from "../../../../src/base/format/did.ts";
import {
  administratorRole,
  type Genesis,
  genesisBlock,
  parseGenesis,
} from "../../../../src/base/format/genesis.ts";
import { limits } from "../../../../src/base/limits.ts";
import { nativeSigner } from "../../../../src/node/native-crypto.ts";
import edge from "../../../golden/ed25519-edge.json" with { type: "json" };
import { genesis } from "../../../helpers/evidence-chain.ts";

const text = JSON.stringify(genesis);
const [member, ...members] = genesis.members;
const [account] = genesis.accounts;
const [contract] = genesis.contracts;
if (member === undefined || account === undefined || contract === undefined)
  throw new Error("the genesis has members, accounts and contracts");

function refusal(source: string): string | undefined {
  try {
    parseGenesis(source);
    return undefined;
  } catch (error) {
    if (!isLedgerError(error, "GENESIS_INVALID")) throw error;
    return `${error.facts.path}: ${error.facts.reason}`;
  }
}

const changed = (change: object) => refusal(JSON.stringify({ ...genesis, ...change }));

describe("a genesis file", () => {
  it("gives itself back, and the same chain id whatever the order of its fields", () => {
    expect(parseGenesis(text)).toEqual(genesis);
    const reordered = Object.fromEntries(Object.entries(genesis).toReversed());
    const again = parseGenesis(JSON.stringify(reordered, undefined, 2));
    expect(genesisBlock(again).chainId).toBe(genesisBlock(genesis).chainId);
  });

  it.each(edge.keys.filter(({ enrolled }) => !enrolled))("with a key $name is refused", (key) => {
    const did = didOf(key.publicKey);
    for (const field of ["validatorKey", "peerKey"])
      expect(changed({ members: [{ ...member, [field]: did }, ...members] })).toMatch(
        `members.0.${field}: no usable Ed25519 did:key`,
      );
    expect(changed({ accounts: [{ ...account, did }] })).toMatch("accounts.0.did");
  });

  const gas = (callGasMax: number) => ({ parameters: { ...genesis.parameters, callGasMax } });

  it.each<[string, object, string]>([
    ["a key for two purposes", { members: [{ ...member, peerKey: member.validatorKey }] }, "keys"],
    ["a member twice", { members: [member, member] }, "members.id"],
    ["no member", { members: [] }, "members"],
    ["an account of no member", { accounts: [{ ...account, member: "nobody" }] }, account.did],
    ["a contract twice", { contracts: [contract, contract] }, "contracts.name"],
    [
      "a contract named as the system",
      { contracts: [{ ...contract, name: "system" }] },
      "it is taken",
    ],
    ["a fraction", { timestampMs: 1.5 }, "not permitted JSON"],
    ["an unknown field", { extra: 1 }, ""],
    ["another format", { format: "loopledger-genesis-v1" }, "format"],
    ["a parameter missing", { parameters: {} }, "parameters.blockGasMax"],
    ["more gas a call than a node runs", gas(limits.callGasMax + 1), "parameters.callGasMax"],
    ["less gas a call than any call needs", gas(limits.callGasMin - 1), "parameters.callGasMax"],
  ])("with %s is refused", (_, change, reason) => {
    expect(changed(change)).toContain(reason);
  });

  it("with more administrators than a ledger keeps approvals of is refused", () => {
    const administrators = (count: number) => {
      const accounts = Array.from({ length: count }, (_, index) => ({
        ...account,
        did: didOf(nativeSigner(new Uint8Array(32).fill(150 + index)).publicKey),
        roles: [administratorRole],
      }));
      return changed({ accounts });
    };
    expect(administrators(limits.administratorsMax)).toBeUndefined();
    expect(administrators(limits.administratorsMax + 1)).toBe("accounts: too many administrators");
  });

  it("that JSON.parse would read in silence is refused", () => {
    expect(refusal(text.replace('"name":', '"name":"other","name":'))).toContain("twice");
    expect(refusal(text.replace('"roles":{', '"roles":{"__proto__":"x",'))).toContain("__proto__");
    expect(refusal(`${text}x`)).toContain("the end");
  });
});

describe("the chain id", () => {
  const chainIdOf = (change: Partial<Genesis>) => genesisBlock({ ...genesis, ...change }).chainId;
  const changes: readonly Partial<Genesis>[] = [
    { name: "other" },
    { timestampMs: genesis.timestampMs + 1 },
    { engineHash: "ab".repeat(32) },
    { parameters: { ...genesis.parameters, clockDriftMs: 1 } },
    { roles: {} },
    { members },
    { members: [{ ...member, name: "Renamed" }, ...members] },
    { accounts: [{ ...account, roles: ["gateway"] }] },
    { accounts: [], devices: [...genesis.devices, account] },
    { contracts: [{ ...contract, source: "// changed" }] },
    { contracts: [{ ...contract, views: ["more"] }] },
  ];

  it("changes with every part of the file", () => {
    const ids = [genesisBlock(genesis).chainId, ...changes.map(chainIdOf)];
    expect(new Set(ids).size).toBe(changes.length + 1);
  });
});

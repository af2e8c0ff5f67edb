/**
 * Makes a genesis file: takes what the founders decide (members, accounts, devices, parameters)
 * and adds what follows from this program: the engine and the bundles of the standard contracts
 * with the hashes of their images.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { LedgerError } from "../base/errors.ts";
import {
  administratorRole,
  defaultParameters,
  type Genesis,
  type LedgerParameters,
  parseGenesis,
} from "../base/format/genesis.ts";
import { ContractRuntime } from "../contracts/runtime.ts";
import { nativeStrictVerifier } from "./native-crypto.ts";

/** What the founders decide. */
export type GenesisPlan = Pick<Genesis, "name" | "timestampMs" | "members"> & {
  readonly accounts: Genesis["accounts"];
  readonly devices: Genesis["devices"];
  readonly parameters?: Partial<LedgerParameters>;
  /** Further roles beside the standard ones, with a description each. */
  readonly roles?: Readonly<Record<string, string>>;
};

/** A contract as it goes into the genesis. */
export type ContractSource = { readonly name: string; readonly source: string };

/** Roles every ledger starts with. */
export const standardRoles: Readonly<Record<string, string>> = {
  [administratorRole]: "approves changes of the validators",
  operator: "registers meters and publishes tariffs",
  biller: "makes bills",
  gateway: "reports readings of the meters assigned to it",
  node: "is the node of a member or candidate",
};

/** Where the build puts the bundles; the same place from `src` and from `dist`. */
const bundleFolder = fileURLToPath(new URL("../../dist/contracts-bundles", import.meta.url));

/** Reads the bundles of the standard contracts. @throws {LedgerError} CONTRACTS_NOT_BUILT */
export function standardContracts(folder: string = bundleFolder): ContractSource[] {
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith(".js"))
      .sort()
      .map((file) => ({
        name: file.slice(0, -".js".length),
        source: readFileSync(`${folder}/${file}`, "utf8"),
      }));
  } catch (cause) {
    throw new LedgerError("CONTRACTS_NOT_BUILT", { folder }, { cause });
  }
}

/**
 * Makes and checks a genesis.
 *
 * @throws {LedgerError} GENESIS_INVALID when the plan does not hold together.
 */
export async function makeGenesis(
  plan: GenesisPlan,
  contracts: readonly ContractSource[],
): Promise<Genesis> {
  const runtime = await ContractRuntime.create({ verifier: nativeStrictVerifier });
  const installed: Genesis["contracts"] = [];
  for (const { name, source } of contracts) {
    const { imageHash, description } = await runtime.install(name, source);
    const methods = Object.fromEntries(
      Object.entries(description.methods).map(([method, { roles }]) => [
        method,
        { roles: [...roles] },
      ]),
    );
    installed.push({ name, source, imageHash, methods, views: [...description.views] });
  }
  const { engineHash } = runtime;
  await runtime.close();
  const genesis = {
    format: "loopledger-genesis-v0",
    name: plan.name,
    timestampMs: plan.timestampMs,
    engineHash,
    parameters: { ...defaultParameters, ...plan.parameters },
    roles: { ...standardRoles, ...plan.roles },
    members: plan.members,
    accounts: plan.accounts,
    devices: plan.devices,
    contracts: installed,
  };
  return parseGenesis(JSON.stringify(genesis));
}

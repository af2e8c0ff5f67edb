/**
 * Reads the documented state of the system contract (D19) without a call: senders, contracts,
 * parameters, validators. Layout: src/base/format/genesis.ts.
 *
 * Entries are parsed once a text and kept, for they are read with every transaction and change
 * seldom. The texts come from our own state, so a malformed one is a broken invariant.
 */
import { assert } from "../base/assert.ts";
import { type Did, didOf, publicKeyOf } from "../base/format/did.ts";
import {
  defaultParameters,
  type LedgerParameters,
  systemContract,
} from "../base/format/genesis.ts";
import { windowPrefix } from "../base/format/replay-window.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import { systemEntry } from "./system/system-caller.ts";
import type { StateChange, StateReader } from "./types.ts";

/** Who may send: an account, a device, or the node of a member or candidate. */
export type SenderEntry = {
  readonly did: Did;
  readonly member: string;
  readonly name: string;
  readonly roles: readonly string[];
  readonly status: string;
};

/** An installed contract, as far as admission needs it. */
export type ContractEntry = {
  readonly bundleHash: string;
  readonly imageHash: string;
  readonly methods: Readonly<Record<string, { readonly roles: readonly string[] }>>;
  readonly views: readonly string[];
};

/** Parsed system entries, kept by their texts. Holds no state of the ledger. */
export class SystemEntries {
  readonly #parsed = new Map<string, object>();
  readonly #dids = new Map<PublicKey, Did>();

  /** Returns the did:key of a public key; making one takes longer than all other lookups. */
  didOf(publicKey: PublicKey): Did {
    let did = this.#dids.get(publicKey);
    if (did === undefined) {
      did = didOf(publicKey);
      keep(this.#dids, publicKey, did);
    }
    return did;
  }

  /** Returns the account or device of a did; `undefined` when it is not enrolled. */
  sender(state: StateReader, did: Did): SenderEntry | undefined {
    const value =
      state.get(`system/account/${did}`) ??
      state.get(`system/device/${did}`) ??
      state.get(`system/node/${did}`);
    if (value === undefined) return undefined;
    return { ...this.#parse<Omit<SenderEntry, "did">>(value), did };
  }

  /** Returns an installed contract that may be called; `undefined` when there is none. */
  contract(state: StateReader, name: string): ContractEntry | undefined {
    if (name === systemContract) return systemEntry;
    const value = state.get(`system/contract/${name}`);
    return value === undefined ? undefined : this.#parse<ContractEntry>(value);
  }

  #parse<T extends object>(value: string): T {
    let parsed = this.#parsed.get(value);
    if (parsed === undefined) {
      parsed = JSON.parse(value) as T;
      keep(this.#parsed, value, parsed);
    }
    return parsed as T;
  }
}

/** Returns the roles that may call a method; `undefined` when the contract has no such method. */
export function rolesOfMethod(
  contract: ContractEntry,
  method: string,
): readonly string[] | undefined {
  // `constructor` is a permitted name, so inherited properties must not be found.
  return Object.hasOwn(contract.methods, method) ? contract.methods[method]?.roles : undefined;
}

/** Reads the ledger parameters that hold for the block after this state. */
export function readParameters(state: StateReader): LedgerParameters {
  const entries = Object.keys(defaultParameters).map((name): [string, number] => {
    const value = state.get(`system/parameter/${name}`);
    assert(value !== undefined, "every ledger parameter is in the state");
    return [name, Number(value)];
  });
  return Object.fromEntries(entries) as LedgerParameters;
}

/** Members, whose keys are the validators. */
export const memberPrefix = "system/member/";

/** Reads the validators of the height after this state, sorted ascending. */
export function readValidators(state: StateReader): readonly PublicKey[] {
  const rows = state.range({
    from: memberPrefix,
    to: "system/member0",
    reverse: false,
    limit: limits.validatorsMax + 1,
  });
  const keys = rows.map(([, value]) => {
    const member = JSON.parse(value) as { readonly validatorKey: Did };
    return publicKeyOf(member.validatorKey);
  });
  assert(keys.length >= 1, "a ledger has a validator");
  assert(keys.length <= limits.validatorsMax, "a ledger has no more validators than permitted");
  return keys.sort();
}

const validatorsPrefix = "system/validators/";

/** A block after which the validators changed, and who they are then, sorted ascending. */
export type ValidatorsRow = { readonly height: number; readonly validators: readonly PublicKey[] };

/** Returns all changes of the validators since the genesis, ascending. */
export function readValidatorsRows(state: StateReader): ValidatorsRow[] {
  const range = { from: validatorsPrefix, to: "system/validators0", reverse: false };
  const entries = state.range({ ...range, limit: limits.snapshotValidatorChangesMax + 1 });
  const rows = entries.map(([key, value]) => ({
    height: Number.parseInt(key.slice(validatorsPrefix.length), 16) - 1,
    validators: (JSON.parse(value) as string[]).map(publicKeyOf),
  }));
  // The first row is the genesis'.
  return rows.filter(({ height }) => height > 0);
}

/** Replay windows are system keys, but nobody's right to send depends on another's window. */
export function isSystemChange([key]: StateChange): boolean {
  return key.startsWith("system/") && !key.startsWith(windowPrefix);
}

function keep<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (map.size >= limits.systemEntriesMax) map.clear();
  map.set(key, value);
}

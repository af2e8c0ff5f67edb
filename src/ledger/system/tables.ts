/**
 * The tables of the system contract that change while the ledger runs, besides those of the genesis
 * (src/base/format/genesis.ts). All values are canonical JSON; contracts may read them.
 *
 * | key | value |
 * |---|---|
 * | `system/candidate/<id>` | `{"address"?,"admittedAtHeight","name","peerKey","validatorKey"}` |
 * | `system/ready/<id>` | `{"atMs","blockHash","height"}`: a candidate's last ready statement, with the time of its block |
 * | `system/former/<id>` | `{"peerKey","removedAtHeight","removedAtMs","validatorKey"}`: who was a member |
 * | `system/equivocation/<did>/<height>/<kind>/<round>` | see report-equivocation.ts; height in 14 hexadecimal digits |
 * | `system/change/<hash>` | `{"approvedBy":[did, ...],"change","firstAtMs"}`: open changes |
 */
import { assert } from "../../base/assert.ts";
import { compareUtf8 } from "../../base/bytes.ts";
import { type Did, publicKeyOf } from "../../base/format/did.ts";
import { type Member, nodeAccount, validatorsKey } from "../../base/format/genesis.ts";
import { encodeJson, type JsonValue } from "../../base/format/json.ts";
import type { ValidatorChange } from "../../base/format/validator-change.ts";
import type { Hash } from "../../base/hash.ts";
import { limits } from "../../base/limits.ts";
import type { StateReader } from "../types.ts";

/** A member or candidate without its id, which is in the key. */
type MemberEntry = Omit<Member, "id">;
type CandidateEntry = MemberEntry & { readonly admittedAtHeight: number };

/** A candidate's last ready statement. */
export type ReadyEntry = {
  readonly height: number;
  readonly blockHash: Hash;
  /** Time of the block that holds it, UTC milliseconds. */
  readonly atMs: number;
};

/** Who was a member and may still fetch the blocks that say so. */
export type FormerEntry = {
  readonly peerKey: Did;
  readonly validatorKey: Did;
  readonly removedAtHeight: number;
  readonly removedAtMs: number;
};

/** An open change. */
export type ChangeEntry = {
  readonly change: ValidatorChange;
  /** Ascending, each once. */
  readonly approvedBy: readonly Did[];
  readonly firstAtMs: number;
};

/** Values of the tables, by table. */
type Tables = {
  readonly member: MemberEntry;
  readonly candidate: CandidateEntry;
  readonly ready: ReadyEntry;
  readonly former: FormerEntry;
  readonly change: ChangeEntry;
};

/** A state that takes changes. */
export interface WritableState extends StateReader {
  set(key: string, value: string | undefined): unknown;
}

/** More rows than any of these tables can have. */
const rowsMax = Math.max(
  limits.validatorsMax + 1,
  limits.administratorsMax * limits.changesPerAdministratorMax + 1,
);

/** Reads a row; `undefined` when there is none. */
export function readRow<T extends keyof Tables>(
  state: StateReader,
  table: T,
  id: string,
): Tables[T] | undefined {
  const text = state.get(`system/${table}/${id}`);
  return text === undefined ? undefined : (JSON.parse(text) as Tables[T]);
}

/** Writes a row, or deletes it. */
export function writeRow<T extends keyof Tables>(
  state: WritableState,
  [table, id]: readonly [table: T, id: string],
  row: Tables[T] | undefined,
): void {
  state.set(`system/${table}/${id}`, row && encodeJson(row as JsonValue));
}

/** Lists a table by id. `former` may be longer than what is listed; ask for its rows by id. */
export function readTable<T extends Exclude<keyof Tables, "former">>(
  state: StateReader,
  table: T,
): readonly (readonly [id: string, row: Tables[T]])[] {
  const prefix = `system/${table}/`;
  const range = { from: prefix, to: `system/${table}0`, reverse: false, limit: rowsMax };
  return state
    .range(range)
    .map(([key, text]) => [key.slice(prefix.length), JSON.parse(text) as Tables[T]] as const);
}

/** Reads the administrators of the genesis, ascending. */
export function readAdministrators(state: StateReader): readonly Did[] {
  const text = state.get("system/chain/administrators");
  assert(text !== undefined, "the administrators are in the state");
  return JSON.parse(text) as readonly Did[];
}

/** Lets the node of a member or candidate send transactions, or lets it no more. */
export function writeNode(
  state: WritableState,
  peerKey: Did,
  node: { readonly id: string; readonly name: string } | undefined,
): void {
  const entry = node && nodeAccount(node.id, node.name);
  state.set(`system/node/${peerKey}`, entry && encodeJson(entry));
}

/** First height of the set that holds now, and its key in the state. */
export function validSince(state: StateReader): number {
  const [row] = state.range({
    from: "system/validators/",
    to: "system/validators0",
    reverse: true,
    limit: 1,
  });
  assert(row !== undefined, "the validators of the genesis are in the state");
  return Number.parseInt(row[0].slice("system/validators/".length), 16);
}

/** Notes the validators that hold from a height on: those of the member table. */
export function writeValidators(state: WritableState, height: number): void {
  const dids = readTable(state, "member").map(([, { validatorKey }]) => validatorKey);
  // In the order of the raw keys, which is that of a certificate's indexes.
  const keyed = dids.map((did) => [publicKeyOf(did), did] as const);
  keyed.sort(([left], [right]) => compareUtf8(left, right));
  state.set(validatorsKey(height), encodeJson(keyed.map(([, did]) => did)));
}

/**
 * The state at the base of a store, read from the history, and the proof that it is the certified
 * one: what a rebuild and `chain verify` begin with when the blocks below are not here.
 */
import { isLedgerError } from "../base/errors.ts";
import type { GenesisBlock } from "../base/format/genesis.ts";
import { valueHashOf } from "../base/hash.ts";
import type { Verifier } from "../base/keys.ts";
import { verifyCertificate } from "../base/proof/certificate.ts";
import { type CertifiedChange, ValidatorSets } from "../base/proof/validator-sets.ts";
import {
  type Base,
  baseCorrupt,
  type KeptHeader,
  readAllKept,
  readBaseHeader,
  readBaseHeaders,
} from "./base-record.ts";
import { type Database, entriesOf } from "./database.ts";
import { decodeHistory } from "./history.ts";
import { decodeRecord, familyRange, heightOfKey, stateKeyOf } from "./records.ts";
import { StateTree } from "./state-tree.ts";
import { readValidatorsRows } from "./system-entries.ts";
import type { StateReader } from "./types.ts";

/** A value of the state at the base, and the height of its record in the history. */
export type BaseEntry = {
  readonly key: string;
  readonly value: string;
  readonly writtenAt: number;
};

/**
 * Reads all entries of the state at the base, ascending by key, and checks that they are all.
 *
 * @throws {LedgerError} LEDGER_BASE_CORRUPT
 */
export async function readBaseState(database: Database, base: Base): Promise<BaseEntry[]> {
  const { header } = await readBaseHeader(database, base);
  const entries: BaseEntry[] = [];
  try {
    for await (const entry of lastEntries(database, base.height)) entries.push(entry);
  } catch (cause) {
    if (!isLedgerError(cause) || cause.code === "LEDGER_STORE_CLOSED") throw cause;
    throw baseCorrupt(base.height, cause.message, cause);
  }
  // In the history shorter keys come first.
  entries.sort((left, right) => Buffer.compare(Buffer.from(left.key), Buffer.from(right.key)));
  const tree = StateTree.fromSorted(entries.map(({ key, value }) => [key, valueHashOf(value)]));
  if (tree.root === header.stateRoot) return entries;
  throw baseCorrupt(base.height, `the history leads to root ${tree.root}`);
}

/**
 * Checks that the base is certified, from the validators of the genesis on, and that the kept
 * headers are those of its chain.
 *
 * @param state - The whole state at the base, proven by the root of its header.
 * @returns The kept headers, ascending by height.
 * @throws {LedgerError} LEDGER_BASE_CORRUPT
 */
export async function checkBase(
  database: Database,
  base: Base,
  context: {
    readonly genesis: GenesisBlock;
    readonly verifier: Verifier;
    readonly state: StateReader;
  },
): Promise<KeptHeader[]> {
  const kept = await readAllKept(database, base.height);
  const linked = new Set(
    (await readBaseHeaders(database, base)).map(({ header }) => header.height),
  );
  const { genesis, state, verifier } = context;
  try {
    const sets = new ValidatorSets(genesis, verifier);
    for (const change of changesOf(kept, state)) sets.followOne(change);
    for (const { header, certificate } of kept) {
      if (certificate === undefined && linked.has(header.height)) continue;
      if (certificate === undefined || header.height > base.height)
        throw baseCorrupt(base.height, `nothing proves the kept header of ${header.height}`);
      const validators = sets.at(header.height);
      verifyCertificate(certificate, header, { chainId: genesis.chainId, validators, verifier });
    }
  } catch (cause) {
    if (!isLedgerError(cause)) throw cause;
    throw baseCorrupt(base.height, cause.message, cause);
  }
  return kept;
}

function changesOf(kept: readonly KeptHeader[], state: StateReader): CertifiedChange[] {
  const byHeight = new Map(kept.map((each) => [each.header.height, each]));
  return readValidatorsRows(state).flatMap(({ height, validators }) => {
    const { header, certificate } = byHeight.get(height) ?? {};
    // Without it the validators of the next change will not fit.
    return header && certificate ? [{ header, certificate, validators }] : [];
  });
}

/** The last entry of each key up to a height, unless it says that the key was deleted. */
async function* lastEntries(database: Database, height: number): AsyncGenerator<BaseEntry> {
  let last: { readonly key: string; readonly record: Uint8Array } | undefined;
  for await (const [key, record] of entriesOf(database, familyRange("h"))) {
    if (last !== undefined && stateKeyOf(last.key) !== stateKeyOf(key)) {
      yield* entryOf(last);
      last = undefined;
    }
    if ((heightOfKey(key) ?? 0) <= height) last = { key, record };
  }
  if (last !== undefined) yield* entryOf(last);
}

function* entryOf(found: {
  readonly key: string;
  readonly record: Uint8Array;
}): Generator<BaseEntry> {
  const value = decodeHistory(decodeRecord(found.key, found.record));
  const writtenAt = heightOfKey(found.key) as number;
  if (value !== undefined) yield { key: stateKeyOf(found.key), value, writtenAt };
}

/**
 * Reads from the ledger who the validators were, and proves it: the state lists the heights at
 * which the set changed, the blocks there have the certified headers.
 */
import { bytesToHex, hexToBytes } from "../base/bytes.ts";
import { decodeHeader, encodeHeader, type Header } from "../base/format/block.ts";
import type { Did } from "../base/format/did.ts";
import { validatorsKey } from "../base/format/genesis.ts";
import { type Certificate, encodeCertificate } from "../base/format/message.ts";
import type { SetChange } from "../base/format/set-change.ts";
import type { StateReader } from "../ledger/types.ts";

/** A set with its first height. */
export type SetSince = { readonly from: number; readonly validators: readonly Did[] };

/** What is needed of the store: headers of changes are there also where blocks were pruned. */
export interface CertifiedHeaders {
  readCertified(
    height: number,
  ): Promise<
    { readonly header: Header; readonly certificate?: Certificate | undefined } | undefined
  >;
}

/** Changes proven at once; each is some 10 KB. */
const changesMax = 64;
const end = "system/validators0";

/** Returns the validators of a height, which may be that after the tip. */
export function validatorsAt(
  state: Pick<StateReader, "range">,
  height: number,
): SetSince | undefined {
  const range = { from: validatorsKey(1), to: validatorsKey(height + 1) };
  const [row] = state.range({ ...range, reverse: true, limit: 1 });
  return row && setOf(row);
}

/**
 * Proves the changes after a height, ascending, at most `changesMax`: ask again after the last.
 *
 * @param from - First height of the last set that is known: 1 for that of the genesis.
 */
export async function readSetChanges(
  state: Pick<StateReader, "range">,
  headers: CertifiedHeaders,
  from: number,
): Promise<SetChange[]> {
  const range = { from: validatorsKey(from + 1), to: end, reverse: false, limit: changesMax };
  const changes: SetChange[] = [];
  for (const row of state.range(range)) {
    const { from: since, validators } = setOf(row);
    const found = await headers.readCertified(since - 1);
    if (found?.certificate === undefined) break;
    const header = bytesToHex(encodeHeader(found.header));
    const certificate = bytesToHex(encodeCertificate(found.certificate));
    changes.push({ header, certificate, validators: [...validators] });
  }
  return changes;
}

/** Proves all changes since the genesis, ascending. */
export async function allSetChanges(
  state: Pick<StateReader, "range">,
  headers: CertifiedHeaders,
): Promise<SetChange[]> {
  const all: SetChange[] = [];
  for (let from = 1; ; ) {
    const changes = await readSetChanges(state, headers, from);
    all.push(...changes);
    const last = changes.at(-1);
    if (last === undefined) return all;
    from = decodeHeader(hexToBytes(last.header)).height + 1;
  }
}

function setOf([key, text]: readonly [key: string, text: string]): SetSince {
  const from = Number.parseInt(key.slice(key.lastIndexOf("/") + 1), 16);
  return { from, validators: JSON.parse(text) as Did[] };
}

/**
 * Reads from the ledger who the validators were, and proves it: the state lists the heights at
 * which the set changed, the blocks there have the certified headers.
 */
import { bytesToHex } from "../base/bytes.ts";
import { type Block, encodeHeader } from "../base/format/block.ts";
import type { Did } from "../base/format/did.ts";
import { validatorsKey } from "../base/format/genesis.ts";
import { type Certificate, encodeCertificate } from "../base/format/message.ts";
import type { SetChange } from "../base/format/set-change.ts";
import type { StateReader } from "../ledger/types.ts";

/** A set with its first height. */
export type SetSince = { readonly from: number; readonly validators: readonly Did[] };

/** What is needed of the ledger. */
interface BlockLedger {
  readonly state: Pick<StateReader, "range">;
  readBlock(
    height: number,
  ): Promise<{ readonly block: Block; readonly certificate?: Certificate | undefined } | undefined>;
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
export async function readSetChanges(ledger: BlockLedger, from: number): Promise<SetChange[]> {
  const range = { from: validatorsKey(from + 1), to: end, reverse: false, limit: changesMax };
  const changes: SetChange[] = [];
  for (const row of ledger.state.range(range)) {
    const { from: since, validators } = setOf(row);
    const stored = await ledger.readBlock(since - 1);
    if (stored?.certificate === undefined) break;
    const header = bytesToHex(encodeHeader(stored.block.header));
    const certificate = bytesToHex(encodeCertificate(stored.certificate));
    changes.push({ header, certificate, validators: [...validators] });
  }
  return changes;
}

function setOf([key, text]: readonly [key: string, text: string]): SetSince {
  const from = Number.parseInt(key.slice(key.lastIndexOf("/") + 1), 16);
  return { from, validators: JSON.parse(text) as Did[] };
}

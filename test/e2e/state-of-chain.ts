/**
 * The whole state of a ledger as it follows from what its API tells: the genesis, the changes that
 * receipts list, and the replay windows. Its root is computed here, so it shows that nothing else
 * changed.
 */
import { compareUtf8 } from "../../src/base/bytes.ts";
import { genesisBlock } from "../../src/base/format/genesis.ts";
import { windowKey } from "../../src/base/format/replay-window.ts";
import { type Hash, valueHashOf } from "../../src/base/hash.ts";
import type { LedgerClient } from "../../src/client/client.ts";
import { StateTree } from "../../src/ledger/state-tree.ts";
import type { TestDevnet } from "../helpers/devnet.ts";

/** Hashes of all values by key. */
export type StateHashes = Map<string, Hash>;

/** Follows the state of a chain through its receipts, up to a height. */
export async function stateHashesAt(
  { genesis }: TestDevnet,
  client: LedgerClient,
  height: number,
): Promise<StateHashes> {
  const { state } = genesisBlock(genesis);
  const hashes: StateHashes = new Map(state.map(([key, value]) => [key, valueHashOf(value)]));
  for (let each = 1; each <= height; each += 1) {
    const { transactions } = await client.block(each);
    for (const { id } of transactions) {
      const status = await client.transaction(id);
      if (status?.status !== "final") throw new Error(`${id} is in a block but not final`);
      for (const { key, valueHash } of status.receipt.changes)
        if (valueHash === null) hashes.delete(key);
        else hashes.set(key, valueHash);
    }
    for (const did of new Set(transactions.map(({ sender }) => sender)))
      await setWindow(hashes, client, { did, height: each });
  }
  return hashes;
}

/** Puts in the window that a sender has after a height. */
export async function setWindow(
  hashes: StateHashes,
  client: LedgerClient,
  { did, height }: { readonly did: string; readonly height: number },
): Promise<void> {
  const { text } = await client.state(windowKey(did), { height });
  if (text !== null) hashes.set(windowKey(did), valueHashOf(text));
}

/** Returns the state root of such a state. */
export function rootOf(hashes: StateHashes): Hash {
  const sorted = [...hashes].sort(([left], [right]) => compareUtf8(left, right));
  return StateTree.fromSorted(sorted).root;
}

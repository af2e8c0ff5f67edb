/**
 * Blocks that are on a disk though no life lived to tell of them: the write had begun when the
 * process ended, and arrived. With a single validator nobody else can tell.
 */
import { decodeReceipt } from "../../../src/base/format/receipt.ts";
import type { Ledger } from "../../../src/ledger/ledger.ts";
import type { Appended } from "../../../src/ledger/ledger-types.ts";

/** What is told of a block, as far as it matters here. */
export type ToldBlock = Pick<Appended, "block" | "certificate" | "receipts">;

/** Reads the blocks above a height. */
export async function untoldBlocks(ledger: Ledger, above: number): Promise<ToldBlock[]> {
  const untold: ToldBlock[] = [];
  for (let height = above + 1; height <= ledger.tip.height; height += 1) {
    const stored = await ledger.readBlock(height);
    // Below a base there is nothing; such a block came from others.
    if (stored?.certificate === undefined) return [];
    const receipts = (await ledger.readReceipts(height)).map(decodeReceipt);
    untold.push({ block: stored.block, certificate: stored.certificate, receipts });
  }
  return untold;
}

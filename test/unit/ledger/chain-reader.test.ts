/**
 * What the reading side keeps in memory. What it reads and proves is tested through the ledger.
 *
 * Mutation that must fail here: counting receipts instead of their bytes.
 */
import { expect, it } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import { ChainReader } from "../../../src/ledger/chain-reader.ts";
import type { LedgerStore } from "../../../src/ledger/store.ts";

it("keeps recent blocks up to a sum of bytes, so that large events cannot fill the memory", async () => {
  const read: number[] = [];
  const store: Pick<LedgerStore, "readReceipts"> & { tip: { height: number } } = {
    tip: { height: 5 },
    readReceipts: async (height) => {
      read.push(height);
      return [];
    },
  };
  const reader = new ChainReader(store as LedgerStore);
  const bytes = Math.floor(limits.recentReceiptBytesMax / 3);
  for (let height = 1; height <= 5; height += 1)
    reader.remember(height, { receipts: [], events: [], bytes });
  await reader.events({ fromHeight: 1, fromIndex: 0, limit: 10 });
  expect(read).toEqual([1, 2]);
});

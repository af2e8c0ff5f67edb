/** The block that must be on the chain because somebody's configuration says so. */
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { Block } from "../base/format/block.ts";
import type { Checkpoint } from "./snapshot-verify.ts";
import type { LedgerStore } from "./store.ts";

/**
 * Compares the chain of a store with a checkpoint. What was pruned was compared when it came.
 *
 * @throws {LedgerError} LEDGER_CHECKPOINT_DIFFERS; what reading throws.
 */
export async function checkCheckpoint(
  store: LedgerStore,
  checkpoint: Checkpoint | undefined,
): Promise<void> {
  const { height = 0 } = checkpoint ?? {};
  if (height === 0 || height > store.tip.height) return;
  const found = await store.readCertified(height).catch((error: unknown) => {
    if (isLedgerError(error, "LEDGER_PRUNED")) return undefined;
    throw error;
  });
  if (found !== undefined) compareCheckpoint(checkpoint, found);
}

/** Compares a block that is to be appended. @throws {LedgerError} LEDGER_CHECKPOINT_DIFFERS */
export function compareCheckpoint(
  checkpoint: Checkpoint | undefined,
  { hash: actual, header: { height } }: Pick<Block, "hash" | "header">,
): void {
  if (checkpoint === undefined || checkpoint.height !== height) return;
  const { hash: expected } = checkpoint;
  if (expected !== actual)
    throw new LedgerError("LEDGER_CHECKPOINT_DIFFERS", { height, expected, actual });
}

/** Whether a proposed block may be voted for, as far as this node can tell. */
import { LedgerError } from "../base/errors.ts";
import type { Block } from "../base/format/block.ts";
import type { DriverParts } from "./driver-types.ts";
import { isOwnFault } from "./own-fault.ts";

/**
 * Has the ledger check and run a block.
 *
 * @param fresh - It is proposed for the first time, so its time must be about now.
 * @returns False also when this node cannot run it, and the log says which. Throws only what no
 *   block can bring about.
 */
export async function isBlockValid(
  { ledger, clock, log }: Pick<DriverParts, "ledger" | "clock" | "log">,
  block: Block,
  fresh: boolean,
): Promise<boolean> {
  try {
    await ledger.checkBlock(block, { fresh, nowMs: clock.nowMs() });
    return true;
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    const { code, facts } = error;
    // Whoever proposes may have found a call that this node cannot run: that must not end it. If
    // the block is decided all the same, the append says so.
    const verdict = isOwnFault(error) ? "cannot be judged" : "is invalid";
    log.warn({ code, facts }, `a proposed block ${verdict}`);
    return false;
  }
}

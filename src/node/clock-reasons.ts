/**
 * Says when the clock of a node keeps it apart from the others: they refuse what it proposes, or it
 * refuses what they do, beyond the window of fresh proposals (docs/CONSENSUS.md, "Time").
 */
import { limits } from "../base/limits.ts";

/**
 * @param aheadMs - By how much most others are ahead of this node (`ClockWatch.offsetMs`).
 * @returns Words for readiness; none within the window.
 */
export function clockReasons(aheadMs: number): string[] {
  const isWithin = aheadMs <= limits.proposalFutureMsMax && aheadMs >= -limits.proposalPastMsMax;
  if (isWithin) return [];
  const seconds = Math.round(Math.abs(aheadMs) / 1_000);
  const direction = aheadMs > 0 ? "behind" : "ahead of";
  return [`the clock of this node is ${seconds} s ${direction} those of its peers`];
}

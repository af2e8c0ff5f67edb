/** Texts about nodes and failures of a run, for people. */
import type { WorldNode } from "./node.ts";

/** Tells in a few words how a node stands. */
export function describedNode(node: WorldNode, isHealthy: boolean): string {
  const { index, isLiar, running, life } = node;
  const kind = isLiar ? "liar" : isHealthy ? "healthy" : "faulty";
  if (running === undefined) return `${index} ${kind} ${life === undefined ? "down" : "opening"}`;
  const { height, round, phase, halted } = running.driver.status;
  const state = halted ?? (running.driver.isAbstaining ? "abstaining" : phase);
  const tip = running.ledger.tip.height;
  const paused = life?.isPaused === true ? " paused" : "";
  return `${index} ${kind}${paused} tip ${tip}, ${height}/${round} ${state}`;
}

/** Returns what is known of an error, its place too. */
export function described(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}

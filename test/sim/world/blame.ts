/** Watches whom nodes take for liars because of what they gossip. */
import { Violation } from "./checkers.ts";
import type { WorldNode } from "./node.ts";

/** A node refuses what a peer gossiped: only a liar may gossip such things. @throws {Violation} */
export function checkBlame(by: WorldNode, from: WorldNode): void {
  if (by.isLiar || from.isLiar) return;
  throw new Violation("blame", `node ${by.index} refuses what node ${from.index} gossips`);
}

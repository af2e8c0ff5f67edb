/** Watches the consensus cores of honest nodes. */
import type { ConsensusState } from "../../../src/consensus/state.ts";
import { Violation } from "./checkers.ts";
import type { WorldNode } from "./node.ts";

/**
 * Checks that the core of an honest node votes and is within its bounds; to be called now and then,
 * and before a crash, after which nobody would know.
 *
 * @throws {Violation}
 */
export function checkCore({ index, isLiar, running }: WorldNode): void {
  if (isLiar || running === undefined) return;
  const { core, status } = running.driver;
  if (status.halted !== undefined)
    throw new Violation("halt", `node ${index} votes no more: ${status.halted}`);
  checkMemory(core);
}

/** Checks the bounds of what a core keeps. @throws {Violation} */
function checkMemory(core: ConsensusState): void {
  const { validators, votes, roundChanges, blocks, future, own, record } = core;
  const count = validators.length;
  const fail = (what: string, size: number): never => {
    throw new Violation("memory", `a core keeps ${size} ${what}`);
  };
  // Rounds 16 above and below the own one.
  if (votes.size > 33) fail("rounds of votes", votes.size);
  for (const { prepares, commits } of votes.values())
    for (const { size } of [prepares, commits]) if (size > count) fail("votes of a round", size);
  if (roundChanges.size > count) fail("round changes", roundChanges.size);
  if (blocks.length > 4) fail("former blocks", blocks.length);
  if (future.size > 4 * count) fail("messages of the next height", future.size);
  if (own.length > 4) fail("own messages", own.length);
  if ((record?.claims.length ?? 0) > 4) fail("claims of a round", record?.claims.length ?? 0);
}

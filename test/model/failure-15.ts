/**
 * The schedule by which commits of different rounds, added up, would make a certificate for a block
 * that lost: n = 4, validator 3 lies. X is value 0, Y is value 1.
 *
 * Round 0: X is prepared, validator 0 alone learns it and commits X. Round 1: a quorum of round
 * changes without a prepared block, so Y is proposed, and prepared at validator 1. Round 2: the
 * round changes of 0, 2 and the liar bind X, which validator 2 commits. Round 3: those of 0, 1 and
 * the liar bind Y, prepared later, and Y is decided.
 */
import type { RoundMoves } from "./by-round.ts";

const none = undefined;

/** What validators 0, 1 and 2 do in rounds 0 to 3. */
export const failure15: readonly RoundMoves[] = [
  { proposed: 0, prepares: [0, 0, 0], commits: [0, none, none] },
  { proposed: 1, prepares: [none, 1, 1], commits: [none, 1, none] },
  { proposed: 0, prepares: [0, none, 0], commits: [none, none, 0] },
  { proposed: none, prepares: [1, 1, none], commits: [1, 1, none] },
];

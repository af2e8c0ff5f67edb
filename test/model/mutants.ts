/** Changes of the rules, each of which must cost agreement or liveness, or the model is blind. */
import type { Protocol } from "./types.ts";

/** Rules without which two blocks can be decided; `rounds` suffice for it. */
export const unsafeChanges: readonly {
  readonly name: string;
  readonly change: Partial<Protocol>;
  readonly rounds: number;
}[] = [
  { name: "a quorum of 2", change: { quorum: 2 }, rounds: 1 },
  { name: "justification unchecked", change: { checksJustification: false }, rounds: 2 },
  { name: "the prepared block not reported", change: { carriesPrepared: false }, rounds: 2 },
  { name: "a commit without prepares", change: { commitNeedsPrepares: false }, rounds: 2 },
  { name: "any reported round binds, not the highest", change: { highestBinds: false }, rounds: 3 },
  { name: "commits of different rounds add up", change: { commitCoversRound: false }, rounds: 4 },
];

/** Rules that are safe, and under which validator 0 can stop the others for good by its silence. */
export const deadChanges: readonly {
  readonly name: string;
  readonly change: Partial<Protocol>;
}[] = [
  { name: "a quorum of all", change: { quorum: 4 } },
  {
    name: "a block can be proposed again by its first proposer only",
    change: { keepsAuthor: false, authorOf: (value) => value },
  },
];

/** Which votes and blocks are kept, for how long, and what they add up to. */
import { describe, expect, it } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import type { RoundVotes } from "../../../src/consensus/state.ts";
import { findBlock, pruneVotes } from "../../../src/consensus/votes.ts";
import { keyOf } from "../../sim/fake-keys.ts";
import { blockBy, Probe, preparedBy, proposalOf, roundChangeOf, voteOf } from "../../sim/probe.ts";

const x = blockBy(0, "x");
const y = blockBy(1, "y");

/** Validator 3, brought to a round by others. */
const inRound = (round: number) =>
  new Probe(4, 3).hear(roundChangeOf(0, round), roundChangeOf(1, round));

describe("keeping votes", () => {
  it("measures the distance between the rounds, in both directions", () => {
    const far = limits.roundDistanceMax;
    const probe = inRound(20);
    for (const round of [20 - far - 1, 20 - far, 20 + far, 20 + far + 1])
      probe.hear(voteOf("commit", 0, { round, block: x }));
    expect([...probe.state.votes.keys()]).toEqual([20 - far, 20 + far]);
  });

  it("keeps prepares of the own round and later ones, commits of former ones too", () => {
    const probe = inRound(2);
    for (const round of [1, 2, 3]) {
      probe.hear(voteOf("prepare", 0, { round, block: x }));
      if (round === 1) probe.hear(voteOf("commit", 0, { round, block: x }));
    }
    const kept = [...probe.state.votes].map(([round, { prepares, commits }]) => [
      round,
      prepares.size,
      commits.size,
    ]);
    expect(kept).toEqual([
      [1, 0, 1],
      [2, 1, 0],
      [3, 1, 0],
    ]);
  });

  it("drops with a round what nobody needs any more", () => {
    const vote = (kind: "prepare" | "commit", round: number) => {
      const message = voteOf(kind, 0, { round, block: x });
      return new Map([[message.validator, message]]);
    };
    const round = 40;
    const far = round - limits.roundDistanceMax;
    const both = (of: number): [number, RoundVotes] => [
      of,
      { prepares: vote("prepare", of), commits: vote("commit", of) },
    ];
    const preparesOnly: [number, RoundVotes] = [
      far + 1,
      { prepares: vote("prepare", far + 1), commits: new Map() },
    ];
    const votes = new Map([
      both(far - 1),
      both(far),
      preparesOnly,
      both(round - 1),
      both(round),
      both(round + 1),
    ]);
    const kept = [...pruneVotes(votes, round)].map(([of, { prepares, commits }]) => [
      of,
      prepares.size,
      commits.size,
    ]);
    expect(kept).toEqual([
      [far, 0, 1],
      [round - 1, 0, 1],
      [round, 1, 1],
      [round + 1, 1, 1],
    ]);
  });
});

describe("counting votes", () => {
  it("needs a quorum for one block: two blocks of one round do not add up", () => {
    const probe = new Probe(4, 3).hear(proposalOf(0, 0, x));
    probe.hear(voteOf("commit", 0, { round: 0, block: x }));
    probe.hear(voteOf("commit", 1, { round: 0, block: x }));
    probe.hear(voteOf("commit", 2, { round: 0, block: y }));
    expect(probe.of("decide")).toEqual([]);
    const prepares = [0, 1, 2].map((v) => voteOf("prepare", v, { round: 0, block: v > 1 ? y : x }));
    expect(
      probe
        .check()
        .hear(...prepares)
        .signed(),
    ).toEqual(["prepare 0"]);
  });

  it("decides the block of the quorum, though another one was voted for first", () => {
    const probe = new Probe(7, 6).hear(proposalOf(0, 0, blockBy(0, "x", 7)));
    const of = (block: typeof x) => ({ round: 0, block });
    probe.hear(voteOf("commit", 0, of(y)));
    const [kept] = probe.of("checkBlock").map(({ block }) => block);
    if (kept === undefined) throw new Error("a check was asked for");
    probe.hear(...[1, 2, 3, 4, 5].map((v) => voteOf("commit", v, of(kept))));
    expect(probe.of("decide").map(({ block }) => block.hash)).toEqual([kept.hash]);
  });
});

describe("blocks of former rounds", () => {
  it("are kept once, whatever comes again", () => {
    const probe = inRound(1);
    for (let time = 0; time < 3; time += 1) probe.hear(proposalOf(0, 0, x));
    expect(probe.state.blocks.map(({ hash }) => hash)).toEqual([x.hash]);
  });

  it("are not kept when another block came than its hash says", () => {
    const probe = inRound(1).hear({ ...proposalOf(0, 0, x), block: blockBy(0, "other") });
    expect(probe.state.blocks).toEqual([]);
  });

  it("are not kept from a sender that does not propose in that round", () => {
    expect(inRound(2).hear(proposalOf(2, 1, x)).state.blocks).toEqual([]);
  });

  it("are not kept from rounds that are too far back, and are from the last one in reach", () => {
    const far = limits.roundDistanceMax;
    expect(inRound(far + 1).hear(proposalOf(0, 0, x)).state.blocks).toEqual([]);
    expect(inRound(far).hear(proposalOf(0, 0, x)).state.blocks).toHaveLength(1);
  });

  it("give way to newer ones, the oldest first", () => {
    const probe = inRound(8);
    const rounds = [0, 1, 2, 4, 5];
    for (const round of rounds) probe.hear(proposalOf(round % 4, round, blockBy(0, `${round}`)));
    const newest = rounds.slice(-limits.formerBlocksMax).reverse();
    expect(probe.state.blocks.map(({ hash }) => hash)).toEqual(
      newest.map((round) => blockBy(0, `${round}`).hash),
    );
  });

  it("are found in reports of round changes, too", () => {
    const probe = new Probe(4, 3).hear(roundChangeOf(0, 2, preparedBy([0, 1, 2], 1, y)));
    expect(findBlock(probe.state, y.hash)?.hash).toBe(y.hash);
    const commits = [0, 1, 2].map((validator) =>
      voteOf("commit", validator, { round: 1, block: y }),
    );
    expect(probe.hear(...commits).of("decide")[0]?.certificate).toMatchObject({ round: 1 });
    expect(probe.state.self).toBe(keyOf(3));
  });
});

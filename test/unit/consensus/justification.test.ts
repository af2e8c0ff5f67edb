/**
 * Every check on a proposal and on a round change, one by one. Each refused message differs from
 * an accepted one in one thing.
 */
import { describe, expect, it } from "vitest";
import { blockOf } from "../../../src/base/format/block.ts";
import type { ProposalMessage } from "../../../src/base/format/message.ts";
import { highestPrepared } from "../../../src/consensus/justification.ts";
import { keyOf } from "../../sim/fake-keys.ts";
import {
  blockBy,
  keysOf,
  Probe,
  preparedBy,
  proposalOf,
  roundChangeOf,
  voteOf,
} from "../../sim/probe.ts";

const x = blockBy(0, "x");
const y = blockBy(1, "y");
const prepares = preparedBy([0, 1, 2], 0, x).prepares;
const certificate = preparedBy([0, 1, 2], 0, x);
const changesTo1 = [0, 1, 2].map((validator) => roundChangeOf(validator, 1));
const changesWithX = [roundChangeOf(0, 1, certificate), ...changesTo1.slice(1)];

/** Extends the tip of height 0, but says that it is of height 2. */
const atHeight2 = blockOf({ ...x.header, height: 2 }, x.transactions);

/** Tells whether validator 3 takes the proposal up, and whether it looks at the time. */
function verdict(proposal: ProposalMessage): string {
  const checks = new Probe(4, 3).hear(proposal).of("checkBlock");
  return checks.map(({ fresh }) => (fresh ? "fresh" : "prepared")).join() || "refused";
}

describe("round 0", () => {
  it("accepts the proposer's own block", () => {
    expect(verdict(proposalOf(0, 0, x))).toBe("fresh");
  });

  it.each([
    ["another sender", proposalOf(1, 0, y)],
    ["a block that names another proposer", proposalOf(0, 0, y)],
    ["round changes", proposalOf(0, 0, x, { roundChanges: changesTo1 })],
    ["prepares", proposalOf(0, 0, x, { prepares })],
    ["a sender outside the set", proposalOf(7, 0, blockBy(7, "z"))],
    ["a hash that is not the block's", { ...proposalOf(0, 0, x), block: blockBy(0, "other") }],
    ["a block of another network", proposalOf(0, 0, blockBy(0, "x", 5))],
    ["a block of another height", proposalOf(0, 0, atHeight2)],
  ])("refuses %s", (_name, proposal) => {
    expect(verdict(proposal)).toBe("refused");
  });
});

describe("a later round with nothing prepared", () => {
  it("accepts a fresh block of that round's proposer, and moves there at once", () => {
    const proposal = proposalOf(1, 1, y, { roundChanges: changesTo1 });
    expect(verdict(proposal)).toBe("fresh");
    const probe = new Probe(4, 3).hear(proposal);
    expect(probe.state.round).toBe(1);
    expect(probe.of("startTimer")).toMatchObject([{ round: 1, durationMs: 2_000 }]);
    expect(probe.check().signed()).toEqual(["prepare 1"]);
  });

  it("accepts one of a far round, however far", () => {
    const roundChanges = [0, 1, 2].map((validator) => roundChangeOf(validator, 21_601));
    expect(verdict(proposalOf(1, 21_601, y, { roundChanges }))).toBe("fresh");
  });

  it.each([
    ["another sender", proposalOf(2, 1, blockBy(2, "z"), { roundChanges: changesTo1 })],
    ["an older proposer's block", proposalOf(1, 1, x, { roundChanges: changesTo1 })],
    ["no round changes", proposalOf(1, 1, y)],
    ["too few", proposalOf(1, 1, y, { roundChanges: changesTo1.slice(1) })],
    [
      "one signer counted twice",
      proposalOf(1, 1, y, { roundChanges: [...changesTo1.slice(1), changesTo1[1] as never] }),
    ],
    [
      "a signer outside the set",
      proposalOf(1, 1, y, { roundChanges: [...changesTo1.slice(1), roundChangeOf(9, 1)] }),
    ],
    [
      "one for another round",
      proposalOf(1, 1, y, { roundChanges: [...changesTo1.slice(1), roundChangeOf(0, 2)] }),
    ],
    [
      "one for another height",
      proposalOf(1, 1, y, {
        roundChanges: [...changesTo1.slice(1), roundChangeOf(0, 1, undefined, 2)],
      }),
    ],
    [
      "prepares that belong to nothing",
      proposalOf(1, 1, y, { roundChanges: changesTo1, prepares }),
    ],
  ])("refuses %s", (_name, proposal) => {
    expect(verdict(proposal)).toBe("refused");
  });
});

describe("a later round with a prepared block", () => {
  const roundChanges = changesWithX;

  it("accepts that block again, whoever proposed it first, without looking at its time", () => {
    expect(verdict(proposalOf(1, 1, x, { roundChanges, prepares }))).toBe("prepared");
  });

  it("accepts the block of the highest prepared round", () => {
    const newer = preparedBy([1, 2, 3], 1, y);
    const changes = [
      roundChangeOf(0, 2, certificate),
      roundChangeOf(1, 2, newer),
      roundChangeOf(2, 2),
    ];
    const good = proposalOf(2, 2, y, { roundChanges: changes, prepares: newer.prepares });
    expect(verdict(good)).toBe("prepared");
    expect(verdict(proposalOf(2, 2, x, { roundChanges: changes, prepares }))).toBe("refused");
  });

  it("refuses an old block that a liar reports for a newer round than its prepares show", () => {
    const changes = [
      roundChangeOf(0, 2, { ...certificate, round: 1 }),
      roundChangeOf(1, 2),
      roundChangeOf(2, 2),
    ];
    expect(verdict(proposalOf(2, 2, x, { roundChanges: changes, prepares }))).toBe("refused");
  });

  const at = { round: 0, block: x };
  it.each([
    ["a fresh block instead", proposalOf(1, 1, y, { roundChanges, prepares })],
    ["a fresh block without prepares", proposalOf(1, 1, y, { roundChanges })],
    ["no prepares", proposalOf(1, 1, x, { roundChanges })],
    ["too few prepares", proposalOf(1, 1, x, { roundChanges, prepares: prepares.slice(1) })],
    [
      "one preparer counted twice",
      proposalOf(1, 1, x, {
        roundChanges,
        prepares: [...prepares.slice(1), prepares[1] as never],
      }),
    ],
    [
      "a preparer outside the set",
      proposalOf(1, 1, x, {
        roundChanges,
        prepares: [...prepares.slice(1), voteOf("prepare", 9, at)],
      }),
    ],
    [
      "commits for prepares",
      proposalOf(1, 1, x, {
        roundChanges,
        prepares: [...prepares.slice(1), voteOf("commit", 0, at)],
      }),
    ],
    [
      "a prepare of another round",
      proposalOf(1, 1, x, {
        roundChanges,
        prepares: [...prepares.slice(1), voteOf("prepare", 0, { ...at, round: 1 })],
      }),
    ],
    [
      "a prepare of another block",
      proposalOf(1, 1, x, {
        roundChanges,
        prepares: [...prepares.slice(1), voteOf("prepare", 0, { round: 0, block: y })],
      }),
    ],
    [
      "a prepare of another height",
      proposalOf(1, 1, x, {
        roundChanges,
        prepares: [...prepares.slice(1), voteOf("prepare", 0, { ...at, height: 2 })],
      }),
    ],
    [
      "a prepared round that is not below the round",
      proposalOf(1, 1, x, {
        roundChanges: [roundChangeOf(0, 1, preparedBy([0, 1, 2], 1, x)), ...changesTo1.slice(1)],
        prepares: preparedBy([0, 1, 2], 1, x).prepares,
      }),
    ],
  ])("refuses %s", (_name, proposal) => {
    expect(verdict(proposal)).toBe("refused");
  });

  it("refuses a quorum with a surplus, when one of it is counted twice", () => {
    const surplus = [...roundChanges, roundChanges[1] as never];
    expect(verdict(proposalOf(1, 1, x, { roundChanges: surplus, prepares }))).toBe("refused");
    const twice = [...prepares, prepares[0] as never];
    expect(verdict(proposalOf(1, 1, x, { roundChanges, prepares: twice }))).toBe("refused");
  });

  it("accepts more than a quorum of distinct ones", () => {
    const all = [...roundChanges, roundChangeOf(3, 1)];
    expect(verdict(proposalOf(1, 1, x, { roundChanges: all, prepares }))).toBe("prepared");
  });

  it("refuses a block that no round change reports, though liars prepared it", () => {
    const preparesOfY = preparedBy([0, 1, 2], 0, y).prepares;
    const other = proposalOf(1, 1, y, { roundChanges, prepares: preparesOfY });
    expect(verdict(other)).toBe("refused");
  });

  it("refuses a block that is reported for a lower round only, though liars prepared it", () => {
    const changes = [
      roundChangeOf(0, 2, certificate),
      roundChangeOf(1, 2, preparedBy([1, 2, 3], 1, y)),
      roundChangeOf(2, 2),
    ];
    const preparesOf1 = preparedBy([0, 1, 2], 1, x).prepares;
    const lower = proposalOf(2, 2, x, { roundChanges: changes, prepares: preparesOf1 });
    expect(verdict(lower)).toBe("refused");
  });

  it("takes the highest round in whatever order it is reported", () => {
    const of = (round: number) => ({ prepared: { round, blockHash: x.hash } });
    const none = { prepared: undefined };
    expect(highestPrepared([of(1), none, of(3), of(2), none])).toBe(3);
    expect(highestPrepared([none, of(0), none])).toBe(0);
    expect(highestPrepared([none, none])).toBeUndefined();
  });

  it("is not fooled by a liar that claims another hash for the same round", () => {
    const lie = { ...roundChangeOf(2, 1), prepared: { round: 0, blockHash: y.hash } };
    const changes = [roundChangeOf(0, 1, certificate), roundChangeOf(1, 1), lie];
    expect(verdict(proposalOf(1, 1, x, { roundChanges: changes, prepares }))).toBe("prepared");
    expect(verdict(proposalOf(1, 1, y, { roundChanges: changes, prepares }))).toBe("refused");
  });
});

describe("a round change", () => {
  const kept = (message: ReturnType<typeof roundChangeOf>) =>
    new Probe(4, 3).hear(message).state.roundChanges.size === 1;

  it("is kept when it reports nothing, or a block with its prepares", () => {
    expect(kept(roundChangeOf(0, 1))).toBe(true);
    expect(kept(roundChangeOf(0, 1, certificate))).toBe(true);
    expect(kept(roundChangeOf(0, 10 ** 9))).toBe(true);
  });

  const good = roundChangeOf(0, 1, certificate);
  it.each([
    ["round 0", roundChangeOf(0, 0)],
    ["a sender outside the set", roundChangeOf(9, 1)],
    ["a claim without its block", { ...good, preparedBlock: undefined }],
    ["a claim without prepares", { ...good, prepares: [] }],
    ["a claim with too few prepares", roundChangeOf(0, 1, preparedBy([0, 1], 0, x))],
    ["another block than claimed", { ...good, preparedBlock: y }],
    ["a block without a claim", { ...roundChangeOf(0, 1), preparedBlock: x }],
    ["prepares without a claim", { ...roundChangeOf(0, 1), prepares }],
    ["a prepared round not below its own", roundChangeOf(0, 1, preparedBy([0, 1, 2], 1, x))],
    ["a block of another height", roundChangeOf(0, 1, preparedBy([0, 1, 2], 0, atHeight2))],
  ])("is dropped with %s", (_name, message) => {
    expect(kept(message)).toBe(false);
  });
});

it("sorts the keys of the fixture, on which all of the above rests", () => {
  expect(keysOf(4)).toEqual([keyOf(0), keyOf(1), keyOf(2), keyOf(3)].sort());
});

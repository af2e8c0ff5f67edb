/**
 * Which messages are checked at all. The first half says what is dropped before any signature is
 * looked at; the second that nothing the core needs is among it.
 */
import { describe, expect, it } from "vitest";
import { type Block, blockOf } from "../../../src/base/format/block.ts";
import type { ConsensusMessage } from "../../../src/base/format/message.ts";
import { limits } from "../../../src/base/limits.ts";
import type { ConsensusEvent } from "../../../src/consensus/event.ts";
import { type ConsensusState, initialState } from "../../../src/consensus/state.ts";
import { step } from "../../../src/consensus/step.ts";
import { isHeld, isOfUse } from "../../../src/node/message-filter.ts";
import { keyOf } from "../../sim/fake-keys.ts";
import {
  blockBy,
  genesisOf,
  keysOf,
  preparedBy,
  proposalOf,
  roundChangeOf,
  voteOf,
} from "../../sim/probe.ts";

const x = blockBy(0, "x");
const y = blockBy(0, "y");
const prepare = voteOf("prepare", 1, { round: 0, block: x });
const commit = voteOf("commit", 1, { round: 0, block: x });

/** The state of validator 3 of four at height 1 after some events. */
function stateAfter(...events: readonly (ConsensusMessage | ConsensusEvent)[]): ConsensusState {
  const tip = { height: 0, hash: genesisOf(4).hash, proposers: keysOf(4) };
  const start = initialState({ self: keyOf(3), tip, validators: keysOf(4) });
  return events.reduce(
    (state, event) =>
      step(state, "validator" in event ? { kind: "message", message: event } : event).state,
    start,
  );
}

/** The next height is decided elsewhere: validator 3 is told so. */
const appended = (height: number): ConsensusEvent => ({
  kind: "appended",
  tip: { height, hash: x.hash, proposers: keysOf(4) },
  validators: keysOf(4),
});

const signed = (message: ConsensusMessage): ConsensusEvent => ({ kind: "signed", message });

/** A justified proposal of round 1. */
const second = proposalOf(1, 1, blockBy(1, "z"), {
  roundChanges: [0, 1, 2].map((validator) => roundChangeOf(validator, 1)),
});

function elsewhere(block: Block): Block {
  return blockOf({ ...block.header, parentHash: "22".repeat(32) }, []);
}

describe("what the core cannot use is not checked", () => {
  it.each<[string, ConsensusState, ConsensusMessage]>([
    ["a vote of a decided height", stateAfter(appended(1)), commit],
    ["a proposal of a decided height", stateAfter(appended(1)), proposalOf(0, 0, x)],
    ["a round change of a decided height", stateAfter(appended(1)), roundChangeOf(1, 1)],
    ["a proposal out of turn", stateAfter(), proposalOf(1, 0, x)],
    ["a proposal out of turn in a later round", stateAfter(), proposalOf(2, 1, x)],
    ["a proposal on another tip", stateAfter(), proposalOf(0, 0, elsewhere(x))],
    ["a proposal that nothing justifies", stateAfter(), proposalOf(1, 1, x)],
    ["a proposal that is accepted already", stateAfter(proposalOf(0, 0, x)), proposalOf(0, 0, x)],
    ["a late proposal out of turn", stateAfter(second), proposalOf(2, 0, y)],
    ["a late proposal on another tip", stateAfter(second), proposalOf(0, 0, elsewhere(y))],
    ["a round change without the block it reports", stateAfter(), withoutBlock()],
    ["a round change to round 0", stateAfter(), roundChangeOf(1, 0)],
    ["a vote that is held", stateAfter(commit), commit],
    ["another vote for its place", stateAfter(commit), voteOf("commit", 1, { round: 0, block: y })],
    ["a round change that is held", stateAfter(roundChangeOf(1, 2)), roundChangeOf(1, 2)],
    ["one to a lower round", stateAfter(roundChangeOf(1, 2)), roundChangeOf(1, 1)],
    ["a vote of the next height that is held", stateAfter(next(1)), next(1)],
    ["one of a lower round", stateAfter(next(1)), next(0)],
    [
      "a second one of a height beyond",
      stateAfter({ ...commit, height: 9 }),
      { ...prepare, height: 9 },
    ],
    [
      "one of a validator's past there",
      stateAfter({ ...commit, height: 9 }),
      { ...commit, height: 8 },
    ],
    [
      "a stranger's of a height beyond",
      stateAfter(),
      { ...commit, height: 9, validator: keyOf(7) },
    ],
    ["a stranger's", stateAfter(), { ...commit, validator: keyOf(7) }],
    ["the own key's", stateAfter(), { ...commit, validator: keyOf(3) }],
  ])("%s", (_, state, message) => {
    expect(isOfUse(state, message)).toBe(false);
  });

  it("a late proposal whose block is kept, or that is too far back", () => {
    const moved = stateAfter(proposalOf(0, 0, x), second);
    expect(moved.round).toBe(1);
    expect(isOfUse(moved, proposalOf(0, 0, x))).toBe(false);
    const far = { ...moved, round: limits.roundDistanceMax + 1 };
    expect(isOfUse(far, proposalOf(0, 0, y))).toBe(false);
    expect(isOfUse({ ...far, round: limits.roundDistanceMax }, proposalOf(0, 0, y))).toBe(true);
  });
});

describe("what the core can use is checked", () => {
  it.each<[string, ConsensusState, ConsensusMessage]>([
    ["a vote", stateAfter(), commit],
    ["a vote of the other kind", stateAfter(commit), prepare],
    ["a vote of another round", stateAfter(commit), voteOf("commit", 1, { round: 1, block: x })],
    ["another's vote", stateAfter(commit), voteOf("commit", 2, { round: 0, block: x })],
    ["the proposal", stateAfter(), proposalOf(0, 0, x)],
    ["a justified proposal of a later round", stateAfter(), second],
    ["one while an earlier one is accepted", stateAfter(proposalOf(0, 0, x)), second],
    ["a late proposal with another block", stateAfter(second), proposalOf(0, 0, x)],
    [
      "another proposal, whose block may be decided",
      stateAfter(proposalOf(0, 0, x)),
      proposalOf(0, 0, y),
    ],
    ["a round change", stateAfter(), roundChangeOf(1, 1)],
    ["one to a higher round", stateAfter(roundChangeOf(1, 1)), roundChangeOf(1, 2)],
    ["one with a certificate", stateAfter(), roundChangeOf(1, 1, preparedBy([0, 1, 2], 0, x))],
    ["a vote of the next height", stateAfter(), next(0)],
    ["one of a higher round", stateAfter(next(0)), next(1)],
    ["the first sign of a height beyond", stateAfter(next(0)), { ...commit, height: 9 }],
    [
      "a vote again, after the first one was of a former height",
      stateAfter(commit, appended(1)),
      next(0),
    ],
  ])("%s", (_, state, message) => {
    expect(isOfUse(state, message)).toBe(true);
  });

  it("a vote that came too early to be kept, when it is sent again in time", () => {
    const early = { ...commit, height: 3 };
    const state = stateAfter(early, appended(1));
    expect(isOfUse(state, early)).toBe(true);
    const farRound = voteOf("commit", 1, { round: limits.roundDistanceMax + 1, block: x });
    expect(isOfUse(stateAfter(farRound), farRound)).toBe(true);
  });
});

describe("what is sent again", () => {
  it.each<[string, ConsensusState, ConsensusMessage]>([
    ["a vote", stateAfter(prepare, commit), commit],
    ["a prepare", stateAfter(prepare, commit), prepare],
    ["a round change", stateAfter(roundChangeOf(1, 2)), roundChangeOf(1, 2)],
    ["a vote of the next height", stateAfter(next(1)), next(1)],
    ["an own vote", stateAfter(signed({ ...commit, validator: keyOf(3) })), own()],
  ])("%s is known by its signature", (_, state, message) => {
    expect(isHeld(state, message)).toBe(true);
    const signature = new Uint8Array(64).fill(7);
    expect(isHeld(state, { ...message, signature })).toBe(false);
  });

  it.each<[string, ConsensusState, ConsensusMessage]>([
    ["what never came", stateAfter(), commit],
    [
      "a proposal, of which the block alone is kept",
      stateAfter(proposalOf(0, 0, x)),
      proposalOf(0, 0, x),
    ],
    ["a vote of another round", stateAfter(commit), { ...commit, round: 1 }],
    ["a lower round change", stateAfter(roundChangeOf(1, 2)), roundChangeOf(1, 1)],
    ["a vote of a decided height", stateAfter(commit, appended(1)), commit],
  ])("is not %s", (_, state, message) => {
    expect(isHeld(state, message)).toBe(false);
  });
});

function next(round: number) {
  return voteOf("commit", 1, { round, block: x, height: 2 });
}

function own() {
  return { ...commit, validator: keyOf(3) };
}

function withoutBlock() {
  return { ...roundChangeOf(1, 1, preparedBy([0, 1, 2], 0, x)), preparedBlock: undefined };
}

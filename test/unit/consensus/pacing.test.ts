/** When the timer runs, when messages are sent again, and when blocks are fetched. */
import { describe, expect, it } from "vitest";
import { positions } from "../../../src/consensus/state.ts";
import { keyOf } from "../../sim/fake-keys.ts";
import {
  blockBy,
  keysOf,
  Probe,
  proposalOf,
  proposersAfter,
  roundChangeOf,
  voteOf,
} from "../../sim/probe.ts";

const x = blockBy(0, "x");
const y = blockBy(1, "y");
const at0 = { round: 0, block: x };
const work = (height = 1) => ({ kind: "work", height }) as const;
const tipX = { height: 1, hash: x.hash, proposers: proposersAfter(0) };
const appendX = { kind: "appended", tip: tipX, validators: keysOf(4) } as const;
const seenAt = (validator: number, height: number, round: number) =>
  voteOf("prepare", validator, { round, block: y, height });

describe("the timer", () => {
  it("stops with the decision, and does not start again before the next height", () => {
    const commits = [0, 2, 3].map((validator) => voteOf("commit", validator, at0));
    const probe = new Probe(4, 1).feed(work()).hear(proposalOf(0, 0, x), ...commits);
    expect(probe.last.map(({ kind }) => kind)).toEqual(["stopTimer", "decide"]);
    expect(probe.state).toMatchObject({ phase: "decided", timer: undefined });
    probe.feed(work()).hear(roundChangeOf(2, 1));
    expect(probe.of("startTimer")).toHaveLength(1);
    probe.feed(appendX).feed(work(2));
    expect(probe.of("startTimer")).toHaveLength(2);
  });

  it("of the former round gives way to that of a round jumped to", () => {
    const probe = new Probe(4, 3).feed(work()).hear(roundChangeOf(0, 2), roundChangeOf(1, 2));
    expect(probe.of("startTimer").map(({ round }) => round)).toEqual([0, 2]);
    expect(probe.of("stopTimer")).toEqual([]);
  });

  it("of the former height gives way to that of the next one", () => {
    const probe = new Probe(4, 3).feed(work()).hear(roundChangeOf(0, 2, undefined, 2));
    probe.feed(appendX);
    expect(probe.of("startTimer").map(({ height }) => height)).toEqual([1, 2]);
  });

  it("runs in every phase of a round: proposing, preparing, committing", () => {
    const probe = new Probe(4, 1).hear(proposalOf(0, 0, x));
    expect(probe.state.phase).toBe("preparing");
    probe.check().signAll();
    probe.hear(voteOf("prepare", 0, at0), voteOf("prepare", 2, at0)).signAll();
    expect(probe.state.phase).toBe("committing");
    expect(probe.state.timer).toMatchObject({ height: 1, round: 0 });
    expect(probe.of("startTimer")).toHaveLength(1);
  });

  it("of a later round counts who is at a higher height, and nobody of a lower one", () => {
    const probe = new Probe(4, 3).hear(seenAt(0, 1, 7), seenAt(1, 1, 7), seenAt(2, 1, 0));
    probe.feed(appendX).feed(work(2)).timeout();
    expect(probe.of("startTimer").map(({ round }) => round)).toEqual([0]);
    probe.hear(seenAt(0, 3, 0));
    expect(probe.of("startTimer").map(({ round }) => round)).toEqual([0]);
    probe.hear(seenAt(1, 2, 1));
    expect(probe.of("startTimer").map(({ round }) => round)).toEqual([0, 1]);
  });

  it("of a later round does not count who is in a lower one", () => {
    const probe = new Probe(4, 3)
      .feed(work())
      .hear(seenAt(0, 1, 0), seenAt(1, 1, 0))
      .timeout();
    expect(probe.of("startTimer").map(({ round }) => round)).toEqual([0]);
  });
});

describe("the time-out", () => {
  /** Those of the round it is in. */
  const durations = (probe: Probe) =>
    probe
      .of("startTimer")
      .filter(({ round }) => round === probe.state.round)
      .map(({ durationMs }) => durationMs);
  /** Of four, 0 and 1 are in a round with this node, 3, which has round 3 and 7; 2 is not. */
  const inRound = (round: number, ...others: ReturnType<typeof seenAt>[]) =>
    new Probe(4, 3).hear(...others, roundChangeOf(0, round), roundChangeOf(1, round));

  it("of a round from 2 on whose proposer did not come along is that of round 0", () => {
    expect(durations(inRound(2))).toEqual([1_000]);
    expect(durations(inRound(6, seenAt(2, 1, 4)))).toEqual([1_000]);
    expect(durations(inRound(6, seenAt(2, 0, 9)))).toEqual([1_000]);
  });

  it("is as short where the proposer went on to a later round or height", () => {
    expect(durations(inRound(6, seenAt(2, 1, 7)))).toEqual([1_000]);
    expect(durations(inRound(6, seenAt(2, 2, 6)))).toEqual([1_000]);
  });

  it("is the full one where the proposer is there, at most a round behind, or this node", () => {
    expect(durations(inRound(6, seenAt(2, 1, 5)))).toEqual([4_000]);
    expect(durations(inRound(6, seenAt(2, 1, 6)))).toEqual([4_000]);
    expect(durations(inRound(5))).toEqual([4_000]);
    expect(durations(inRound(7))).toEqual([4_000]);
  });

  it("misses nobody in rounds 0 and 1, where there may have been nothing to say", () => {
    const probe = new Probe(4, 3).feed(work()).timeout();
    probe.hear(roundChangeOf(0, 1), roundChangeOf(2, 1));
    expect(durations(probe)).toEqual([2_000]);
  });

  it("begins anew, and in full, when the missed proposer is heard of", () => {
    const probe = inRound(6);
    probe.hear(seenAt(2, 1, 4));
    expect(durations(probe)).toEqual([1_000]);
    probe.hear(roundChangeOf(2, 6)).hear(seenAt(2, 1, 6));
    expect(durations(probe)).toEqual([1_000, 4_000]);
    expect(probe.state.timer).toEqual({ height: 1, round: 6, durationMs: 4_000 });
  });

  it("is prolonged once a round, however often the proposer seems to come and go", () => {
    const probe = inRound(6);
    probe.hear(seenAt(2, 1, 6), seenAt(2, 1, 7));
    const roundChanges = [0, 1, 3].map((validator) => roundChangeOf(validator, 6));
    probe.hear(proposalOf(2, 6, blockBy(2, "z"), { roundChanges }));
    expect(durations(probe)).toEqual([1_000, 4_000]);
  });

  it("begins anew, and in full, with a proposal", () => {
    const roundChanges = [0, 1, 3].map((validator) => roundChangeOf(validator, 6));
    const probe = inRound(6);
    probe.hear(proposalOf(2, 6, blockBy(2, "z"), { roundChanges }));
    expect(probe.state.phase).toBe("preparing");
    expect(durations(probe)).toEqual([1_000, 4_000]);
  });
});

describe("catching up", () => {
  it.each([[[0, 1]], [[1, 0]], [[0, 2]], [[2, 1]]])(
    "goes to the lower height of the two furthest, whoever they are: %j",
    ([high, low]) => {
      const probe = new Probe(4, 3).hear(seenAt(high as number, 9, 0), seenAt(low as number, 7, 0));
      expect(probe.of("catchUp")).toEqual([{ kind: "catchUp", height: 7 }]);
    },
  );

  it("aims higher when the others went on, and says so at once", () => {
    const probe = new Probe(4, 3).hear(seenAt(0, 9, 0), seenAt(1, 7, 0), seenAt(2, 8, 0));
    expect(probe.of("catchUp").map(({ height }) => height)).toEqual([7, 8]);
    expect(probe.state.catchUpHeight).toBe(8);
  });

  it("is no more once it is there", () => {
    const probe = new Probe(4, 3).hear(seenAt(0, 2, 0), seenAt(1, 2, 0));
    expect(probe.of("startResend")).toHaveLength(1);
    probe.feed(appendX);
    expect(probe.last).toEqual([{ kind: "stopResend" }]);
  });

  it("remembers the highest aim, so that a tick does not make it new", () => {
    const probe = new Probe(4, 3).hear(seenAt(0, 9, 0), seenAt(1, 9, 0)).feed({ kind: "resend" });
    probe.hear(voteOf("commit", 0, { ...at0, height: 9 }));
    expect(probe.of("catchUp")).toHaveLength(2);
  });
});

it("shows where validators were last seen, and where this node is", () => {
  const probe = new Probe(4, 3)
    .feed(work())
    .hear(seenAt(0, 1, 4))
    .timeout();
  expect(positions(probe.state)).toEqual([
    { validator: keyOf(0), position: { height: 1, round: 4 } },
    { validator: keyOf(1), position: undefined },
    { validator: keyOf(2), position: undefined },
    { validator: keyOf(3), position: { height: 1, round: 1 } },
  ]);
  probe.hear(seenAt(0, 1, 2), seenAt(0, 1, 4));
  expect(probe.state.seen.get(keyOf(0))).toEqual({ height: 1, round: 4 });
});

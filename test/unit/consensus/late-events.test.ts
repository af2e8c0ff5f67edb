/**
 * Events that come too late, twice, or for something else. They change nothing, or only what they
 * are about; each of these tests differs from an event that counts in one thing.
 */
import { describe, expect, it } from "vitest";
import { keyOf, signedBy } from "../../sim/fake-keys.ts";
import {
  blockBy,
  keysOf,
  Probe,
  preparedBy,
  proposalOf,
  proposersAfter,
  roundChangeOf,
  voteOf,
} from "../../sim/probe.ts";

const x = blockBy(0, "x");
const y = blockBy(1, "y");
const at0 = { round: 0, block: x };
const work = { kind: "work", height: 1 } as const;
const tipX = { height: 1, hash: x.hash, proposers: proposersAfter(0) };
const appendX = { kind: "appended", tip: tipX, validators: keysOf(4) } as const;
const built = (round: number, block = x, height = 1) =>
  ({ kind: "built", height, round, block }) as const;
const decided = () =>
  new Probe(4, 1)
    .hear(proposalOf(0, 0, x))
    .hear(...[0, 2, 3].map((validator) => voteOf("commit", validator, at0)));

describe("after the decision", () => {
  it("messages of the height leave no trace but where their senders are", () => {
    const probe = decided();
    const { seen: _before, ...before } = probe.state;
    probe.hear(roundChangeOf(0, 1), roundChangeOf(2, 1), voteOf("commit", 3, { ...at0, round: 1 }));
    const { seen, ...after } = probe.state;
    expect(after).toEqual(before);
    expect(seen.get(keyOf(2))).toEqual({ height: 1, round: 1 });
  });

  it("an append of the same height once more does not begin it again", () => {
    const probe = decided().feed(appendX).feed({ kind: "work", height: 2 });
    expect(probe.feed(appendX).last).toEqual([]);
    expect(probe.state).toMatchObject({ height: 2, work: true, build: "asked" });
  });
});

describe("a time-out", () => {
  const inRound2 = () =>
    new Probe(4, 3).feed(work).hear(roundChangeOf(0, 2), roundChangeOf(1, 2), roundChangeOf(2, 2));

  it.each([
    ["of a former round", 1, 0],
    ["of a later round", 1, 3],
    ["of another height", 2, 2],
  ])("%s is ignored while the timer of the present one runs", (_name, height, round) => {
    const probe = inRound2();
    expect(probe.state.timer).toMatchObject({ height: 1, round: 2 });
    expect(probe.feed({ kind: "timeout", height, round }).last).toEqual([]);
    expect(probe.timeout().state.round).toBe(3);
  });

  it("hands transactions to the next proposer, unless it is this node", () => {
    expect(new Probe(4, 1).feed(work).timeout().of("forwardTransactions")).toEqual([]);
    expect(new Probe(4, 2).feed(work).timeout().of("forwardTransactions")).toHaveLength(1);
  });
});

describe("a block that was asked for", () => {
  const alone = () => new Probe(1, 0).feed(work).timeout().signAll();
  const own = (text: string) => blockBy(0, text, 1);

  it.each([
    ["a former round", built(0, own("a"))],
    ["another height", built(1, own("a"), 2)],
  ])("is not taken for %s", (_name, answer) => {
    const probe = alone();
    expect(probe.of("buildBlock").map(({ round }) => round)).toEqual([0, 1]);
    expect(probe.feed(answer).last).toEqual([]);
    expect(probe.feed(built(1, own("b"))).signed()).toContain("proposal 1");
  });

  it("is not taken twice, nor when none was asked for", () => {
    const probe = alone().feed(built(1, own("a")));
    expect(probe.feed(built(1, own("b"))).last).toEqual([]);
    const idle = new Probe(1, 0).feed(built(0, own("a")));
    expect(idle.all).toEqual([]);
  });

  it("does not end the work of a round that others are in, when there is none", () => {
    const probe = new Probe(4, 1).feed(work).timeout().signAll();
    probe.hear(roundChangeOf(0, 1), roundChangeOf(2, 1));
    probe.feed({ kind: "built", height: 1, round: 1, block: undefined });
    expect(probe.of("stopTimer")).toEqual([]);
    expect(probe.state).toMatchObject({ work: true, build: "empty" });
    expect(probe.state.timer).toMatchObject({ height: 1, round: 1 });
  });
});

describe("the verdict on a block", () => {
  const verdict = { kind: "checked", height: 1, round: 0, blockHash: x.hash, valid: true } as const;
  const asked = () => new Probe(4, 1).hear(proposalOf(0, 0, x));

  it.each([
    ["another height", { height: 2 }],
    ["another round", { round: 1 }],
    ["another block", { blockHash: y.hash }],
  ])("is not taken for %s", (_name, changed) => {
    expect(asked().feed({ ...verdict, ...changed }).last).toEqual([]);
    expect(asked().feed(verdict).signed()).toEqual(["prepare 0"]);
  });

  it("is not taken twice: the first one holds", () => {
    const probe = asked()
      .feed({ ...verdict, valid: false })
      .feed(verdict);
    expect(probe.signed()).toEqual([]);
    expect(probe.state.proposal?.valid).toBe(false);
  });

  it("is for nothing when no block was asked about", () => {
    expect(new Probe(4, 1).feed(verdict).all).toEqual([]);
  });
});

describe("the own signed message", () => {
  const prepared = (validator: number, height: number) =>
    ({
      kind: "signed",
      message: signedBy(keyOf(validator), { kind: "prepare", height, round: 0, blockHash: x.hash }),
    }) as const;
  const asked = () => new Probe(4, 1).hear(proposalOf(0, 0, x)).check();

  it.each([
    ["another height", prepared(1, 2)],
    ["another validator", prepared(0, 1)],
  ])("does not count for %s", (_name, event) => {
    const probe = asked().feed(event);
    expect(probe.state.votes.size).toBe(0);
    expect(probe.state.own).toEqual([]);
  });

  it("of a former round counts, and is not sent again", () => {
    const probe = asked().timeout();
    const commit = { kind: "commit", height: 1, round: 0, blockHash: x.hash } as const;
    probe.feed({ kind: "signed", message: signedBy(keyOf(1), commit) });
    expect(probe.state.votes.get(0)?.commits.size).toBe(1);
    expect(probe.state.own).toEqual([]);
  });

  it("is sent again once, though it was signed again, beside the others of its round", () => {
    const probe = new Probe(4, 0).feed(work).feed(built(0)).signAll();
    const [first] = probe.state.own;
    if (first === undefined) throw new Error("the proposal was signed");
    probe.feed({ kind: "signed", message: first });
    expect(probe.state.own.map(({ kind }) => kind)).toEqual(["prepare", "proposal"]);
    probe.feed({ kind: "resend" });
    expect(probe.last.map(({ kind }) => kind)).toEqual(["send", "send"]);
  });
});

describe("where a validator was last seen", () => {
  const seenAt = (height: number, round: number) =>
    voteOf("prepare", 0, { round, block: y, height });

  it("is the highest height, and there the highest round", () => {
    const probe = new Probe(4, 3);
    const place = (height: number, round: number) =>
      probe.hear(seenAt(height, round)).state.seen.get(keyOf(0));
    expect(place(2, 5)).toEqual({ height: 2, round: 5 });
    expect(place(1, 9)).toEqual({ height: 2, round: 5 });
    expect(place(2, 4)).toEqual({ height: 2, round: 5 });
    expect(place(2, 6)).toEqual({ height: 2, round: 6 });
    expect(place(3, 0)).toEqual({ height: 3, round: 0 });
    const { seen } = probe.state;
    place(3, 0);
    expect(probe.state.seen).toBe(seen);
  });

  it("is forgotten when it leaves the validators", () => {
    const probe = new Probe(4, 3).hear(seenAt(1, 0), voteOf("prepare", 2, at0));
    const tip = { ...tipX, proposers: [1, 2, 3].map(keyOf) };
    probe.feed({ kind: "appended", tip, validators: [1, 2, 3].map(keyOf) });
    expect([...probe.state.seen.keys()]).toEqual([keyOf(2)]);
  });
});

describe("messages of the next height", () => {
  const vote = (height: number, round: number, block = y) =>
    voteOf("prepare", 0, { round, block, height });
  const kept = (probe: Probe) => [...probe.state.future.values()];

  it("are kept for the next height only, of the highest round, the first of several", () => {
    const probe = new Probe(4, 3).hear(vote(2, 3), vote(2, 2), vote(3, 9));
    expect(kept(probe)).toMatchObject([{ height: 2, round: 3 }]);
    probe.hear(vote(2, 4), vote(2, 4, x));
    expect(kept(probe)).toMatchObject([{ round: 4, blockHash: y.hash }]);
  });

  it("are of no use when a height is skipped", () => {
    const probe = new Probe(4, 3).hear(roundChangeOf(0, 1, undefined, 2));
    probe.feed({ ...appendX, tip: { ...tipX, height: 2 } });
    expect(probe.state).toMatchObject({ height: 3, work: false });
    expect(probe.state.future.size).toBe(0);
  });
});

describe("the round change of a validator", () => {
  it("is that of its highest round, and the first of several", () => {
    const probe = new Probe(4, 3);
    const kept = () => probe.state.roundChanges.get(keyOf(0));
    probe.hear(roundChangeOf(0, 5), roundChangeOf(0, 4));
    expect(kept()?.round).toBe(5);
    probe.hear(roundChangeOf(0, 5, preparedBy([0, 1, 2], 0, x)));
    expect(kept()?.prepared).toBeUndefined();
    probe.hear(roundChangeOf(0, 6, preparedBy([0, 1, 2], 0, x)));
    expect(kept()).toMatchObject({ round: 6, prepared: { round: 0 } });
  });

  it("does not report another copy of a block that is known", () => {
    const probe = new Probe(4, 3).hear(proposalOf(0, 0, x));
    const copy = { ...x };
    probe.hear(roundChangeOf(0, 1, preparedBy([0, 1, 2], 0, copy)));
    expect(probe.state.roundChanges.get(keyOf(0))?.preparedBlock).toBe(x);
  });
});

it("aims at the height that a tick found missing", () => {
  const ahead = [0, 1].map((v) => voteOf("prepare", v, { round: 0, block: y, height: 2 }));
  const probe = new Probe(4, 3).hear(...ahead).feed({ kind: "resend" });
  expect(probe.state.catchUpHeight).toBe(2);
});

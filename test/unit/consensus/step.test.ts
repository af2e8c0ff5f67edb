/** The core driven by hand, one rule a test. Named failures and whole networks: beside this file. */
import { describe, expect, it } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import { positions } from "../../../src/consensus/state.ts";
import { keyOf } from "../../sim/fake-keys.ts";
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
const tipX = { height: 1, hash: x.hash, proposers: proposersAfter(0) };
const appendX = { kind: "appended", tip: tipX, validators: keysOf(4) } as const;
const work = { kind: "work", height: 1 } as const;
const resend = { kind: "resend" } as const;

describe("work and idleness", () => {
  it("does nothing without work", () => {
    const probe = new Probe(4, 0).feed(resend).feed({ kind: "timeout", height: 1, round: 0 });
    expect(probe.all).toEqual([]);
  });

  it("lets the proposer build at once, and sign proposal and prepare in one step", () => {
    const probe = new Probe(4, 0).feed(work);
    expect(probe.all).toEqual([
      { kind: "startTimer", height: 1, round: 0, durationMs: 1_000 },
      { kind: "buildBlock", height: 1, round: 0 },
    ]);
    probe.feed(work);
    expect(probe.last).toEqual([]);
    probe.feed({ kind: "built", height: 1, round: 0, block: x });
    expect(probe.signed()).toEqual(["proposal 0", "prepare 0"]);
  });

  it("lets the others only start their timers", () => {
    const probe = new Probe(4, 1).feed(work);
    expect(probe.all).toEqual([{ kind: "startTimer", height: 1, round: 0, durationMs: 1_000 }]);
  });

  it("is idle again when there was nothing to propose, until work comes again", () => {
    const nothing = { kind: "built", height: 1, round: 0, block: undefined } as const;
    const probe = new Probe(4, 0).feed(work).feed(nothing);
    expect(probe.last).toEqual([{ kind: "stopTimer" }]);
    expect(probe.feed(work).last.map(({ kind }) => kind)).toEqual(["startTimer", "buildBlock"]);
  });

  it("ignores work of another height and blocks nobody waits for", () => {
    const probe = new Probe(4, 0).feed({ kind: "work", height: 2 });
    probe.feed({ kind: "built", height: 1, round: 0, block: x });
    expect(probe.all).toEqual([]);
  });

  it.each([
    ["a justified proposal", proposalOf(0, 0, x)],
    ["a round change", roundChangeOf(2, 1)],
  ])("takes %s for work", (_name, message) => {
    expect(new Probe(4, 1).hear(message).of("startTimer")).toHaveLength(1);
  });

  it("takes votes alone for no work", () => {
    const probe = new Probe(4, 1).hear(voteOf("prepare", 2, at0), voteOf("commit", 2, at0));
    expect(probe.all).toEqual([]);
  });
});

describe("the normal case", () => {
  it("prepares a checked block, commits on a quorum of prepares, decides on one of commits", () => {
    const probe = new Probe(4, 1).hear(proposalOf(0, 0, x));
    expect(probe.of("checkBlock")).toMatchObject([{ height: 1, round: 0, fresh: true }]);
    expect(probe.signed()).toEqual([]);
    probe.check().signAll();
    expect(probe.signed()).toEqual(["prepare 0"]);
    probe.hear(voteOf("prepare", 0, at0));
    expect(probe.signed()).toEqual(["prepare 0"]);
    probe.hear(voteOf("prepare", 2, at0)).signAll();
    expect(probe.signed()).toEqual(["prepare 0", "commit 0"]);
    probe.hear(voteOf("commit", 3, at0));
    expect(probe.of("decide")).toEqual([]);
    probe.hear(voteOf("commit", 0, at0));
    const [decided] = probe.of("decide");
    expect(decided?.block.hash).toBe(x.hash);
    expect(decided?.certificate).toMatchObject({ height: 1, round: 0, blockHash: x.hash });
    const indexes = decided?.certificate.signatures.map(({ validatorIndex }) => validatorIndex);
    expect(indexes).toEqual([0, 1, 3]);
  });

  it("counts own votes only once they are signed and on disk", () => {
    const probe = new Probe(4, 1).hear(proposalOf(0, 0, x)).check();
    probe.hear(voteOf("prepare", 0, at0), voteOf("prepare", 3, at0));
    expect(probe.signed()).toEqual(["prepare 0"]);
    expect(probe.signAll().signed()).toEqual(["prepare 0", "commit 0"]);
  });

  it("keeps votes that precede the proposal", () => {
    const votes = [0, 2, 3].flatMap((validator) => [
      voteOf("commit", validator, at0),
      voteOf("prepare", validator, at0),
    ]);
    const probe = new Probe(4, 1).hear(...votes);
    expect(probe.of("decide")).toEqual([]);
    expect(probe.hear(proposalOf(0, 0, x)).of("decide")).toHaveLength(1);
  });

  it("does not count prepares of a later round", () => {
    const probe = new Probe(4, 1)
      .hear(proposalOf(0, 0, x))
      .check()
      .signAll();
    probe.hear(voteOf("prepare", 0, at0), voteOf("prepare", 3, { ...at0, round: 1 })).signAll();
    expect(probe.signed()).toEqual(["prepare 0"]);
  });

  it("commits on prepares that came before the check was done", () => {
    const prepares = [0, 2, 3].map((validator) => voteOf("prepare", validator, at0));
    const probe = new Probe(4, 1).hear(proposalOf(0, 0, x), ...prepares);
    expect(probe.signed()).toEqual([]);
    expect(probe.check().signed()).toEqual(["prepare 0", "commit 0"]);
  });

  it("does not prepare an invalid block, nor commit it, and lets the timer run", () => {
    const prepares = [0, 2, 3].map((validator) => voteOf("prepare", validator, at0));
    const probe = new Probe(4, 1).hear(proposalOf(0, 0, x), ...prepares).check(false);
    expect(probe.signed()).toEqual([]);
    expect(probe.of("stopTimer")).toEqual([]);
    expect(probe.timeout().signed()).toEqual(["roundChange 1"]);
  });

  it("ignores a verdict on another round's check", () => {
    const probe = new Probe(4, 1).hear(proposalOf(0, 0, x));
    const { hash: blockHash } = x;
    probe.feed({ kind: "checked", height: 1, round: 1, blockHash, valid: true });
    probe.feed({ kind: "checked", height: 1, round: 0, blockHash: y.hash, valid: true });
    expect(probe.signed()).toEqual([]);
  });

  it("decides although it found the block invalid: the certificate outranks the own clock", () => {
    const probe = new Probe(4, 1).hear(proposalOf(0, 0, x)).check(false);
    probe.hear(...[0, 2, 3].map((validator) => voteOf("commit", validator, at0)));
    expect(probe.of("decide")).toHaveLength(1);
  });
});

describe("equivocation and foreign messages", () => {
  it("lets the first proposal of a round win, and keeps the second for its commits only", () => {
    const other = blockBy(0, "other");
    const probe = new Probe(4, 1).hear(proposalOf(0, 0, x), proposalOf(0, 0, other)).check();
    expect(probe.of("sign").map(({ claim }) => "blockHash" in claim && claim.blockHash)).toEqual([
      x.hash,
    ]);
    const commits = [0, 2, 3].map((v) => voteOf("commit", v, { round: 0, block: other }));
    expect(probe.hear(...commits).of("decide")[0]?.block.hash).toBe(other.hash);
  });

  it("lets the first vote of a validator in a round win", () => {
    const probe = new Probe(4, 1).hear(proposalOf(0, 0, x)).check();
    probe.hear(voteOf("prepare", 0, { round: 0, block: y }));
    probe.hear(voteOf("prepare", 0, at0), voteOf("prepare", 2, at0));
    expect(probe.signAll().signed()).toEqual(["prepare 0"]);
  });

  it("counts a repeated vote once", () => {
    const probe = new Probe(4, 1)
      .hear(proposalOf(0, 0, x))
      .check()
      .signAll();
    for (let time = 0; time < 5; time += 1) probe.hear(voteOf("prepare", 0, at0));
    expect(probe.signed()).toEqual(["prepare 0"]);
  });

  it("ignores who is no validator, and its own messages that come back", () => {
    const probe = new Probe(4, 1).hear(voteOf("commit", 9, at0), voteOf("commit", 1, at0));
    expect(probe.state.votes.size).toBe(0);
    expect(probe.state.seen.size).toBe(0);
  });
});

describe("time-outs and round changes", () => {
  it("moves on, reports nothing prepared, and forwards to the next proposer", () => {
    const probe = new Probe(4, 3).feed(work).timeout();
    expect(probe.of("sign")).toMatchObject([
      { claim: { kind: "roundChange", round: 1, prepared: undefined } },
    ]);
    expect(probe.of("forwardTransactions")).toEqual([
      { kind: "forwardTransactions", validator: keyOf(1) },
    ]);
  });

  it("reports the prepared block with its prepares", () => {
    const prepares = [0, 2].map((validator) => voteOf("prepare", validator, at0));
    const probe = new Probe(4, 1)
      .hear(proposalOf(0, 0, x))
      .check()
      .signAll()
      .hear(...prepares);
    const { claim, attachments, record } = probe.timeout().of("sign").at(-1) ?? {};
    expect(claim).toMatchObject({ round: 1, prepared: { round: 0, blockHash: x.hash } });
    expect(attachments?.block?.hash).toBe(x.hash);
    expect(attachments?.prepares).toHaveLength(3);
    expect(record?.prepared).toMatchObject({ round: 0 });
  });

  it("ignores a late timer", () => {
    const probe = new Probe(4, 3).feed(work).timeout().signAll();
    const count = probe.all.length;
    probe.feed({ kind: "timeout", height: 1, round: 0 });
    probe.feed({ kind: "timeout", height: 2, round: 1 });
    expect(probe.all).toHaveLength(count);
  });

  it("jumps to the smallest of f + 1 higher rounds, and not for one validator alone", () => {
    const probe = new Probe(4, 3).hear(roundChangeOf(0, 7));
    expect(probe.state.round).toBe(0);
    probe.hear(roundChangeOf(0, 9));
    expect(probe.state.round).toBe(0);
    probe.hear(roundChangeOf(1, 5));
    expect(probe.state.round).toBe(5);
    expect(probe.signed()).toEqual(["roundChange 5"]);
    probe.hear(roundChangeOf(2, 6));
    expect(probe.state.round).toBe(6);
  });

  it("needs three of seven for a jump", () => {
    const probe = new Probe(7, 6).hear(roundChangeOf(0, 4), roundChangeOf(1, 3));
    expect(probe.state.round).toBe(0);
    expect(probe.hear(roundChangeOf(2, 2)).state.round).toBe(2);
  });

  it("starts the timer of a later round when a quorum is there, so that all start together", () => {
    const probe = new Probe(4, 3).feed(work).timeout();
    expect(probe.of("startTimer").map(({ round }) => round)).toEqual([0]);
    probe.hear(roundChangeOf(0, 1));
    expect(probe.of("startTimer").map(({ round }) => round)).toEqual([0]);
    // A vote of that round shows as well that its sender is there.
    probe.hear(voteOf("prepare", 2, { round: 1, block: y }));
    expect(probe.of("startTimer").map(({ round }) => round)).toEqual([0, 1]);
  });

  it("proposes a fresh block on a quorum of round changes with nothing prepared", () => {
    const probe = new Probe(4, 1).feed(work).timeout().signAll();
    probe.hear(roundChangeOf(0, 1));
    expect(probe.of("buildBlock")).toEqual([]);
    probe.hear(roundChangeOf(2, 1));
    expect(probe.of("buildBlock")).toEqual([{ kind: "buildBlock", height: 1, round: 1 }]);
    // Round changes to later rounds replace the kept ones; the quorum had been there.
    probe.hear(roundChangeOf(2, 2)).feed({ kind: "built", height: 1, round: 1, block: y });
    const proposal = probe.of("sign").find(({ claim }) => claim.kind === "proposal");
    expect(proposal?.attachments.roundChanges).toHaveLength(3);
    expect(probe.signed()).toEqual(["roundChange 1", "proposal 1", "prepare 1"]);
  });

  it("proposes the highest prepared block again, without building", () => {
    const probe = new Probe(4, 2).feed(work);
    probe.hear(roundChangeOf(0, 2, preparedBy([0, 1, 2], 0, x)));
    probe.hear(roundChangeOf(1, 2, preparedBy([0, 1, 3], 1, y))).signAll();
    expect(probe.of("buildBlock")).toEqual([]);
    const proposal = probe.of("sign").find(({ claim }) => claim.kind === "proposal");
    expect(proposal?.attachments.block?.hash).toBe(y.hash);
    expect(proposal?.attachments.prepares).toHaveLength(3);
    expect(probe.of("checkBlock")).toMatchObject([{ fresh: false }]);
  });
});

describe("sending again", () => {
  it("repeats the messages of the current round until the height is decided", () => {
    const probe = new Probe(4, 1)
      .hear(proposalOf(0, 0, x))
      .check()
      .signAll();
    expect(probe.of("startResend")).toHaveLength(1);
    expect(probe.feed(resend).last).toMatchObject([{ kind: "send", message: { kind: "prepare" } }]);
    probe.timeout().signAll();
    expect(probe.feed(resend).last).toMatchObject([
      { kind: "send", message: { kind: "roundChange", round: 1 } },
    ]);
    probe.hear(...[0, 2, 3].map((validator) => voteOf("commit", validator, at0)));
    expect(probe.of("decide")).toHaveLength(1);
    expect(probe.of("stopResend")).toHaveLength(1);
    expect(probe.feed(resend).last).toEqual([]);
  });
});

describe("heights", () => {
  const next = { height: 2, block: y };

  it("keeps messages of the next height until the block is appended", () => {
    const probe = new Probe(4, 3).hear(roundChangeOf(0, 3, undefined, 2));
    probe.hear(roundChangeOf(1, 3, undefined, 2));
    expect(probe.state.round).toBe(0);
    probe.feed(appendX);
    expect(probe.state).toMatchObject({ height: 2, round: 3 });
    expect(probe.signed()).toEqual(["roundChange 3"]);
  });

  it("begins anew with each height and rotates the proposer by the block before", () => {
    const probe = new Probe(4, 1)
      .hear(proposalOf(0, 0, x))
      .check()
      .signAll()
      .feed(appendX);
    expect(probe.last).toEqual([{ kind: "stopTimer" }, { kind: "stopResend" }]);
    expect(probe.state).toMatchObject({ round: 0, phase: "proposing", work: false });
    probe.feed({ kind: "work", height: 2 });
    expect(probe.of("buildBlock")).toEqual([{ kind: "buildBlock", height: 2, round: 0 }]);
  });

  it("ignores an append of a height that is behind", () => {
    const probe = new Probe(4, 1).feed(appendX).feed(appendX);
    expect(probe.state.height).toBe(2);
  });

  it("takes over the validators of the next height", () => {
    const probe = new Probe(4, 3).hear(voteOf("prepare", 0, at0));
    const tip = { ...tipX, proposers: [1, 2, 0].map(keyOf) };
    probe.feed({ ...appendX, tip, validators: keysOf(3) });
    probe.feed({ kind: "work", height: 2 });
    expect(probe.all.filter(({ kind }) => kind === "startTimer")).toEqual([]);
    expect(positions(probe.state)).toMatchObject([
      { validator: keyOf(0), position: { height: 1, round: 0 } },
      { position: undefined },
      { position: undefined },
    ]);
  });

  it("catches up when f + 1 validators are far ahead, once, and again at each tick", () => {
    const probe = new Probe(4, 3).hear(voteOf("prepare", 0, { ...next, round: 0, height: 9 }));
    expect(probe.of("catchUp")).toEqual([]);
    probe.hear(voteOf("prepare", 1, { ...next, round: 0, height: 7 }));
    expect(probe.of("catchUp")).toEqual([{ kind: "catchUp", height: 7 }]);
    probe.hear(voteOf("commit", 1, { ...next, round: 0, height: 7 }));
    expect(probe.of("catchUp")).toHaveLength(1);
    expect(probe.feed(resend).of("catchUp")).toHaveLength(2);
  });

  it("gives a message on its way one tick when it is behind by one", () => {
    const ahead = [0, 1].map((v) => voteOf("prepare", v, { ...next, round: 0 }));
    const probe = new Probe(4, 3).hear(...ahead);
    expect(probe.all).toEqual([{ kind: "startResend" }]);
    expect(probe.feed(resend).last).toEqual([{ kind: "catchUp", height: 2 }]);
  });

  it("fetches the block when only its commits came", () => {
    const commits = [0, 1, 2].map((validator) => voteOf("commit", validator, at0));
    const probe = new Probe(4, 3).hear(...commits);
    expect(probe.all).toEqual([{ kind: "startResend" }]);
    expect(probe.feed(resend).last).toEqual([{ kind: "catchUp", height: 2 }]);
    expect(probe.hear(proposalOf(0, 0, x)).of("decide")).toHaveLength(1);
  });
});

describe("observers and networks of one", () => {
  it("an observer follows rounds and decides, but signs nothing and starts no timer", () => {
    const probe = new Probe(4, undefined).hear(roundChangeOf(0, 1), roundChangeOf(1, 1));
    expect(probe.state.round).toBe(1);
    probe.hear(proposalOf(0, 0, x));
    probe.hear(...[0, 1, 2].map((validator) => voteOf("commit", validator, at0)));
    expect(probe.all.map(({ kind }) => kind)).toEqual(["decide"]);
  });

  it("a network of one decides by itself", () => {
    const only = blockBy(0, "only", 1);
    const probe = new Probe(1, 0).feed(work);
    probe.feed({ kind: "built", height: 1, round: 0, block: only }).signAll();
    expect(probe.signed()).toEqual(["proposal 0", "prepare 0", "commit 0"]);
    expect(probe.of("decide")[0]?.certificate.signatures).toHaveLength(1);
  });
});

describe("bounds", () => {
  it("keeps a handful of messages for the next height and none beyond", () => {
    const probe = new Probe(4, 3);
    for (let round = 1; round < 200; round += 1)
      probe.hear(
        roundChangeOf(0, round, undefined, 2),
        voteOf("prepare", 0, { round, block: y, height: 2 }),
        voteOf("prepare", 0, { round, block: y, height: 2 + round }),
      );
    expect(probe.state.future.size).toBe(2);
  });

  it("keeps votes of near rounds only, and former blocks up to their number", () => {
    const probe = new Probe(4, 3);
    for (let round = 0; round < 200; round += 1)
      probe.hear(voteOf("commit", 0, { round, block: x }));
    expect(probe.state.votes.size).toBe(limits.roundDistanceMax + 1);
    const changes = (round: number) => [0, 1, 2].map((v) => roundChangeOf(v, round));
    for (let round = 1; round < 40; round += 1) {
      const block = blockBy(round % 4, `${round}`);
      if (round % 4 !== 3)
        probe.hear(proposalOf(round % 4, round, block, { roundChanges: changes(round) }));
    }
    expect(probe.state.round).toBe(38);
    expect(probe.state.blocks).toHaveLength(limits.formerBlocksMax);
  });
});

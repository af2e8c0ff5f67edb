/** The signing record: the same again after a restart, never something else. */
import { describe, expect, it } from "vitest";
import {
  decodeSigningRecord,
  encodeSigningRecord,
  type SigningRecord,
  signingLimit,
} from "../../../src/base/format/signing-record.ts";
import { isForeignUseOfKey } from "../../../src/consensus/signing.ts";
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
const at0 = { round: 0, block: x };
const work = { kind: "work", height: 1 } as const;

/** The record as the disk gives it back. */
function recordOf(probe: Probe): SigningRecord {
  const last = probe.of("sign").at(-1);
  if (last === undefined) throw new Error("nothing was signed");
  return decodeSigningRecord(encodeSigningRecord(last.record));
}

function restarted(probe: Probe, self: number): Probe {
  return new Probe(4, self).feed({ kind: "restored", record: recordOf(probe) });
}

const preparing = () =>
  new Probe(4, 1)
    .hear(proposalOf(0, 0, x))
    .check()
    .signAll();
const committing = () =>
  preparing()
    .hear(voteOf("prepare", 0, at0), voteOf("prepare", 2, at0))
    .signAll();

describe("after a restart", () => {
  it("the proposer sends its proposal and prepare again, and has the block checked anew", () => {
    const before = new Probe(4, 0).feed(work);
    before.feed({ kind: "built", height: 1, round: 0, block: x });
    const probe = restarted(before, 0);
    expect(probe.signed()).toEqual(["proposal 0", "prepare 0"]);
    expect(probe.of("checkBlock")).toMatchObject([{ block: x, fresh: false }]);
    expect(probe.feed(work).of("buildBlock")).toEqual([]);
    probe
      .signAll()
      .check()
      .hear(voteOf("prepare", 2, at0), voteOf("prepare", 3, at0));
    expect(probe.signed()).toEqual(["proposal 0", "prepare 0", "commit 0"]);
  });

  it("a preparer takes the same proposal up again, whatever its age, and no other", () => {
    const probe = restarted(preparing(), 1);
    expect(probe.signed()).toEqual(["prepare 0"]);
    probe.signAll().hear(proposalOf(0, 0, blockBy(0, "other")));
    expect(probe.state.phase).toBe("proposing");
    probe.hear(proposalOf(0, 0, x));
    expect(probe.of("checkBlock")).toMatchObject([{ fresh: false }]);
    probe.check().hear(voteOf("prepare", 0, at0), voteOf("prepare", 2, at0));
    expect(probe.signed()).toEqual(["prepare 0", "commit 0"]);
  });

  it("a committer commits the same and decides without hearing the block again", () => {
    const probe = restarted(committing(), 1);
    expect(probe.signed()).toEqual(["prepare 0", "commit 0"]);
    expect(probe.state).toMatchObject({ phase: "committing", proposal: { valid: true } });
    expect(probe.of("checkBlock")).toEqual([]);
    probe.signAll().hear(voteOf("commit", 0, at0), voteOf("commit", 2, at0));
    expect(probe.of("decide")).toHaveLength(1);
  });

  it("still reports what it prepared", () => {
    const probe = restarted(committing(), 1).signAll().timeout();
    expect(probe.of("sign").at(-1)?.claim).toMatchObject({
      kind: "roundChange",
      round: 1,
      prepared: { round: 0, blockHash: x.hash },
    });
    const again = restarted(probe, 1);
    expect(again.state.round).toBe(1);
    expect(again.of("sign")).toMatchObject([
      { claim: { kind: "roundChange", round: 1 }, attachments: { block: { hash: x.hash } } },
    ]);
  });

  it("with a limit it begins its height as if nothing had been signed there", () => {
    const probe = new Probe(4, 1).feed({ kind: "restored", record: signingLimit(1) });
    expect(probe.state).toMatchObject({ work: false, round: 0, timer: undefined });
    probe.hear(proposalOf(0, 0, x)).check();
    expect(probe.signed()).toEqual(["prepare 0"]);
    expect(isForeignUseOfKey(probe.state, voteOf("commit", 1, at0))).toBe(true);
  });

  it("keeps a limit that was learnt while an older record waited to be restored", () => {
    const probe = new Probe(4, 1).feed({ kind: "restored", record: signingLimit(5) });
    const before = probe.state;
    expect(probe.feed({ kind: "restored", record: signingLimit(4) }).state).toEqual(before);
    for (const height of [5, 6]) {
      const record = { ...signingLimit(height), round: 3 };
      expect(probe.feed({ kind: "restored", record }).state.record).toEqual(record);
    }
  });

  it("with a limit above its height it signs nothing before it is there", () => {
    const probe = new Probe(4, 1).feed({ kind: "restored", record: signingLimit(2) });
    probe.hear(proposalOf(0, 0, x)).check();
    expect(probe.signed()).toEqual([]);
    expect(isForeignUseOfKey(probe.state, voteOf("commit", 1, at0))).toBe(false);
    const tip = { height: 1, hash: x.hash, proposers: proposersAfter(0) };
    probe.feed({ kind: "appended", tip, validators: keysOf(4) });
    expect(probe.state.work).toBe(false);
    probe.feed({ kind: "work", height: 2 }).timeout();
    expect(probe.signed()).toEqual(["roundChange 1"]);
  });

  it("goes on with the timer of its round", () => {
    const before = new Probe(4, 3).hear(roundChangeOf(0, 5), roundChangeOf(1, 5));
    const probe = restarted(before, 3);
    expect(probe.state.round).toBe(5);
    expect(probe.of("startTimer")).toEqual([]);
    probe.hear(roundChangeOf(0, 5), roundChangeOf(1, 5));
    expect(probe.of("startTimer")).toMatchObject([{ round: 5, durationMs: 4_000 }]);
  });

  it("does not report an older block for a round it committed in", () => {
    const certificate = preparedBy([0, 1, 2], 0, x);
    const before = new Probe(4, 3)
      .hear(proposalOf(0, 0, x))
      .check()
      .signAll();
    before.hear(voteOf("prepare", 0, at0), voteOf("prepare", 1, at0)).signAll();
    before.timeout().signAll();
    const roundChanges = [
      roundChangeOf(0, 1, certificate),
      roundChangeOf(1, 1),
      roundChangeOf(2, 1),
    ];
    const { prepares } = certificate;
    before
      .hear(proposalOf(1, 1, x, { roundChanges, prepares }))
      .check()
      .signAll();
    const at1 = { round: 1, block: x };
    before.hear(voteOf("prepare", 0, at1), voteOf("prepare", 1, at1)).signAll();
    expect(before.signed().slice(-3)).toEqual(["roundChange 1", "prepare 1", "commit 1"]);
    expect(restarted(before, 3).signed()).toEqual(["prepare 1", "commit 1"]);
  });
});

describe("what a record binds", () => {
  const y = blockBy(1, "y");
  const roundChange = { kind: "roundChange", height: 1, round: 1, prepared: undefined } as const;
  const prepareY = { kind: "prepare", height: 1, round: 1, blockHash: y.hash } as const;
  const record: SigningRecord = {
    height: 1,
    round: 1,
    claims: [roundChange, prepareY],
    proposal: undefined,
    prepared: undefined,
  };
  const roundChanges = [0, 1, 2].map((validator) => roundChangeOf(validator, 1));
  const restored = () => new Probe(4, 3).feed({ kind: "restored", record });

  it("is the block voted for after a round change of the same round", () => {
    const probe = restored();
    probe.hear(proposalOf(1, 1, blockBy(1, "other"), { roundChanges }));
    expect(probe.of("checkBlock")).toEqual([]);
    probe.hear(proposalOf(1, 1, y, { roundChanges }));
    expect(probe.of("checkBlock")).toMatchObject([{ block: { hash: y.hash }, fresh: false }]);
  });

  it("is nothing in a later round", () => {
    const other = blockBy(2, "other");
    const to2 = [0, 1, 2].map((validator) => roundChangeOf(validator, 2));
    const probe = restored().hear(proposalOf(2, 2, other, { roundChanges: to2 }));
    expect(probe.of("checkBlock")).toMatchObject([{ block: { hash: other.hash }, fresh: true }]);
  });

  it("is signed again with what came along, and nothing else", () => {
    const before = committing().timeout().signAll();
    const { attachments } = before.of("sign").at(-1) ?? {};
    expect(attachments).toMatchObject({ block: { hash: x.hash }, roundChanges: [] });
    expect(attachments?.prepares).toHaveLength(3);
    const [again, ...rest] = restarted(before, 1).of("sign");
    expect(rest).toEqual([]);
    expect(again?.attachments).toEqual(attachments);
    const none = { block: undefined, roundChanges: [], prepares: [] };
    expect(
      restored()
        .of("sign")
        .map((effect) => effect.attachments),
    ).toEqual([none, none]);
  });

  it("is not sent again when its prepared block is not there, as no core records it", () => {
    const prepared = { round: 0, blockHash: x.hash };
    const claims = [{ ...roundChange, prepared }];
    const probe = new Probe(4, 3).feed({ kind: "restored", record: { ...record, claims } });
    expect(probe.all).toEqual([{ kind: "startResend" }]);
    expect(probe.state).toMatchObject({ round: 1, phase: "proposing", work: true });
  });
});

describe("with the ledger wiped and the record kept", () => {
  const y = blockBy(1, "y");
  const record: SigningRecord = {
    height: 2,
    round: 3,
    claims: [{ kind: "prepare", height: 2, round: 3, blockHash: y.hash }],
    proposal: undefined,
    prepared: undefined,
  };
  const append = (height: number) => {
    const tip = { height, hash: x.hash, proposers: proposersAfter(0) };
    return { kind: "appended", tip, validators: keysOf(4) } as const;
  };

  it("signs nothing below the record, the same at it, and goes on above", () => {
    const probe = new Probe(4, 1).feed({ kind: "restored", record });
    probe
      .hear(proposalOf(0, 0, x))
      .check()
      .feed(work);
    expect(probe.signed()).toEqual([]);
    expect(probe.of("startTimer")).toEqual([]);
    probe.feed(append(1));
    expect(probe.signed()).toEqual(["prepare 3"]);
    expect(probe.state).toMatchObject({ height: 2, round: 3 });
    probe.feed(append(2)).feed({ kind: "work", height: 3 }).timeout();
    expect(probe.signed()).toEqual(["prepare 3", "roundChange 1"]);
  });

  it("skips the record when the blocks already lead beyond it", () => {
    const probe = new Probe(4, 1).feed({ kind: "restored", record }).feed(append(5));
    expect(probe.signed()).toEqual([]);
    expect(probe.state.round).toBe(0);
  });
});

describe("with the record lost", () => {
  it("abstains through the given height, follows meanwhile, and votes above", () => {
    const probe = new Probe(4, 1, { abstainThroughHeight: 1 });
    probe
      .feed(work)
      .hear(proposalOf(0, 0, x))
      .check();
    // A quorum of prepares would make it commit.
    probe.hear(...[0, 2, 3].map((validator) => voteOf("prepare", validator, at0)));
    expect(probe.state.phase).toBe("committing");
    probe.hear(...[0, 2, 3].map((validator) => voteOf("commit", validator, at0)));
    expect(probe.signed()).toEqual([]);
    expect(probe.of("startTimer")).toEqual([]);
    expect(probe.of("decide")).toHaveLength(1);
    expect(probe.all.map(({ kind }) => kind)).toEqual(["checkBlock", "decide"]);
    const tip = { height: 1, hash: x.hash, proposers: proposersAfter(0) };
    probe.feed({ kind: "appended", tip, validators: keysOf(4) });
    probe.feed({ kind: "work", height: 2 });
    expect(probe.of("buildBlock")).toHaveLength(1);
  });
});

it("with a record, but to abstain, nothing is signed again, and the node is in its round", () => {
  const before = committing().timeout();
  const probe = new Probe(4, 1, { abstainThroughHeight: 1 });
  probe.feed({ kind: "restored", record: recordOf(before) });
  expect(probe.all).toEqual([]);
  expect(probe.state).toMatchObject({ round: 1, prepared: { round: 0 } });
});

describe("another process with the same key", () => {
  const own = (round: number, block = x, height = 1) =>
    voteOf("prepare", 1, { round, block, height });

  it("is noticed by a message this node did not sign", () => {
    const { state } = preparing();
    expect(isForeignUseOfKey(state, own(0, blockBy(0, "other")))).toBe(true);
    expect(isForeignUseOfKey(state, own(1))).toBe(true);
    expect(isForeignUseOfKey(state, own(0, x, 2))).toBe(true);
    expect(isForeignUseOfKey(state, voteOf("commit", 1, at0))).toBe(true);
    expect(isForeignUseOfKey(new Probe(4, 1).state, own(0))).toBe(true);
    const later = preparing().timeout().state;
    expect(later.record?.round).toBe(1);
    expect(isForeignUseOfKey(later, own(0, x, 2))).toBe(true);
  });

  it("is told from the own votes of one round, each by its kind", () => {
    const { state } = committing();
    expect(isForeignUseOfKey(state, own(0))).toBe(false);
    expect(isForeignUseOfKey(state, voteOf("commit", 1, at0))).toBe(false);
    const other = { round: 0, block: blockBy(0, "other") };
    expect(isForeignUseOfKey(state, voteOf("commit", 1, other))).toBe(true);
    expect(isForeignUseOfKey(state, voteOf("prepare", 1, other))).toBe(true);
  });

  it("is not suspected for the own messages, older ones, and those of others", () => {
    const { state } = preparing();
    expect(isForeignUseOfKey(state, own(0))).toBe(false);
    expect(isForeignUseOfKey(preparing().timeout().state, own(0))).toBe(false);
    expect(isForeignUseOfKey(state, voteOf("commit", 2, at0))).toBe(false);
    const record = { ...recordOf(preparing()), height: 2 };
    expect(isForeignUseOfKey({ ...state, record }, own(3))).toBe(false);
  });
});

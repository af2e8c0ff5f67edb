/**
 * What must never happen stops the core, before it signs anything: each assertion of src/consensus
 * is shown to fire, on a state or a shell that is broken on purpose.
 */
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../../src/base/assert.ts";
import { blockOf } from "../../../src/base/format/block.ts";
import { type SigningRecord, signingLimit } from "../../../src/base/format/signing-record.ts";
import type { ConsensusEvent } from "../../../src/consensus/event.ts";
import { proposerAt } from "../../../src/consensus/proposer.ts";
import { moveTo } from "../../../src/consensus/rules.ts";
import { maySign, messageOf, sign } from "../../../src/consensus/signing.ts";
import { heightState, initialState } from "../../../src/consensus/state.ts";
import { keyOf } from "../../sim/fake-keys.ts";
import { blockBy, keysOf, Probe, roundChangeOf } from "../../sim/probe.ts";

const x = blockBy(0, "x");
const work = { kind: "work", height: 1 } as const;
const noAttachments = { block: undefined, roundChanges: [], prepares: [] };
const prepareX = { kind: "prepare", height: 1, round: 0, blockHash: x.hash } as const;
const tip = { height: 0, hash: x.hash, proposers: keysOf(4) };

/** Runs something that breaks an invariant. @returns What the assertion says. */
function broken(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof AssertionError) return error.message.replace("broken invariant: ", "");
    throw error;
  }
  return "nothing";
}

describe("the validators that the shell names", () => {
  const start = (validators: readonly string[], proposers = [...validators]) =>
    broken(() => initialState({ self: keyOf(0), tip: { ...tip, proposers }, validators }));

  it("are at least one", () => {
    expect(start([])).toBe("there is at least one validator");
    expect(start(keysOf(1))).toBe("nothing");
  });

  it.each([
    ["out of order", [keyOf(1), keyOf(0), keyOf(2)]],
    ["out of order at the end", [keyOf(0), keyOf(2), keyOf(1)]],
    ["the same twice", [keyOf(0), keyOf(0), keyOf(1)]],
  ])("are not %s", (_name, validators) => {
    expect(start(validators)).toBe("validators are sorted and distinct");
  });

  it.each([
    ["one fewer", keysOf(3)],
    ["one more", keysOf(5)],
    ["another one", [...keysOf(3), keyOf(9)]],
    ["one twice", [...keysOf(3), keyOf(0)]],
  ])("each propose in their turn, not %s", (_name, proposers) => {
    expect(start(keysOf(4), proposers)).toBe("every validator proposes in its turn");
    expect(start(keysOf(4), [...keysOf(4)].reverse())).toBe("nothing");
  });

  it("are looked at with every height", () => {
    const validators = [keyOf(1), keyOf(0)];
    const append = { kind: "appended", tip: { ...tip, height: 1 }, validators } as const;
    expect(broken(() => new Probe(4, 0).feed(append))).toBe("validators are sorted and distinct");
  });
});

describe("a block that the shell built", () => {
  const { header, transactions } = x;
  const offer = (changed: Partial<typeof header>) => {
    const block = blockOf({ ...header, ...changed }, transactions);
    const built = { kind: "built", height: 1, round: 0, block } as const;
    return broken(() => new Probe(4, 0).feed(work).feed(built));
  };

  it("names this node, this height and the tip", () => {
    expect(offer({})).toBe("nothing");
    expect(offer({ proposer: keyOf(1) })).toBe("a fresh block names its proposer");
    expect(offer({ height: 2 })).toBe("a fresh block is of this height");
    expect(offer({ parentHash: x.hash })).toBe("a fresh block extends the tip");
  });
});

describe("signing", () => {
  const { state } = new Probe(4, 1);

  it("is for claims of the present height and round", () => {
    const signing = (claim: Parameters<typeof sign>[1]) =>
      broken(() => sign(state, claim, noAttachments));
    expect(signing(prepareX)).toBe("nothing");
    expect(signing({ ...prepareX, height: 2 })).toBe("a claim is of this round");
    expect(signing({ ...prepareX, round: 1 })).toBe("a claim is of this round");
  });

  it("goes upwards only", () => {
    const { state: signed } = sign(state, { ...prepareX, kind: "commit" }, noAttachments);
    expect(broken(() => sign(signed, prepareX, noAttachments))).toBe(
      "a claim is signed above the slot of the record",
    );
  });

  it("of a proposal needs its block", () => {
    const proposal = { ...prepareX, kind: "proposal" } as const;
    const signer = { validator: keyOf(1), signature: new Uint8Array(64) };
    const expected = "a proposal has a block";
    expect(broken(() => sign(state, proposal, noAttachments))).toBe(expected);
    expect(broken(() => messageOf(proposal, noAttachments, signer))).toBe(expected);
  });

  it("begins at the height of a limit, in any round and with any kind", () => {
    for (const kind of ["roundChange", "proposal", "prepare", "commit"] as const) {
      expect(maySign({ ...state, record: signingLimit(1) }, kind)).toBe(true);
      expect(maySign({ ...state, record: signingLimit(1), round: 3 }, kind)).toBe(true);
      expect(maySign({ ...state, record: signingLimit(2) }, kind)).toBe(false);
    }
  });

  it("of a lower round than the record's is refused, whatever the kind", () => {
    const record: SigningRecord = { ...noRecord, round: 3 };
    expect(maySign({ ...state, record }, "commit")).toBe(false);
    expect(maySign({ ...state, record, round: 3 }, "commit")).toBe(true);
    expect(maySign({ ...state, record, round: 3 }, "prepare")).toBe(false);
  });
});

const noRecord: SigningRecord = {
  height: 1,
  round: 0,
  claims: [prepareX],
  proposal: undefined,
  prepared: undefined,
};

describe("rounds", () => {
  it("ascend", () => {
    const { state } = new Probe(4, 1);
    expect(moveTo(state, 1).round).toBe(1);
    expect(broken(() => moveTo(state, 0))).toBe("the round of a height ascends");
  });

  it("begin with nothing of the former one", () => {
    const probe = new Probe(4, 1).feed(work).timeout().signAll();
    probe.hear(roundChangeOf(0, 1), roundChangeOf(2, 1));
    expect(probe.state.justification).toHaveLength(3);
    expect(moveTo(probe.state, 2)).toMatchObject({ justification: [], own: [], build: "none" });
    expect(heightState(tip, keysOf(4))).toMatchObject({ justification: [], blocks: [], own: [] });
  });

  it("each have a proposer", () => {
    expect(broken(() => proposerAt([], 0))).toBe("every round has a proposer");
  });

  it("rest on round changes that came with their blocks", () => {
    const probe = new Probe(4, 1);
    const bare = [0, 2, 3].map((validator) => {
      const prepared = { round: 0, blockHash: x.hash };
      return [keyOf(validator), { ...roundChangeOf(validator, 1), prepared }] as const;
    });
    probe.state = { ...probe.state, round: 1, roundChanges: new Map(bare) };
    expect(broken(() => probe.feed(work))).toBe("a kept round change has its prepared block");
  });
});

it("an event of a kind that is none stops the core", () => {
  const event = { kind: "sleep" } as unknown as ConsensusEvent;
  expect(() => new Probe(4, 1).feed(event)).toThrow(/unreachable value: \{"kind":"sleep"\}/);
});

/**
 * What the simulator's checkers compute by themselves: that it is what the rules say, and that the
 * checkers refuse what they must.
 */
import { describe, expect, it } from "vitest";
import { encodeReceipt } from "../../../src/base/format/receipt.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import { stateRootOf } from "../../../src/base/proof/state-proof.ts";
import { SignedSlots } from "../checkers.ts";
import { headerHashOf, receiptBytesOf } from "./block-bytes.ts";
import { calmBounds, calmFault } from "./calm.ts";
import { worldGenesis } from "./chain.ts";
import { HashedState, listRoot } from "./merkle.ts";
import { planOf } from "./plan.ts";

const blockHash = "ab".repeat(32);
const vote = (kind: "prepare" | "commit", round: number) =>
  ({ kind, height: 1, round, blockHash }) as const;
const roundChange = (round: number) =>
  ({ kind: "roundChange", height: 1, round, prepared: undefined }) as const;

describe("what one key signs", () => {
  it("does not sink to a lower slot because a claim was signed again", () => {
    const slots = new SignedSlots();
    for (const claim of [vote("prepare", 0), roundChange(1), vote("prepare", 0)]) slots.sign(claim);
    expect(() => slots.sign(vote("commit", 0))).toThrow("below the highest slot");
  });

  it("is one thing in one slot", () => {
    const slots = new SignedSlots();
    slots.sign(vote("prepare", 0));
    expect(() => slots.sign({ ...vote("prepare", 0), blockHash: "cd".repeat(32) })).toThrow("two");
  });
});

describe("roots and hashes of their own", () => {
  it("are those of RFC 6962 for lists of 0 to 20", () => {
    for (let count = 0; count <= 20; count += 1) {
      const items = Array.from({ length: count }, (_, index) => Uint8Array.of(index, count));
      expect(listRoot(items), `${count}`).toBe(merkleRoot(items));
    }
  });

  it("are those of the state tree, whatever was there in between", () => {
    const keys = ["a", "a/b", "ab", "b", "sim/total/k0", "ü", "zz"].sort();
    const entries = keys.map((key) => [key, `value of ${key}`] as const);
    const state = new HashedState(entries);
    state.set("between", blockHash);
    expect(state.root()).not.toBe(stateRootOf(entries));
    state.set("between", undefined);
    expect(state.root()).toBe(stateRootOf(entries));
    expect(new HashedState().root()).toBe(stateRootOf([]));
  });

  it("are those of the formats", () => {
    const genesis = worldGenesis(planOf(1));
    expect(headerHashOf(genesis.header)).toBe(genesis.chainId);
    const change = (index: number) => ({ key: `k${index}`, valueHash: blockHash });
    const receipt = {
      transactionId: blockHash,
      outcome: "SOME_LONGER_OUTCOME_THAN_FITS_ONE_BYTE",
      gasUsed: 70_000,
      events: [{ contract: "sim", topic: "add", json: `"${"x".repeat(300)}"` }],
      changes: [
        ...Array.from({ length: 20 }, (_, i) => change(i)),
        { key: "z", valueHash: undefined },
      ],
    };
    expect(receiptBytesOf(receipt).equals(encodeReceipt(receipt))).toBe(true);
  });
});

describe("the calm", () => {
  const good = { sent: 5, slowestMs: 900, settledMs: 800, rounds: [0, 0, 0, 0], isWhole: true };

  it("is held to what all validators can do when they are well", () => {
    expect(calmFault(good)).toBeUndefined();
    expect(calmFault({ ...good, sent: 0 })).toContain("nothing was sent");
    expect(calmFault({ ...good, slowestMs: calmBounds.slowestWholeMs + 1 })).toContain("took");
    expect(calmFault({ ...good, rounds: [0, 1, 0, 0] })).toBeUndefined();
    expect(calmFault({ ...good, rounds: [0, 1, 0, 1] })).toContain("after round 0");
    expect(calmFault({ ...good, rounds: [0, 2, 0, 0] })).toContain("after round 0");
    expect(calmFault({ ...good, rounds: [0, 2, 0, 0], isWhole: false })).toBeUndefined();
  });
});

/**
 * State root and proof verification against proofs written out by hand, forged and malformed.
 * Proofs made by the tree are in test/property/state-tree.test.ts.
 *
 * Mutations that make these tests fail: split bit left out of the inner hash; `proof.leaf.key ===
 * key` not checked; `left.length > 0` without `before` allowed; `after` not compared with `to`;
 * the end bit of keys dropped.
 */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../../src/base/assert.ts";
import { valueHashOf } from "../../../src/base/hash.ts";
import {
  emptyStateRoot,
  isStateKey,
  type RangeProof,
  stateRootOf,
  verifyAbsence,
  verifyInclusion,
  verifyRange,
} from "../../../src/base/proof/state-proof.ts";
import { seedOf } from "../../helpers/seed.ts";
import { bitsOf, referenceRoot } from "./state-reference.ts";

const seed = seedOf(1);

// Four keys, one of which begins another. Bit strings: a = 1 01100001 0, b = 1 01100010 0.
//   root: bit 7 (0110000|1 against 0110001|0)
//     left: bit 9, the end of "a" against more: "a" | "aa"
//     right: bit 9, the end of "b" against more: "b" | "bz"
const [valueA, valueAa, valueB, valueBz] = ["1", "2", "3", "4"].map(valueHashOf) as [
  string,
  string,
  string,
  string,
];
const leafA = leafHash("a", valueA);
const leafAa = leafHash("aa", valueAa);
const leafB = leafHash("b", valueB);
const leafBz = leafHash("bz", valueBz);
const nodeA = innerHash(9, leafA, leafAa);
const nodeB = innerHash(9, leafB, leafBz);
const root = innerHash(7, nodeA, nodeB);

function leafHash(key: string, valueHash: string): string {
  return createHash("sha256").update("\x02").update(valueHash, "hex").update(key).digest("hex");
}

function innerHash(splitBit: number, left: string, right: string): string {
  const head = Buffer.of(3, 0, splitBit);
  return createHash("sha256").update(head).update(left, "hex").update(right, "hex").digest("hex");
}

describe("state root", () => {
  it("is SHA-256 of nothing for the empty state", () => {
    expect(stateRootOf([])).toBe(createHash("sha256").digest("hex"));
    expect(emptyStateRoot).toBe(stateRootOf([]));
  });

  it("is the leaf's hash for one key", () => {
    expect(stateRootOf([["b", "3"]])).toBe(leafB);
  });

  it("is built as the specification says", () => {
    const entries = [
      ["a", "1"],
      ["aa", "2"],
      ["b", "3"],
      ["bz", "4"],
    ] as const;
    expect(stateRootOf(entries)).toBe(root);
  });

  it("equals the plainest recursive form, prefixes and all planes of Unicode included", () => {
    const aKey = fc
      .array(fc.constantFrom("a", "b", "/", "\0", "é", "\uffff", "😀"), {
        minLength: 1,
        maxLength: 9,
      })
      .map((chars) => chars.join(""));
    fc.assert(
      fc.property(fc.dictionary(aKey, fc.string({ maxLength: 5 }), { maxKeys: 20 }), (state) => {
        const entries = Object.entries(state).sort(([one], [other]) =>
          bitsOf(one) < bitsOf(other) ? -1 : 1,
        );
        const hashed = entries.map(([key, value]) => [key, valueHashOf(value)] as const);
        expect(stateRootOf(entries)).toBe(referenceRoot(hashed));
      }),
      { seed, numRuns: 200 },
    );
  });

  it("insists on ascending, permitted keys", () => {
    for (const keys of [
      ["b", "a"],
      ["a", "a"],
      [""],
      ["\ud800"],
      ["x".repeat(257)],
      ["é".repeat(129)],
    ])
      expect(() => stateRootOf(keys.map((key) => [key, ""])), `${keys}`).toThrow(AssertionError);
    expect(isStateKey("é".repeat(128))).toBe(true);
  });
});

describe("inclusion proof", () => {
  const proof = {
    path: [
      [7, nodeA],
      [9, leafBz],
    ] as const,
  };
  const leaf = { key: "b", valueHash: valueB };

  it("verifies", () => {
    expect(verifyInclusion(proof, leaf, root)).toBe(true);
    expect(verifyInclusion({ path: [] }, leaf, leafB)).toBe(true);
  });

  it("refuses another key, value hash, split bit, sibling or root", () => {
    expect(verifyInclusion(proof, { ...leaf, key: "c" }, root)).toBe(false);
    expect(verifyInclusion(proof, { ...leaf, valueHash: valueA }, root)).toBe(false);
    expect(
      verifyInclusion(
        {
          path: [
            [6, nodeA],
            [9, leafBz],
          ],
        },
        leaf,
        root,
      ),
    ).toBe(false);
    expect(
      verifyInclusion(
        {
          path: [
            [7, nodeB],
            [9, leafBz],
          ],
        },
        leaf,
        root,
      ),
    ).toBe(false);
    expect(verifyInclusion({ path: [[9, leafBz]] }, leaf, root)).toBe(false);
    expect(verifyInclusion(proof, leaf, nodeB)).toBe(false);
  });
});

describe("absence proof", () => {
  const path = [
    [7, nodeA],
    [9, leafB],
  ] as const;

  it("verifies by the leaf to which the bits of the absent key lead", () => {
    expect(verifyAbsence({ leaf: { key: "bz", valueHash: valueBz }, path }, "by", root)).toBe(true);
    expect(verifyAbsence({ path: [] }, "by", emptyStateRoot)).toBe(true);
  });

  it("refuses the leaf of a present key itself, and a leaf to which its bits do not lead", () => {
    const leaves = [
      [
        { key: "a", valueHash: valueA },
        [
          [7, nodeB],
          [9, leafAa],
        ],
      ],
      [
        { key: "aa", valueHash: valueAa },
        [
          [7, nodeB],
          [9, leafA],
        ],
      ],
      [
        { key: "b", valueHash: valueB },
        [
          [7, nodeA],
          [9, leafBz],
        ],
      ],
      [
        { key: "bz", valueHash: valueBz },
        [
          [7, nodeA],
          [9, leafB],
        ],
      ],
    ] as const;
    for (const key of ["a", "aa", "b", "bz"])
      for (const [leaf, path] of leaves)
        expect(verifyAbsence({ leaf, path }, key, root), `${key} by ${leaf.key}`).toBe(false);
  });

  it("refuses to call a state empty that is not", () => {
    expect(verifyAbsence({ path: [] }, "by", root)).toBe(false);
    expect(verifyAbsence({ path }, "by", emptyStateRoot)).toBe(false);
  });
});

describe("range proof", () => {
  const before = { key: "a", valueHash: valueA };
  const after = { key: "bz", valueHash: valueBz };
  const entries = [
    ["aa", valueAa],
    ["b", valueB],
  ] as const;
  const proof: RangeProof = { before, after, left: [], right: [] };
  const range = { from: "a0", to: "bz" };
  const verify = (changes: Partial<RangeProof>, claim: object = {}) =>
    verifyRange({ ...proof, ...changes }, { range, entries, ...claim }, root);

  it("verifies with both neighbours, one, and none", () => {
    expect(verify({})).toBe(true);
    const left = { before: undefined, left: [], after: { key: "aa", valueHash: valueAa } };
    const claimLeft = { range: { from: "", to: "aa" }, entries: [["a", valueA]] };
    expect(verify({ ...left, right: [[7, nodeB]] }, claimLeft)).toBe(true);
    const right = { before: { key: "b", valueHash: valueB }, after: undefined, right: [] };
    const claimRight = { range: { from: "b0" }, entries: [["bz", valueBz]] };
    expect(verify({ ...right, left: [[7, nodeA]] }, claimRight)).toBe(true);
    const all = [["a", valueA], ...entries, ["bz", valueBz]];
    expect(
      verify({ before: undefined, after: undefined }, { range: { from: "" }, entries: all }),
    ).toBe(true);
  });

  it("verifies an empty range and an empty state", () => {
    const between = {
      before: { key: "aa", valueHash: valueAa },
      after: { key: "b", valueHash: valueB },
    };
    // Split bits ascend towards the leaf on each side; the fork between both leaves has bit 7.
    const claim = { range: { from: "aaa", to: "b" }, entries: [] };
    expect(verify({ ...between, left: [[9, leafA]], right: [[9, leafBz]] }, claim)).toBe(true);
    const nothing: RangeProof = { left: [], right: [] };
    expect(verifyRange(nothing, { range: { from: "" }, entries: [] }, emptyStateRoot)).toBe(true);
    expect(verifyRange(nothing, { range: { from: "" }, entries: [] }, root)).toBe(false);
  });

  it("refuses entries that are dropped, added, changed, out of order or out of range", () => {
    const [first, second] = entries;
    for (const forged of [
      [],
      [first],
      [second],
      [second, first],
      [first, first, second],
      [first, ["ab", valueA], second],
      [first, ["b", valueA]],
      [["a", valueA], first, second],
      [first, second, ["bz", valueBz]],
    ])
      expect(verify({}, { entries: forged }), JSON.stringify(forged)).toBe(false);
  });

  it("refuses to hide keys beyond a neighbour that does not bound the range", () => {
    expect(verify({}, { range: { from: "a", to: "bz" } })).toBe(false);
    expect(verify({}, { range: { from: "a0", to: "bzz" } })).toBe(false);
    expect(verify({}, { range: { from: "a0" } })).toBe(false);
    // "aa" hidden in a closed node on the left, with no leaf before it.
    const hidden = { before: undefined, left: [[7, nodeA]] } as const;
    expect(verify(hidden, { range: { from: "", to: "bz" }, entries: [["b", valueB]] })).toBe(false);
    const hiddenRight = { before, after: undefined, right: [[7, nodeB]] } as const;
    expect(verify(hiddenRight, { range: { from: "a0" }, entries: [["aa", valueAa]] })).toBe(false);
  });

  it("refuses entries that the opened leaves bear out but the range does not hold", () => {
    expect(verify({}, { range: { from: "ab", to: "bz" } })).toBe(false);
    expect(verify({}, { range: { from: "a0", to: "b" } })).toBe(false);
  });

  it("refuses a range that ends before it begins", () => {
    const gap = {
      before: { key: "aa", valueHash: valueAa },
      after: { key: "b", valueHash: valueB },
      left: [[9, leafA]],
      right: [[9, leafBz]],
    } as const;
    expect(verify(gap, { range: { from: "ab", to: "b" }, entries: [] })).toBe(true);
    expect(verify(gap, { range: { from: "b", to: "ab" }, entries: [] })).toBe(false);
    for (const to of ["a0", "a", ""]) expect(verify({}, { range: { from: "a0", to } })).toBe(false);
  });

  it("refuses equal split bits side by side", () => {
    const left = [
      [7, nodeA],
      [7, nodeA],
    ] as const;
    expect(verify({ before: { key: "b", valueHash: valueB }, left }, { entries: [] })).toBe(false);
  });
});

describe("verifiers of the state", () => {
  it("answer false to anything malformed, and never throw", () => {
    const leaf = { key: "b", valueHash: valueB };
    const junk = fc.oneof(
      fc.anything(),
      fc.json().map((text) => JSON.parse(text) as unknown),
    );
    const aPath = fc.oneof(junk, fc.array(fc.oneof(junk, fc.tuple(junk, junk))));
    const aProof = fc.oneof(
      junk,
      fc.record({ path: aPath, leaf: junk, before: junk, after: junk, left: aPath, right: aPath }),
    );
    const aClaim = fc.record({
      range: fc.oneof(junk, fc.record({ from: junk, to: junk }), fc.constant({ from: "" })),
      entries: fc.oneof(junk, fc.array(fc.oneof(junk, fc.tuple(junk, junk)))),
    });
    fc.assert(
      fc.property(aProof, aClaim, junk, (proof, claim, other) => {
        expect(verifyInclusion(proof as never, leaf, root)).toBe(false);
        expect(verifyInclusion({ path: [] }, other as never, root)).toBe(false);
        expect(verifyAbsence(proof as never, "by", root)).toBe(false);
        expect(verifyAbsence({ path: [] }, other as never, root)).toBe(false);
        expect(verifyRange(proof as never, claim as never, root)).toBe(false);
        expect(verifyRange({ left: [], right: [] }, claim as never, root)).toBe(false);
      }),
      { seed, numRuns: 500 },
    );
  });

  it("refuse paths longer than a key has bits", () => {
    const path = Array.from({ length: 2_305 }, (_, bit) => [bit, nodeA] as const);
    expect(verifyInclusion({ path }, { key: "b", valueHash: valueB }, root)).toBe(false);
    expect(verifyInclusion({ path: [[2_304, nodeA]] }, { key: "b", valueHash: valueB }, root)).toBe(
      false,
    );
  });
});

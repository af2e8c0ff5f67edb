/**
 * Property: the state tree is a sorted map with an honest root, whatever happened before, and its
 * proofs prove what is so and nothing else.
 *
 * Method: random batches of changes go to the tree and to a `Map`. The root is compared with the
 * recursive reference form; keys mix prefixes, zero bytes and all planes of Unicode. Forgeries are
 * tried exhaustively on small states: every changed character of a proof, every hidden entry, every
 * proof of one thing offered for another.
 *
 * Mutations that make these tests fail: nodes edited in place when they have a hash; a fork put
 * below instead of above the later split; the sibling not moved up on removal; sides swapped in
 * `pendingFrom`; `isCut` always false; `#siblingsBeside` without its side.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../src/base/assert.ts";
import { compareUtf8 } from "../../src/base/bytes.ts";
import { isLedgerError } from "../../src/base/errors.ts";
import { valueHashOf } from "../../src/base/hash.ts";
import {
  type AbsenceProof,
  type InclusionProof,
  stateRootOf,
  verifyAbsence,
  verifyInclusion,
  verifyRange,
} from "../../src/base/proof/state-proof.ts";
import { type ProvenRange, StateTree } from "../../src/ledger/state-tree.ts";
import { seedOf } from "../helpers/seed.ts";
import { type ReferenceEntry, referenceRoot } from "../unit/base/state-reference.ts";

const seed = seedOf(1);

type Model = ReadonlyMap<string, string>;
type Change = readonly [key: string, valueHash: string | undefined];

const aKey = fc
  .array(fc.constantFrom("a", "b", "/", "\0", "é", "\uffff", "😀"), { minLength: 1, maxLength: 6 })
  .map((chars) => chars.join(""));
const aBound = fc.oneof(aKey, fc.constant(""));
const aHash = fc.nat(5).map((value) => valueHashOf(String(value)));
const aBatch = fc.uniqueArray(
  fc.tuple(aKey, fc.option(aHash, { nil: undefined, freq: 3 })) as fc.Arbitrary<Change>,
  { maxLength: 25, selector: ([key]) => key },
);
const aState = fc.dictionary(aKey, aHash, { maxKeys: 12 }).map((state) => sorted(state));

function sorted(state: Record<string, string>): ReferenceEntry[] {
  return Object.entries(state).sort(([one], [other]) => compareUtf8(one, other));
}

function ascending<T extends readonly [string, unknown]>(changes: readonly T[]): T[] {
  return changes.toSorted(([one], [other]) => compareUtf8(one, other));
}

function changed(model: Model, changes: readonly Change[]): Model {
  const next = new Map(model);
  for (const [key, hash] of changes) {
    if (hash === undefined) next.delete(key);
    else next.set(key, hash);
  }
  return next;
}

function expectSame(tree: StateTree, model: Model): void {
  const entries = ascending([...model]);
  expect(tree.root).toBe(referenceRoot(entries));
  expect(tree.size).toBe(model.size);
  expect(tree.keys()).toEqual(entries.map(([key]) => key));
  for (const [key, hash] of entries) expect(tree.get(key)).toBe(hash);
}

describe("state tree", () => {
  it("is the model after every batch, and old versions stay as they were", () => {
    fc.assert(
      fc.property(fc.array(aBatch, { maxLength: 6 }), (batches) => {
        const versions: [StateTree, Model][] = [[StateTree.empty(), new Map()]];
        for (const batch of batches) {
          const [tree, model] = versions.at(-1) as [StateTree, Model];
          versions.push([tree.apply(ascending(batch)), changed(model, batch)]);
        }
        for (const [tree, model] of versions) expectSame(tree, model);
      }),
      { seed, numRuns: 150 },
    );
  });

  it("has one root for one content: one batch, single steps in any order, sorted build", () => {
    fc.assert(
      fc.property(aState, fc.infiniteStream(fc.nat()), (entries, random) => {
        const tree = StateTree.fromSorted(entries);
        expect(StateTree.empty().apply(entries).root).toBe(tree.root);
        const shuffled = entries
          .map((entry) => [random.next().value as number, entry] as const)
          .sort(([one], [other]) => one - other);
        let stepwise = StateTree.empty();
        for (const [, entry] of shuffled) stepwise = stepwise.apply([entry]);
        expect(stepwise.root).toBe(tree.root);
        for (const [, [key]] of shuffled.toReversed())
          stepwise = stepwise.apply([[key, undefined]]);
        expect(stepwise.root).toBe(StateTree.empty().root);
      }),
      { seed, numRuns: 100 },
    );
  });

  it("has the root that verifiers compute from the values", () => {
    const values = Array.from({ length: 300 }, (_, at) => [`k/${at % 7}/${at}`, `${at}`] as const);
    const entries = ascending(values);
    const hashed = entries.map(([key, value]) => [key, valueHashOf(value)] as const);
    expect(StateTree.fromSorted(hashed).root).toBe(stateRootOf(entries));
  });

  it("is the same object when nothing changes", () => {
    const tree = StateTree.fromSorted(someEntries);
    expect(tree.apply([])).toBe(tree);
    expect(tree.apply(someEntries)).toBe(tree);
    expect(tree.apply([["b", undefined]])).toBe(tree);
  });

  it("lists any range in both directions, up to a limit", () => {
    const aQuery = fc.record(
      { from: aBound, to: aBound, reverse: fc.boolean(), limit: fc.nat(5) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(aState, aQuery, (entries, query) => {
        const inside = keysWithin(entries, query.from ?? "", query.to);
        const expected = query.reverse === true ? inside.toReversed() : inside;
        const tree = StateTree.fromSorted(entries);
        expect(tree.keys(query)).toEqual(expected.slice(0, query.limit ?? 99));
      }),
      { seed, numRuns: 500 },
    );
  });

  it("insists on ascending changes and permitted keys", () => {
    const hash = valueHashOf("1");
    for (const keys of [
      ["b", "a"],
      ["a", "a"],
      ["\uffff", "é"],
      [""],
      ["\udc00"],
      ["x".repeat(257)],
    ]) {
      const changes = keys.map((key) => [key, hash] as const);
      expect(() => StateTree.empty().apply(changes)).toThrow(AssertionError);
      expect(() => StateTree.fromSorted(changes)).toThrow(AssertionError);
    }
    expect(() => StateTree.empty().apply([["a", "ab"]])).toThrow(AssertionError);
    expect(() => StateTree.empty().apply([["a", "z".repeat(64)]])).toThrow(AssertionError);
    expect(() => StateTree.empty().apply([["a", `${hash}00`]])).toThrow(AssertionError);
    expect(StateTree.empty().get("")).toBeUndefined();
  });

  it("bears the deepest comb of keys without recursion", () => {
    // A fork at every end bit and at seven bits of every byte of one longest key.
    const base = "U".repeat(256);
    const keys = new Set([base]);
    for (let bytes = 1; bytes <= 256; bytes += 1) {
      if (bytes < 256) keys.add(base.slice(0, bytes));
      for (let bit = 0; bit < 7; bit += 1)
        keys.add(base.slice(0, bytes - 1) + String.fromCharCode(0x55 ^ (1 << bit)));
    }
    const entries = ascending([...keys].map((key) => [key, valueHashOf(key)] as const));
    const tree = StateTree.empty().apply(entries);
    expect(tree.root).toBe(stateRootOf(entries.map(([key]) => [key, key])));
    expect(StateTree.fromSorted(entries).root).toBe(tree.root);
    const proof = tree.proveInclusion(base) as InclusionProof;
    expect(proof.path.length).toBeGreaterThan(2_000);
    expect(verifyInclusion(proof, { key: base, valueHash: valueHashOf(base) }, tree.root)).toBe(
      true,
    );
    const all = tree.proveRange({ from: "" });
    expect(verifyRange(all.proof, all, tree.root)).toBe(true);
    expect(tree.apply(entries.map(([key]) => [key, undefined])).size).toBe(0);
  });
});

describe("proofs of the state tree", () => {
  it("verify inclusion of every key and absence of every other", () => {
    fc.assert(
      fc.property(aState, fc.array(aKey), (entries, others) => {
        const tree = StateTree.fromSorted(entries);
        for (const key of [...entries.map(([key]) => key), ...others]) {
          const valueHash = tree.get(key);
          const inclusion = tree.proveInclusion(key);
          const absence = tree.proveAbsence(key);
          expect(inclusion === undefined).toBe(valueHash === undefined);
          expect(absence === undefined).toBe(valueHash !== undefined);
          if (inclusion !== undefined && valueHash !== undefined)
            expect(verifyInclusion(json(inclusion), { key, valueHash }, tree.root)).toBe(true);
          if (absence !== undefined)
            expect(verifyAbsence(json(absence), key, tree.root)).toBe(true);
        }
      }),
      { seed, numRuns: 150 },
    );
  });

  it("verify any range, and cut it at the limit", () => {
    fc.assert(
      fc.property(
        aState,
        aBound,
        fc.option(aBound, { nil: undefined }),
        fc.integer({ min: 1, max: 6 }),
        (entries, from, to, limit) => {
          fc.pre(to === undefined || compareUtf8(from, to) < 0);
          const tree = StateTree.fromSorted(entries);
          const proven = json(tree.proveRange({ from, to, limit }));
          const inside = keysWithin(entries, from, to);
          expect(proven.entries.map(([key]) => key)).toEqual(inside.slice(0, limit));
          expect(proven.range.to).toBe(inside.length > limit ? inside[limit] : to);
          expect(verifyRange(proven.proof, proven, tree.root)).toBe(true);
        },
      ),
      { seed, numRuns: 300 },
    );
  });

  it("fail when any character of them, or of what they claim, is changed", () => {
    const tree = StateTree.fromSorted(someEntries);
    const [key, valueHash] = someEntries[5] as ReferenceEntry;
    const leaf = { key, valueHash };
    const inclusion = tree.proveInclusion(key) as InclusionProof;
    for (const [proof, claim] of forgeries([inclusion, leaf] as const))
      expect(verifyInclusion(proof, claim, tree.root)).toBe(false);
    const absence = tree.proveAbsence("c/d/nobody") as AbsenceProof;
    for (const proof of forgeries(absence))
      expect(verifyAbsence(proof, "c/d/nobody", tree.root)).toBe(false);
    const proven = tree.proveRange({ from: "c/d/2", to: "c/d/6" });
    const { proof, entries, range } = proven;
    for (const [forgedProof, forgedEntries] of forgeries([proof, entries] as const))
      expect(verifyRange(forgedProof, { range, entries: forgedEntries }, tree.root)).toBe(false);
  });

  it("fail to show a present key as absent, whatever leaf and path are offered", () => {
    fc.assert(
      fc.property(aState, (entries) => {
        const tree = StateTree.fromSorted(entries);
        for (const [present] of entries)
          for (const [key, valueHash] of entries) {
            const { path } = tree.proveInclusion(key) as InclusionProof;
            const forged = { leaf: { key, valueHash }, path };
            expect(verifyAbsence(forged, present, tree.root)).toBe(false);
          }
      }),
      { seed, numRuns: 60 },
    );
  });

  it("fail to hide entries behind the sides of two honest range proofs", () => {
    fc.assert(
      fc.property(aState, fc.tuple(aBound, aBound, aBound, aBound), (entries, bounds) => {
        const [from, cut, resume, to] = bounds.sort(compareUtf8) as [
          string,
          string,
          string,
          string,
        ];
        fc.pre(compareUtf8(from, cut) < 0 && compareUtf8(resume, to) < 0);
        const hidden = keysWithin(entries, cut, resume);
        fc.pre(hidden.length > 0);
        const tree = StateTree.fromSorted(entries);
        const low = tree.proveRange({ from, to: cut });
        const high = tree.proveRange({ from: resume, to });
        const spliced: ProvenRange = {
          range: { from, to },
          entries: [...low.entries, ...high.entries],
          proof: {
            before: low.proof.before,
            left: low.proof.left,
            after: high.proof.after,
            right: high.proof.right,
          },
        };
        expect(verifyRange(spliced.proof, spliced, tree.root)).toBe(false);
        for (const proof of [low.proof, high.proof])
          expect(verifyRange(proof, spliced, tree.root)).toBe(false);
      }),
      { seed, numRuns: 300 },
    );
  });

  it("are refused for a range that ends before it begins", () => {
    const tree = StateTree.fromSorted(someEntries);
    for (const query of [
      { from: "b", to: "a" },
      { from: "a", to: "a" },
      { from: "a", limit: 0 },
    ]) {
      let error: unknown;
      try {
        tree.proveRange(query);
      } catch (caught) {
        error = caught;
      }
      expect(isLedgerError(error, "LEDGER_RANGE_INVALID")).toBe(true);
    }
  });
});

const someEntries = Array.from(
  { length: 10 },
  (_, index) => [`c/d/${index}`, valueHashOf(String(index))] as const,
);

function keysWithin(entries: readonly ReferenceEntry[], from: string, to: string | undefined) {
  return entries
    .map(([key]) => key)
    .filter((key) => compareUtf8(key, from) >= 0)
    .filter((key) => to === undefined || compareUtf8(key, to) < 0);
}

/** What arrives at a verifier. */
function json<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** All variants with one text or number changed, or one element left out. */
function* forgeries<T>(value: T): Generator<T> {
  if (typeof value === "number") {
    for (const forged of [value - 1, value + 1, value + 9]) yield forged as T;
  } else if (typeof value === "string") {
    for (let at = 0; at < value.length; at += 1)
      yield (value.slice(0, at) + (value[at] === "0" ? "1" : "0") + value.slice(at + 1)) as T;
  } else if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at += 1) {
      yield value.toSpliced(at, 1) as T;
      for (const forged of forgeries(value[at] as unknown)) yield value.with(at, forged) as T;
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [name, field] of Object.entries(value))
      for (const forged of [...forgeries(field as unknown), undefined])
        yield { ...value, [name]: forged };
  }
}

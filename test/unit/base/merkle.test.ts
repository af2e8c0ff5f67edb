/**
 * Merkle trees of RFC 6962: published vectors, and that a path proves its leaf and nothing else.
 *
 * Mutations that make these tests fail: no leaf prefix; sides swapped in `verifyMerklePath`; the
 * odd node hashed with itself; `last === 0` not checked at the end.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hexToBytes, utf8 } from "../../../src/base/bytes.ts";
import { merklePath, merkleRoot, verifyMerklePath } from "../../../src/base/proof/merkle.ts";
import { seedOf } from "../../helpers/seed.ts";

const seed = seedOf(1);

/** Leaves and roots of the reference implementation of Certificate Transparency. */
const ctLeaves = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
].map((hex) => hexToBytes(hex));
const ctRoots = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const aLeaf = fc.uint8Array({ maxLength: 40 });
/** A list and the position of one of its leaves. */
const aListAndIndex = fc
  .array(aLeaf, { minLength: 1, maxLength: 40 })
  .chain((leaves) => fc.tuple(fc.constant(leaves), fc.nat(leaves.length - 1)));

function claimOf(leaves: Uint8Array[], index: number) {
  return {
    leaf: leaves[index] as Uint8Array,
    index,
    size: leaves.length,
    path: merklePath(leaves, index),
    root: merkleRoot(leaves),
  };
}

describe("merkle tree", () => {
  it("has the roots published for Certificate Transparency", () => {
    for (const [size, root] of ctRoots.entries())
      expect(merkleRoot(ctLeaves.slice(0, size)), `size ${size}`).toBe(root);
  });

  it("has the paths published for Certificate Transparency", () => {
    expect(merklePath(ctLeaves, 0)).toEqual([
      "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]);
    expect(merklePath(ctLeaves.slice(0, 3), 2)).toEqual([
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    ]);
  });

  it("verifies every leaf of every size", () => {
    const leaves = Array.from({ length: 34 }, (_, index) => utf8(`leaf ${index}`));
    for (let size = 1; size <= leaves.length; size += 1)
      for (let index = 0; index < size; index += 1)
        expect(verifyMerklePath(claimOf(leaves.slice(0, size), index))).toBe(true);
  });

  it("refuses another leaf, root, or hash in the path", () => {
    fc.assert(
      fc.property(aListAndIndex, fc.nat(), fc.integer({ min: 1, max: 255 }), (list, at, xor) => {
        const claim = claimOf(...list);
        const leaf = Uint8Array.of(...claim.leaf, xor);
        expect(verifyMerklePath({ ...claim, leaf })).toBe(false);
        expect(verifyMerklePath({ ...claim, root: flip(claim.root, at, xor) })).toBe(false);
        const place = at % Math.max(1, claim.path.length);
        const path = claim.path.map((hash, index) =>
          index === place ? flip(hash, at, xor) : hash,
        );
        if (path.length > 0) expect(verifyMerklePath({ ...claim, path })).toBe(false);
      }),
      { seed, numRuns: 200 },
    );
  });

  it("refuses a path that is too short, too long, or in another order", () => {
    fc.assert(
      fc.property(aListAndIndex, (list) => {
        const claim = claimOf(...list);
        const longer = [...claim.path, claim.root];
        expect(verifyMerklePath({ ...claim, path: longer })).toBe(false);
        if (claim.path.length === 0) return;
        expect(verifyMerklePath({ ...claim, path: claim.path.slice(1) })).toBe(false);
        expect(verifyMerklePath({ ...claim, path: claim.path.slice(0, -1) })).toBe(false);
        const reversed = claim.path.toReversed();
        if (reversed[0] === claim.path[0]) return;
        expect(verifyMerklePath({ ...claim, path: reversed })).toBe(false);
      }),
      { seed, numRuns: 200 },
    );
  });

  it("refuses another index of the same size, when leaves differ", () => {
    const leaves = Array.from({ length: 23 }, (_, index) => utf8(`leaf ${index}`));
    for (let index = 0; index < leaves.length; index += 1)
      for (let other = -1; other <= leaves.length; other += 1)
        if (other !== index)
          expect(verifyMerklePath({ ...claimOf(leaves, index), index: other })).toBe(false);
  });

  it("refuses another size, unless the path would have the same shape there", () => {
    const leaves = Array.from({ length: 23 }, (_, index) => utf8(`leaf ${index}`));
    for (let index = 0; index < leaves.length; index += 1)
      for (let size = 0; size <= 40; size += 1) {
        const isAlike = shapeOf(index, size) === shapeOf(index, leaves.length);
        expect(verifyMerklePath({ ...claimOf(leaves, index), size })).toBe(isAlike);
      }
  });

  it("refuses an inner node passed off as a leaf", () => {
    const leaves = [utf8("a"), utf8("b"), utf8("c"), utf8("d")];
    const [sibling, above] = merklePath(leaves, 0) as [string, string];
    const [own] = merklePath(leaves, 1) as [string];
    const leaf = hexToBytes(own + sibling);
    const root = merkleRoot(leaves);
    expect(verifyMerklePath({ leaf, index: 0, size: 2, path: [above], root })).toBe(false);
  });

  it("answers false to any malformed claim", () => {
    const claim = claimOf(ctLeaves, 3);
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(claim)), fc.anything(), (field, value) => {
        const mutated = { ...claim, [field]: value } as typeof claim;
        expect(verifyMerklePath(mutated)).toBe(false);
        expect(verifyMerklePath({ ...claim, path: [value] as string[] })).toBe(false);
      }),
      { seed, numRuns: 300 },
    );
    expect(verifyMerklePath({ ...claim, root: claim.root.toUpperCase() })).toBe(false);
    expect(verifyMerklePath({ ...claim, index: 3.5 })).toBe(false);
    expect(verifyMerklePath({ ...claim, size: Number.NaN })).toBe(false);
  });
});

/** Sides of the siblings from the leaf up, by the recursive definition of the RFC. */
function shapeOf(index: number, size: number): string {
  if (size <= index) return "none";
  if (size === 1) return "";
  let split = 1;
  while (split * 2 < size) split *= 2;
  if (index < split) return `${shapeOf(index, split)}R`;
  return `${shapeOf(index - split, size - split)}L`;
}

/** Changes one byte of a hash in hexadecimal digits. */
function flip(hash: string, at: number, xor: number): string {
  const bytes = hexToBytes(hash);
  const place = at % bytes.length;
  bytes[place] = (bytes[place] as number) ^ xor;
  return Buffer.from(bytes).toString("hex");
}

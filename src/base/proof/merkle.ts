/**
 * Merkle trees of RFC 6962 over an ordered list of byte strings (D12): root, path, verification.
 * Transactions and receipts of a block are such lists. Ordered maps are not: see state-proof.ts.
 *
 * | hash of | preimage |
 * |---|---|
 * | empty list | nothing |
 * | leaf | 0x00, the leaf's bytes |
 * | inner node | 0x01, hash of the left child (32), hash of the right child (32) |
 *
 * The prefixes keep leaves and inner nodes apart, so no inner node can be passed off as a leaf.
 *
 * What a path proves: `leaf` is in the list. It proves the *index* only for a `size` that the
 * verifier knows from elsewhere, since an RFC 6962 root does not bind the number of leaves: leaf 2
 * of 3 has the very path of leaf 1 of 2. Leaves that must not be moved carry their own identity.
 *
 * Levels are paired from the left and an odd last node moves up unchanged, which is the same tree
 * as the recursive split at the largest power of two in the RFC.
 */
import { assert } from "../assert.ts";
import { bytesToHex, hexToBytes } from "../bytes.ts";
import { type Hash, hash32Pattern, hashOf, sha256 } from "../hash.ts";

const leafPrefix = 0x00;
const innerPrefix = 0x01;

/** What `verifyMerklePath` checks; every field may come from an adversary. */
export type MerkleClaim = {
  /** The leaf's bytes (not its hash). */
  readonly leaf: Uint8Array;
  /** Position of the leaf, from 0. */
  readonly index: number;
  /** Number of leaves of the tree. */
  readonly size: number;
  /** Hashes of siblings, from the leaf's up to the root's child. */
  readonly path: readonly Hash[];
  readonly root: Hash;
};

/** Returns the RFC 6962 root of a list; the empty list has the root SHA-256(""). */
export function merkleRoot(leaves: readonly Uint8Array[]): Hash {
  if (leaves.length === 0) return hashOf(new Uint8Array(0));
  let level = leaves.map(hashLeaf);
  while (level.length > 1) level = levelAbove(level);
  return bytesToHex(level[0] as Uint8Array);
}

/**
 * Returns the siblings that lead from a leaf to the root, lowest first.
 *
 * @throws {AssertionError} when `index` is not the position of a leaf.
 */
export function merklePath(leaves: readonly Uint8Array[], index: number): Hash[] {
  assert(Number.isInteger(index) && index >= 0 && index < leaves.length, "index is a leaf's");
  const path: Hash[] = [];
  let level = leaves.map(hashLeaf);
  for (let position = index; level.length > 1; position = Math.floor(position / 2)) {
    const sibling = level[position % 2 === 0 ? position + 1 : position - 1];
    if (sibling !== undefined) path.push(bytesToHex(sibling));
    level = levelAbove(level);
  }
  return path;
}

/**
 * Tells whether the path leads from the leaf to the root (RFC 9162, 2.1.3.2). Never throws,
 * whatever the claim holds.
 */
export function verifyMerklePath(claim: MerkleClaim): boolean {
  const { leaf, index, size, path, root } = claim;
  if (!isClaim(claim)) return false;
  // Position and last position at the current level: arithmetic, as `>>` would cut at 32 bits.
  let position = index;
  let last = size - 1;
  let hash = hashLeaf(leaf);
  for (const sibling of path) {
    if (last === 0) return false;
    while (position === last && position % 2 === 0) {
      // The last node of a level of odd length has no sibling there: it moved up unchanged.
      position /= 2;
      last /= 2;
    }
    const siblingHash = hexToBytes(sibling);
    hash = position % 2 === 1 ? hashInner(siblingHash, hash) : hashInner(hash, siblingHash);
    position = Math.floor(position / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && bytesToHex(hash) === root;
}

function isClaim({ leaf, index, size, path, root }: MerkleClaim): boolean {
  if (!(leaf instanceof Uint8Array) || !isHash(root)) return false;
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(index)) return false;
  if (index < 0 || index >= size) return false;
  // A tree of up to 2^53 leaves has no path longer than 53.
  return Array.isArray(path) && path.length <= 53 && path.every(isHash);
}

function isHash(value: unknown): boolean {
  return typeof value === "string" && hash32Pattern.test(value);
}

function levelAbove(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let index = 0; index < level.length; index += 2) {
    const left = level[index] as Uint8Array;
    const right = level[index + 1];
    above.push(right === undefined ? left : hashInner(left, right));
  }
  return above;
}

function hashLeaf(leaf: Uint8Array): Uint8Array {
  const preimage = new Uint8Array(1 + leaf.length);
  preimage[0] = leafPrefix;
  preimage.set(leaf, 1);
  return sha256(preimage);
}

function hashInner(left: Uint8Array, right: Uint8Array): Uint8Array {
  const preimage = new Uint8Array(65);
  preimage[0] = innerPrefix;
  preimage.set(left, 1);
  preimage.set(right, 33);
  return sha256(preimage);
}

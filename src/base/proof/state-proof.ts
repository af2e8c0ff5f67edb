/**
 * The authenticated state: hashing rules, root and proof verification (D11). Runs in a browser;
 * the tree that makes the proofs is src/ledger/state-tree.ts.
 *
 * The state is a set of (key, value hash). Keys are texts of at most `stateKeyBytesMax` UTF-8
 * bytes. A key's *bit string* is, for each byte, a 1 and the byte's 8 bits, and at the end a 0. So
 * no bit string begins another (one key may begin another), and order of bit strings = order of
 * the UTF-8 bytes = order of code points. The tree is the path-compressed binary trie of the bit
 * strings: an inner node exists exactly where keys part, and names the position of that bit
 * ("split bit", from 0); keys with a 0 there are on its left.
 *
 * | hash of | preimage |
 * |---|---|
 * | empty state | nothing |
 * | leaf | 0x02, value hash (32), key (UTF-8) |
 * | inner node | 0x03, split bit (2, big-endian), hash of the left (32) and of the right child (32) |
 *
 * The value hash is SHA-256 of the value's UTF-8 bytes. The shape depends on the set of keys
 * alone, never on the order of changes. Preimages parse in one way only (leaves have at least 33
 * bytes, and the first byte differs), so with SHA-256 free of collisions a root fixes one tree T.
 *
 * Soundness. The root is certified, so T is a trie built by the rules above. A proof gives
 * preimages of some nodes of T; whatever shape it claims, if it hashes to the root then its nodes,
 * split bits and left-right order *are* those of T. Hence:
 *
 * - Inclusion: the leaf binds key and value hash, and it is a node of T.
 * - Absence: the path goes from the root down by the bits of the *absent* key at the split bits,
 *   and ends in a leaf. Were the key in T, the same walk would end in its own leaf, because each
 *   ancestor sends it to its side. The leaf shown has another key, so the key is not in T. It is
 *   here that the split bit must be hashed: else the prover could choose the way.
 * - Range: the proof opens neighbouring leaves `before < entries < after` and the nodes above them.
 *   What stays closed hangs to the left of the first or to the right of the last opened leaf, thus
 *   holds only lesser or only greater keys. `before` is less than `from`, `after` not less than
 *   `to`; where one is missing, nothing may stay closed on that side. So nothing in the range is
 *   hidden. Split bits between opened leaves follow from their keys and are not sent.
 *
 * Verifiers are loops over bounded lists, and answer false to any malformed proof: they never
 * throw and never recurse.
 */
import { assert } from "../assert.ts";
import { bytesToHex, compareUtf8, hexToBytes, utf8 } from "../bytes.ts";
import { type Hash, hash32Pattern, hashOf, sha256, valueHashOf } from "../hash.ts";
import { limits } from "../limits.ts";

const leafPrefix = 0x02;
const innerPrefix = 0x03;

/** Greatest split bit two permitted keys can have: the last bit of their last byte. */
const splitBitMax = limits.stateKeyBytesMax * 9 - 1;

/** Root of the empty state: SHA-256(""). */
export const emptyStateRoot: Hash = hashOf(new Uint8Array(0));

/** A node beside the path: the split bit of their common parent, and the node's hash. */
export type Sibling = readonly [splitBit: number, hash: Hash];

/** A leaf of the tree. */
export type StateLeaf = { readonly key: string; readonly valueHash: Hash };

/** Shows that a key has a value hash. The key itself tells on which side each sibling is. */
export type InclusionProof = {
  /** From the root down. */
  readonly path: readonly Sibling[];
};

/** Shows that a key is absent: the walk by its bits ends in the leaf of another key. */
export type AbsenceProof = {
  /** Where the walk ends; absent when the state is empty. */
  readonly leaf?: StateLeaf | undefined;
  /** From the root down. */
  readonly path: readonly Sibling[];
};

/** Shows that a list of entries is all there is in a range of keys. */
export type RangeProof = {
  /** The greatest key below the range; absent when the range begins the state. */
  readonly before?: StateLeaf | undefined;
  /** The least key not below the range's end; absent when the range ends the state. */
  readonly after?: StateLeaf | undefined;
  /** Nodes to the left of the first opened leaf, from the root down. */
  readonly left: readonly Sibling[];
  /** Nodes to the right of the last opened leaf, from the root down. */
  readonly right: readonly Sibling[];
};

/** Keys from `from` (inclusive) to `to` (exclusive; absent: to the end), in order of UTF-8 bytes. */
export type KeyRange = { readonly from: string; readonly to?: string | undefined };

/**
 * Returns the root of a whole state.
 *
 * @param entries - Keys and value texts, strictly ascending by UTF-8 bytes of the key.
 * @throws {AssertionError} when the keys do not ascend, or one is no permitted key.
 */
export function stateRootOf(entries: Iterable<readonly [key: string, value: string]>): Hash {
  const leaves: StateLeaf[] = [];
  for (const [key, value] of entries) {
    assert(isStateKey(key), "state keys are valid UTF-8 of permitted length");
    leaves.push({ key, valueHash: valueHashOf(value) });
  }
  if (leaves.length === 0) return emptyStateRoot;
  assert(ascends(leaves), "state keys ascend");
  return bytesToHex(foldInOrder(leaves, [], []));
}

/** Tells whether `leaf.key` has the value hash `leaf.valueHash` under `root`. */
export function verifyInclusion(proof: InclusionProof, leaf: StateLeaf, root: Hash): boolean {
  if (!isRecord(proof) || !isPath(proof.path) || !isLeaf(leaf)) return false;
  return rootOfPath(proof.path, leaf, utf8(leaf.key)) === root;
}

/** Tells whether `key` is proven absent under `root`. */
export function verifyAbsence(proof: AbsenceProof, key: string, root: Hash): boolean {
  if (!isRecord(proof) || !isPath(proof.path) || !isStateKey(key)) return false;
  if (proof.leaf === undefined) return proof.path.length === 0 && root === emptyStateRoot;
  if (!isLeaf(proof.leaf) || proof.leaf.key === key) return false;
  return rootOfPath(proof.path, proof.leaf, utf8(key)) === root;
}

/**
 * Tells whether `entries` (key and value hash, ascending) are proven to be exactly the keys of
 * `range` under `root`. A range whose `to` is not above its `from` is refused.
 */
export function verifyRange(
  proof: RangeProof,
  claim: { readonly range: KeyRange; readonly entries: readonly (readonly [string, Hash])[] },
  root: Hash,
): boolean {
  const { range, entries } = claim;
  if (!isRangeProof(proof) || !isRange(range)) return false;
  if (!Array.isArray(entries) || !entries.every((entry) => Array.isArray(entry))) return false;
  const inside = entries.map(([key, valueHash]) => ({ key, valueHash }));
  if (!inside.every(isLeaf) || !inside.every(({ key }) => isInRange(key, range))) return false;
  const { before, after, left, right } = proof;
  if (before !== undefined && compareUtf8(before.key, range.from) >= 0) return false;
  if (after !== undefined && !isAtOrAboveEnd(after.key, range)) return false;
  // Without a leaf outside, anything closed on that side could hide keys of the range.
  if (before === undefined && left.length > 0) return false;
  if (after === undefined && right.length > 0) return false;
  const opened = [before, ...inside, after].filter((leaf) => leaf !== undefined);
  if (opened.length === 0) return root === emptyStateRoot;
  if (!ascends(opened)) return false;
  return bytesToHex(foldInOrder(opened, left, right)) === root;
}

/** Tells whether a text may be a state key: well-formed UTF-16 of 1 to 256 bytes in UTF-8. */
export function isStateKey(key: unknown): key is string {
  if (typeof key !== "string" || key.length === 0) return false;
  if (key.length > limits.stateKeyBytesMax || !isWellFormed(key)) return false;
  // A char takes at most three bytes, so most keys need no encoding to be told short enough.
  return key.length * 3 <= limits.stateKeyBytesMax || utf8(key).length <= limits.stateKeyBytesMax;
}

/** Folds the leaf with its siblings up to the root; `way` are the bytes whose bits give the sides. */
function rootOfPath(path: readonly Sibling[], leaf: StateLeaf, way: Uint8Array): Hash {
  let hash = hashLeaf(leaf);
  for (const [splitBit, siblingHex] of path.toReversed()) {
    const sibling = hexToBytes(siblingHex);
    hash =
      bitAt(way, splitBit) === 0
        ? hashInner(splitBit, hash, sibling)
        : hashInner(splitBit, sibling, hash);
  }
  return bytesToHex(hash);
}

/**
 * Returns the root over neighbouring leaves and the closed nodes on both sides of them.
 *
 * Between two neighbours of the sequence stands the split bit of their lowest common ancestor. A
 * trie has its least split bit on top, so it is rebuilt from left to right with a stack: a new
 * split bit first closes all greater ones before it.
 * Sequences that no trie has (unordered, equal split bits) give some hash that is no root.
 */
function foldInOrder(
  leaves: readonly StateLeaf[],
  left: readonly Sibling[],
  right: readonly Sibling[],
): Uint8Array {
  const hashes: Uint8Array[] = [];
  const open: number[] = [];
  const closeTop = () => {
    const rightHash = hashes.pop() as Uint8Array;
    const leftHash = hashes.pop() as Uint8Array;
    hashes.push(hashInner(open.pop() as number, leftHash, rightHash));
  };
  for (const { hash, splitBit } of sequence(leaves, left, right)) {
    if (splitBit !== undefined) {
      while (open.length > 0 && (open.at(-1) as number) > splitBit) closeTop();
      open.push(splitBit);
    }
    hashes.push(hash);
  }
  while (open.length > 0) closeTop();
  return hashes[0] as Uint8Array;
}

/** A node in order of keys, with the split bit between the previous node and it. */
type SequenceNode = { readonly hash: Uint8Array; readonly splitBit: number | undefined };

function* sequence(
  leaves: readonly StateLeaf[],
  left: readonly Sibling[],
  right: readonly Sibling[],
): Generator<SequenceNode> {
  let splitBit: number | undefined;
  for (const [bit, hash] of left) {
    yield { hash: hexToBytes(hash), splitBit };
    splitBit = bit;
  }
  let previous: Uint8Array | undefined;
  for (const leaf of leaves) {
    const key = utf8(leaf.key);
    if (previous !== undefined) splitBit = criticalBit(previous, key);
    yield { hash: hashLeaf(leaf), splitBit };
    previous = key;
  }
  for (const [bit, hash] of right.toReversed()) yield { hash: hexToBytes(hash), splitBit: bit };
}

/** Returns a bit of the bit string of a key (0 beyond its end). */
function bitAt(key: Uint8Array, position: number): 0 | 1 {
  const byte = key[Math.floor(position / 9)];
  if (byte === undefined) return 0;
  const place = position % 9;
  return place === 0 || ((byte >> (8 - place)) & 1) === 1 ? 1 : 0;
}

/** Returns the first position at which the bit strings of two different keys differ. */
function criticalBit(one: Uint8Array, other: Uint8Array): number {
  let index = 0;
  while (index < one.length && one[index] === other[index]) index += 1;
  const a = one[index];
  const b = other[index];
  if (a === undefined || b === undefined) return index * 9;
  return index * 9 + 1 + (Math.clz32(a ^ b) - 24);
}

function hashLeaf({ key, valueHash }: StateLeaf): Uint8Array {
  const keyBytes = utf8(key);
  const preimage = new Uint8Array(33 + keyBytes.length);
  preimage[0] = leafPrefix;
  preimage.set(hexToBytes(valueHash), 1);
  preimage.set(keyBytes, 33);
  return sha256(preimage);
}

function hashInner(splitBit: number, left: Uint8Array, right: Uint8Array): Uint8Array {
  const preimage = new Uint8Array(67);
  preimage[0] = innerPrefix;
  preimage[1] = splitBit >> 8;
  preimage[2] = splitBit & 0xff;
  preimage.set(left, 3);
  preimage.set(right, 35);
  return sha256(preimage);
}

function ascends(leaves: readonly StateLeaf[]): boolean {
  return leaves.every((leaf, index) => {
    const previous = leaves[index - 1];
    return previous === undefined || compareUtf8(previous.key, leaf.key) < 0;
  });
}

function isInRange(key: string, range: KeyRange): boolean {
  return compareUtf8(key, range.from) >= 0 && !isAtOrAboveEnd(key, range);
}

function isAtOrAboveEnd(key: string, { to }: KeyRange): boolean {
  return to !== undefined && compareUtf8(key, to) >= 0;
}

function isRange(range: unknown): range is KeyRange {
  if (!isRecord(range) || !isWellFormed(range.from)) return false;
  const to = range.to;
  return to === undefined || (isWellFormed(to) && compareUtf8(range.from, to) < 0);
}

function isWellFormed(text: unknown): text is string {
  // A lone surrogate would be encoded as U+FFFD, so that two texts would be one key.
  return typeof text === "string" && !/\p{Surrogate}/u.test(text);
}

function isRangeProof(proof: unknown): proof is RangeProof {
  if (!isRecord(proof) || !isPath(proof.left) || !isPath(proof.right)) return false;
  return [proof.before, proof.after].every((leaf) => leaf === undefined || isLeaf(leaf));
}

function isLeaf(leaf: unknown): leaf is StateLeaf {
  return isRecord(leaf) && isStateKey(leaf.key) && isHash(leaf.valueHash);
}

/** Split bits ascend from the root down, which also bounds the length. */
function isPath(path: unknown): path is readonly Sibling[] {
  if (!Array.isArray(path) || path.length > splitBitMax + 1) return false;
  let above = -1;
  for (const sibling of path as unknown[]) {
    if (!Array.isArray(sibling) || sibling.length !== 2 || !isHash(sibling[1])) return false;
    const splitBit: unknown = sibling[0];
    if (!Number.isInteger(splitBit) || (splitBit as number) <= above) return false;
    above = splitBit as number;
  }
  return above <= splitBitMax;
}

function isHash(value: unknown): value is Hash {
  return typeof value === "string" && hash32Pattern.test(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

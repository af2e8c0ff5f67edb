/**
 * Nodes of the in-memory state tree: how they are packed, walked and hashed. What is hashed is
 * specified in src/base/proof/state-proof.ts; this file is its fast twin over packed nodes, and
 * the tests compare both.
 *
 * Packing, for the sake of memory and of the garbage collector (cost budget, section 3): bytes are
 * *byte strings*, JavaScript strings of one char a byte, which V8 stores as one flat block. A leaf
 * is one such string: value hash (32), key. An inner node is a small object with its hash as a
 * byte string. Leaf hashes are not kept: computing one is cheaper than the memory of half a million.
 *
 * Invariants:
 *
 * (1) Children of a node part at `splitBit`: those with 0 there are left; split bits ascend from
 *     the root down. So the depth is at most the bits of a key, and nothing here recurses.
 * (2) A node with a hash never changes again; it may be shared by any number of trees.
 * (3) A node without a hash ("fresh") belongs to one edit only, and so do all nodes above it.
 */
import { hash as nativeHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";

/** Bytes as a string of chars 0..255. */
export type ByteString = string;

/** Value hash (32 bytes) and key, as one byte string. */
export type Leaf = ByteString;

/** A subtree. */
export type TreeNode = Leaf | Inner;

const hashBytes = 32;
const leafPrefix = 0x02;
const innerPrefix = 0x03;

/** A fork: all keys below share the bits before `splitBit`. */
export class Inner {
  readonly splitBit: number;
  left: TreeNode;
  right: TreeNode;
  /** SHA-256 as a byte string; empty while the node is fresh. */
  hash: ByteString = "";

  constructor(splitBit: number, left: TreeNode, right: TreeNode) {
    this.splitBit = splitBit;
    this.left = left;
    this.right = right;
  }
}

// One preimage is built at a time and never handed out, so the buffers can be shared.
const innerPreimage = Buffer.alloc(67, innerPrefix);
const leafPreimage = Buffer.alloc(1 + hashBytes + limits.stateKeyBytesMax, leafPrefix);
const leafPreimages = Array.from({ length: limits.stateKeyBytesMax + 1 }, (_, keyBytes) =>
  leafPreimage.subarray(0, 1 + hashBytes + keyBytes),
);

/** Returns the UTF-8 bytes of a key; for ASCII that is the key itself. */
export function bytesOfKey(key: string): ByteString {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is all of ASCII.
  return /^[\x00-\x7f]*$/.test(key) ? key : Buffer.from(key, "utf8").toString("latin1");
}

/** Packs a leaf. The result is flat: a concatenation would keep its parts alive. */
export function packLeaf(key: ByteString, valueHash: Hash): Leaf {
  assert(key.length <= limits.stateKeyBytesMax, "state keys are of permitted length");
  const written = leafPreimage.write(valueHash, 1, hashBytes, "hex");
  assert(written === hashBytes && valueHash.length === 2 * hashBytes, "value hashes have 32 bytes");
  leafPreimage.write(key, 1 + hashBytes, "latin1");
  return leafPreimage.toString("latin1", 1, 1 + hashBytes + key.length);
}

/** Returns the key of a leaf as text. */
export function keyOfLeaf(leaf: Leaf): string {
  const bytes = leaf.slice(hashBytes);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is all of ASCII.
  return /^[\x00-\x7f]*$/.test(bytes) ? bytes : Buffer.from(bytes, "latin1").toString("utf8");
}

/** Returns the value hash of a leaf. */
export function valueHashOfLeaf(leaf: Leaf): Hash {
  return hexOf(leaf.slice(0, hashBytes));
}

/** Returns a byte string as hexadecimal digits. */
export function hexOf(bytes: ByteString): Hash {
  return Buffer.from(bytes, "latin1").toString("hex");
}

/** Returns the side (0 left, 1 right) on which a key stands at a split bit. */
export function sideOf(key: ByteString, splitBit: number): 0 | 1 {
  return bitOf(key, splitBit, 0);
}

/** The walk of a key from the root down to a leaf, and where the key parts from it. */
type Walk = {
  /** Inner nodes from the root down. */
  readonly path: readonly Inner[];
  readonly leaf: Leaf;
  /** First bit at which key and leaf differ; `undefined` when the leaf is the key's own. */
  readonly partingBit: number | undefined;
};

/** Walks down by the bits of a key. */
export function walk(root: TreeNode, key: ByteString): Walk {
  const path: Inner[] = [];
  let node = root;
  while (typeof node !== "string") {
    path.push(node);
    node = bitOf(key, node.splitBit, 0) === 0 ? node.left : node.right;
  }
  return { path, leaf: node, partingBit: partingBit(key, 0, node) };
}

/** Returns the first bit at which the keys of two leaves differ, `undefined` when they are equal. */
export function partingBitOfLeaves(one: Leaf, other: Leaf): number | undefined {
  return partingBit(one, hashBytes, other);
}

/** Returns the side on which the key of a leaf stands at a split bit. */
export function sideOfLeaf(leaf: Leaf, splitBit: number): 0 | 1 {
  return bitOf(leaf, splitBit, hashBytes);
}

/** Returns the hash of a subtree that holds no fresh node. */
export function hashOfNode(node: TreeNode): ByteString {
  if (typeof node !== "string") return node.hash;
  leafPreimage.write(node, 1, "latin1");
  return sha256(leafPreimages[node.length - hashBytes] as Buffer);
}

/** Hashes a node whose children are no longer fresh; from then on it is immutable. */
export function seal(node: Inner): void {
  const left = hashOfNode(node.left);
  const right = hashOfNode(node.right);
  innerPreimage[1] = node.splitBit >> 8;
  innerPreimage[2] = node.splitBit & 0xff;
  innerPreimage.write(left, 3, "latin1");
  innerPreimage.write(right, 3 + hashBytes, "latin1");
  node.hash = sha256(innerPreimage);
}

/** Native one-shot SHA-256 to a byte string: twice as fast as through a `Uint8Array`. */
function sha256(preimage: Buffer): ByteString {
  return nativeHash("sha256", preimage, "binary");
}

/** Bit of the bit string of the key that begins at `start`: nine bits a byte, see state-proof.ts. */
function bitOf(bytes: ByteString, position: number, start: number): 0 | 1 {
  const index = Math.floor(position / 9);
  if (start + index >= bytes.length) return 0;
  const place = position - index * 9;
  return place === 0 || ((bytes.charCodeAt(start + index) >> (8 - place)) & 1) === 1 ? 1 : 0;
}

function partingBit(one: ByteString, start: number, leaf: Leaf): number | undefined {
  const oneBytes = one.length - start;
  const leafBytes = leaf.length - hashBytes;
  const shared = Math.min(oneBytes, leafBytes);
  for (let index = 0; index < shared; index += 1) {
    const difference = one.charCodeAt(start + index) ^ leaf.charCodeAt(hashBytes + index);
    if (difference !== 0) return index * 9 + 1 + (Math.clz32(difference) - 24);
  }
  return oneBytes === leafBytes ? undefined : shared * 9;
}

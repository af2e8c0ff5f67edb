/**
 * Makes new state trees from old ones: batches of changes, and whole trees from sorted entries.
 *
 * An edit copies the path from the root to each changed leaf, at most once per node and batch,
 * and hashes the copies once at the end. Nodes of the old tree are never touched (invariant 2 of
 * state-tree-node.ts), so old and new tree share all else.
 */
import { assert } from "../base/assert.ts";
import {
  type ByteString,
  Inner,
  type Leaf,
  partingBitOfLeaves,
  seal,
  sideOf,
  sideOfLeaf,
  type TreeNode,
  walk,
} from "./state-tree-node.ts";

/** One batch of changes on top of a tree. Use: `put` and `remove`, then `finish` once. */
export class TreeEdit {
  #root: TreeNode | undefined;
  #sizeChange = 0;

  constructor(root: TreeNode | undefined) {
    this.#root = root;
  }

  /** Keys added minus keys removed so far. */
  get sizeChange(): number {
    return this.#sizeChange;
  }

  /** Adds a leaf, or puts it in place of the leaf of the same key. */
  put(key: ByteString, leaf: Leaf): void {
    if (this.#root === undefined) {
      this.#root = leaf;
      this.#sizeChange += 1;
      return;
    }
    const { path, leaf: found, partingBit } = walk(this.#root, key);
    if (partingBit === undefined) {
      if (found !== leaf) this.#replace(path, key, leaf);
      return;
    }
    // The fork goes above the first node that splits later than the key parts.
    let depth = path.length;
    while (depth > 0 && (path[depth - 1] as Inner).splitBit > partingBit) depth -= 1;
    const below = path[depth] ?? found;
    const fork =
      sideOfLeaf(leaf, partingBit) === 0
        ? new Inner(partingBit, leaf, below)
        : new Inner(partingBit, below, leaf);
    this.#replace(path.slice(0, depth), key, fork);
    this.#sizeChange += 1;
  }

  /** Removes a key; an absent key changes nothing. */
  remove(key: ByteString): void {
    if (this.#root === undefined) return;
    const { path, partingBit } = walk(this.#root, key);
    if (partingBit !== undefined) return;
    this.#sizeChange -= 1;
    const fork = path.at(-1);
    if (fork === undefined) {
      this.#root = undefined;
      return;
    }
    // A fork with one side left is none: the other side moves up in its place.
    const sibling = sideOf(key, fork.splitBit) === 0 ? fork.right : fork.left;
    this.#replace(path.slice(0, -1), key, sibling);
  }

  /** Hashes what is fresh and returns the new root node. */
  finish(): TreeNode | undefined {
    const fresh: Inner[] = [];
    const addFresh = (node: TreeNode | undefined) => {
      if (node instanceof Inner && node.hash === "") fresh.push(node);
    };
    addFresh(this.#root);
    for (let index = 0; index < fresh.length; index += 1) {
      const node = fresh[index] as Inner;
      addFresh(node.left);
      addFresh(node.right);
    }
    // Parents were found before their children, so backwards every child is hashed first.
    for (let index = fresh.length - 1; index >= 0; index -= 1) seal(fresh[index] as Inner);
    return this.#root;
  }

  /** Puts `child` below the last node of `path`, on the side of `key`, copying what is shared. */
  #replace(path: readonly Inner[], key: ByteString, child: TreeNode): void {
    let node = child;
    for (let depth = path.length - 1; depth >= 0; depth -= 1) {
      const parent = path[depth] as Inner;
      const isLeft = sideOf(key, parent.splitBit) === 0;
      if (parent.hash === "") {
        // Fresh, and so is all above it: it is ours and already linked.
        if (isLeft) parent.left = node;
        else parent.right = node;
        return;
      }
      node = isLeft
        ? new Inner(parent.splitBit, node, parent.right)
        : new Inner(parent.splitBit, parent.left, node);
    }
    this.#root = node;
  }
}

/** Builds a tree from leaves in ascending order of their keys; linear, without recursion. */
export class TreeBuilder {
  // Finished subtrees along the right edge; between neighbours stands the split bit of their fork.
  readonly #nodes: TreeNode[] = [];
  readonly #splitBits: number[] = [];
  #last: Leaf | undefined;
  #size = 0;

  /** Leaves added so far. */
  get size(): number {
    return this.#size;
  }

  /** @throws {AssertionError} when the key is not above the last one. */
  add(leaf: Leaf): void {
    if (this.#last !== undefined) {
      const splitBit = partingBitOfLeaves(this.#last, leaf);
      assert(splitBit !== undefined && sideOfLeaf(leaf, splitBit) === 1, "state keys ascend");
      while ((this.#splitBits.at(-1) ?? -1) > splitBit) this.#closeFork();
      this.#splitBits.push(splitBit);
    }
    this.#nodes.push(leaf);
    this.#last = leaf;
    this.#size += 1;
  }

  /** Returns the root node, `undefined` when nothing was added. */
  finish(): TreeNode | undefined {
    while (this.#splitBits.length > 0) this.#closeFork();
    return this.#nodes[0];
  }

  #closeFork(): void {
    const right = this.#nodes.pop() as TreeNode;
    const left = this.#nodes.pop() as TreeNode;
    const fork = new Inner(this.#splitBits.pop() as number, left, right);
    seal(fork);
    this.#nodes.push(fork);
  }
}

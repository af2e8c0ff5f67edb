/**
 * The authenticated state tree in memory (D11): key -> value hash, root, ordered keys and proofs.
 * Values and disk are the state store's matter; rules of hashing and soundness of the proofs are in
 * src/base/proof/state-proof.ts.
 *
 * Invariants:
 *
 * (1) A `StateTree` never changes: `apply` returns a new one that shares what did not change. A
 *     version lives as long as somebody refers to it.
 * (2) `root` depends on the set of (key, value hash) alone, not on the order or the batches in
 *     which it came about: it equals `stateRootOf` over the same entries.
 * (3) Order is that of UTF-8 bytes everywhere.
 *
 * Cost: a changed key costs its depth in hashes, less what the batch shares. Depth is about
 * log2(keys) for keys that differ early, and never more than 2,304, which takes as many keys
 * made for the purpose below one contract's own prefix.
 */
import { assert } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import type { Hash } from "../base/hash.ts";
import {
  type AbsenceProof,
  emptyStateRoot,
  type InclusionProof,
  isStateKey,
  type KeyRange,
  type RangeProof,
  type Sibling,
  type StateLeaf,
} from "../base/proof/state-proof.ts";
import { TreeBuilder, TreeEdit } from "./state-tree-edit.ts";
import {
  bytesOfKey,
  hashOfNode,
  hexOf,
  type Inner,
  keyOfLeaf,
  type Leaf,
  packLeaf,
  sideOf,
  sideOfLeaf,
  type TreeNode,
  valueHashOfLeaf,
  walk,
} from "./state-tree-node.ts";

/** Which keys to list, and how. */
export type KeysQuery = {
  /** Least key, inclusive; absent: from the beginning. */
  readonly from?: string | undefined;
  /** End, exclusive; absent: to the end. */
  readonly to?: string | undefined;
  /** From the greatest down. */
  readonly reverse?: boolean | undefined;
  /** Most keys to return; absent: all. */
  readonly limit?: number | undefined;
};

/** A proven stretch of the state, ready for `verifyRange`. */
export type ProvenRange = {
  /** What is proven; ends earlier than asked when `limit` cut it. */
  readonly range: KeyRange;
  /** All keys in it with their value hashes, ascending. */
  readonly entries: readonly (readonly [key: string, valueHash: Hash])[];
  readonly proof: RangeProof;
};

/** An immutable version of the state tree. */
export class StateTree {
  /** Root hash, as in the header. */
  readonly root: Hash;
  /** Number of keys. */
  readonly size: number;
  readonly #node: TreeNode | undefined;

  private constructor(node: TreeNode | undefined, size: number) {
    this.#node = node;
    this.size = size;
    this.root = node === undefined ? emptyStateRoot : hexOf(hashOfNode(node));
  }

  /** The tree without keys. */
  static empty(): StateTree {
    return new StateTree(undefined, 0);
  }

  /**
   * Builds a tree from all its entries.
   *
   * @param entries - Key and value hash, strictly ascending by UTF-8 bytes of the key.
   * @throws {AssertionError} when the keys do not ascend or one is not permitted.
   */
  static fromSorted(entries: Iterable<readonly [key: string, valueHash: Hash]>): StateTree {
    const builder = new TreeBuilder();
    for (const [key, valueHash] of entries) {
      assert(isStateKey(key), "state keys are well-formed and of permitted length");
      builder.add(packLeaf(bytesOfKey(key), valueHash));
    }
    return new StateTree(builder.finish(), builder.size);
  }

  /**
   * Returns the tree after a batch of changes; this one stays as it is.
   *
   * @param changes - Key and new value hash (`undefined` removes the key; removing an absent key
   *   changes nothing), strictly ascending by UTF-8 bytes of the key.
   * @throws {AssertionError} when the keys do not ascend or one is not permitted.
   */
  apply(changes: Iterable<readonly [key: string, valueHash: Hash | undefined]>): StateTree {
    const edit = new TreeEdit(this.#node);
    let last: string | undefined;
    for (const [key, valueHash] of changes) {
      assert(isStateKey(key), "state keys are well-formed and of permitted length");
      const bytes = bytesOfKey(key);
      // Byte strings compare by chars and so by bytes.
      assert(last === undefined || last < bytes, "changed keys ascend");
      last = bytes;
      if (valueHash === undefined) edit.remove(bytes);
      else edit.put(bytes, packLeaf(bytes, valueHash));
    }
    const node = edit.finish();
    return node === this.#node ? this : new StateTree(node, this.size + edit.sizeChange);
  }

  /** Returns the value hash of a key, `undefined` when the key is absent. */
  get(key: string): Hash | undefined {
    const leaf = this.#leafOf(key);
    return leaf === undefined ? undefined : valueHashOfLeaf(leaf);
  }

  /** Lists keys in order of UTF-8 bytes. A range whose end is not above its beginning is empty. */
  keys(query: KeysQuery = {}): string[] {
    const { from, to, reverse = false, limit = Number.POSITIVE_INFINITY } = query;
    const keys: string[] = [];
    const end = reverse ? from : to;
    const endBytes = end === undefined ? undefined : bytesOfKey(end);
    for (const leaf of this.#leaves(reverse ? to : from, reverse ? 0 : 1)) {
      if (keys.length >= limit) break;
      if (endBytes !== undefined && isBelow(leaf, endBytes) === reverse) break;
      keys.push(keyOfLeaf(leaf));
    }
    return keys;
  }

  /** Proves a key's value hash; `undefined` when the key is absent. */
  proveInclusion(key: string): InclusionProof | undefined {
    if (this.#leafOf(key) === undefined) return undefined;
    return { path: this.#siblings(bytesOfKey(key)) };
  }

  /** Proves that a key is absent; `undefined` when it is present or no permitted key. */
  proveAbsence(key: string): AbsenceProof | undefined {
    if (!isStateKey(key)) return undefined;
    if (this.#node === undefined) return { path: [] };
    const bytes = bytesOfKey(key);
    const { leaf, partingBit } = walk(this.#node, bytes);
    if (partingBit === undefined) return undefined;
    return { leaf: stateLeafOf(leaf), path: this.#siblings(bytes) };
  }

  /**
   * Proves which keys a range holds.
   *
   * @param query - `limit` is the most entries to return: a cut range ends at the first key left
   *   out, from where the next one can begin.
   * @throws {LedgerError} `LEDGER_RANGE_INVALID` when `to` is not above `from`, or `limit` < 1.
   */
  proveRange(query: KeyRange & { readonly limit?: number | undefined }): ProvenRange {
    const { from, to, limit = Number.POSITIVE_INFINITY } = query;
    const endBytes = to === undefined ? undefined : bytesOfKey(to);
    if ((endBytes !== undefined && bytesOfKey(from) >= endBytes) || !(limit >= 1))
      throw new LedgerError("LEDGER_RANGE_INVALID", { from, to: to ?? null });
    const [before] = this.#leaves(from, 0);
    const inside: Leaf[] = [];
    let after: Leaf | undefined;
    for (const leaf of this.#leaves(from, 1)) {
      if (inside.length >= limit || (endBytes !== undefined && !isBelow(leaf, endBytes))) {
        after = leaf;
        break;
      }
      inside.push(leaf);
    }
    // A leaf after the last entry, but still in the range that was asked for: cut by the limit.
    const isCut = after !== undefined && (endBytes === undefined || isBelow(after, endBytes));
    const opened = [before, ...inside, after].filter((leaf) => leaf !== undefined);
    return {
      range: { from, to: isCut ? keyOfLeaf(after as Leaf) : to },
      entries: inside.map((leaf) => [keyOfLeaf(leaf), valueHashOfLeaf(leaf)] as const),
      proof: {
        before: before === undefined ? undefined : stateLeafOf(before),
        after: after === undefined ? undefined : stateLeafOf(after),
        left: this.#siblingsBeside(opened.at(0), 0),
        right: this.#siblingsBeside(opened.at(-1), 1),
      },
    };
  }

  #leafOf(key: string): Leaf | undefined {
    if (this.#node === undefined || !isStateKey(key)) return undefined;
    const { leaf, partingBit } = walk(this.#node, bytesOfKey(key));
    return partingBit === undefined ? leaf : undefined;
  }

  /** The closed nodes beside the walk of a key, from the root down. */
  #siblings(key: string): Sibling[] {
    if (this.#node === undefined) return [];
    return walk(this.#node, key).path.map((fork) => {
      const sibling = sideOf(key, fork.splitBit) === 0 ? fork.right : fork.left;
      return [fork.splitBit, hexOf(hashOfNode(sibling))];
    });
  }

  /** The closed nodes on one side (0 left, 1 right) of the walk to a leaf, from the root down. */
  #siblingsBeside(leaf: Leaf | undefined, side: 0 | 1): Sibling[] {
    if (leaf === undefined || this.#node === undefined) return [];
    const siblings: Sibling[] = [];
    let node: TreeNode = this.#node;
    while (typeof node !== "string") {
      const goesRight: boolean = sideOfLeaf(leaf, node.splitBit) === 1;
      const beside: TreeNode = goesRight ? node.left : node.right;
      if (goesRight === (side === 0)) siblings.push([node.splitBit, hexOf(hashOfNode(beside))]);
      node = goesRight ? node.right : node.left;
    }
    return siblings;
  }

  /**
   * Yields leaves from a bound outwards: ascending from the bound (inclusive) with `side` 1,
   * descending from below the bound (exclusive) with `side` 0. Without a bound: all.
   */
  *#leaves(bound: string | undefined, side: 0 | 1): Generator<Leaf> {
    if (this.#node === undefined) return;
    const pending =
      bound === undefined ? [this.#node] : pendingFrom(this.#node, bytesOfKey(bound), side);
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      while (typeof node !== "string") {
        pending.push(side === 1 ? node.right : node.left);
        node = side === 1 ? node.left : node.right;
      }
      yield node;
    }
  }
}

/** Subtrees wholly on one side of a bound (1: at or above, 0: below), the nearest last. */
function pendingFrom(root: TreeNode, bound: string, side: 0 | 1): TreeNode[] {
  const { path, leaf, partingBit } = walk(root, bound);
  const pending: TreeNode[] = [];
  const isAbove = ({ splitBit }: Inner) => partingBit === undefined || splitBit < partingBit;
  const shared = path.filter(isAbove);
  for (const fork of shared) {
    const boundSide = sideOf(bound, fork.splitBit);
    if (boundSide !== side) pending.push(side === 1 ? fork.right : fork.left);
  }
  // Where the bound parts from the tree, the whole rest is on one side of it.
  const rest = path[shared.length] ?? leaf;
  const restSide = partingBit === undefined || sideOf(bound, partingBit) === 0 ? 1 : 0;
  if (restSide === side) pending.push(rest);
  return pending;
}

function isBelow(leaf: Leaf, bound: string): boolean {
  return leaf.slice(32) < bound;
}

function stateLeafOf(leaf: Leaf): StateLeaf {
  return { key: keyOfLeaf(leaf), valueHash: valueHashOfLeaf(leaf) };
}

/**
 * Undo lists: what the keys that a block changed held before it, to get from the tree after a block
 * back to the one before. Layout in records.ts.
 */
import { setImmediate } from "node:timers/promises";
import { assert } from "../base/assert.ts";
import { compareUtf8, hexToBytes } from "../base/bytes.ts";
import { encode, type Value } from "../base/format/codec.ts";
import { TupleReader } from "../base/format/tuple.ts";
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import type { Operation } from "./database.ts";
import { putRecord, recordKeys } from "./records.ts";
import type { StateTree } from "./state-tree.ts";
import type { StateChange } from "./types.ts";

/** A block may change more keys than a tuple may have elements. */
const undoListMax = 10_000;
/** Leaves undone in one turn of the event loop: some 20 ms. */
const undoneLeavesPerTurn = 2_000;

/** An undo list, and the root that it leads to. */
export type Undo = {
  readonly root: Hash;
  readonly leaves: readonly (readonly [key: string, valueHash: Hash | undefined])[];
};

/** Decodes the payload of an undo record. @throws {LedgerError} CODEC_INVALID */
export function decodeUndo(payload: Uint8Array): Undo {
  const reader = TupleReader.decode(payload, "undo record");
  const root = reader.hash("root");
  const lists = reader.list("lists", limits.tupleElementsMax, (list) => {
    assert(Array.isArray(list), "an undo record with its checksum holds lists");
    return list.map((value) => readUndoLeaf(value));
  });
  return { root, leaves: lists.flat() };
}

function readUndoLeaf(value: Value): readonly [key: string, valueHash: Hash | undefined] {
  const leaf = TupleReader.of(value, "undo leaf");
  return [leaf.text("key"), leaf.optionalHash("valueHash")];
}

/** Encodes the payload of the undo record of a block: what its changed keys held before. */
export function encodeUndo(before: StateTree, changes: readonly StateChange[]): Uint8Array {
  const leaves = changes.map(([key]): Value => {
    const valueHash = before.get(key);
    return [key, valueHash === undefined ? null : hexToBytes(valueHash)];
  });
  const lists: Value[] = [];
  for (let start = 0; start < leaves.length; start += undoListMax)
    lists.push(leaves.slice(start, start + undoListMax));
  return encode([hexToBytes(before.root), lists]);
}

/** Makes the write of the undo list of a block. */
export function undoOperation(
  height: number,
  before: StateTree,
  changes: readonly StateChange[],
): Operation {
  return putRecord(recordKeys.undo(height), encodeUndo(before, changes));
}

/** Takes collected leaves back, letting others have their turn in between. */
export async function undoLeaves(
  after: StateTree,
  before: Map<string, Hash | undefined>,
): Promise<StateTree> {
  const leaves = [...before].sort(([left], [right]) => compareUtf8(left, right));
  before.clear();
  let tree = after;
  for (let start = 0; start < leaves.length; start += undoneLeavesPerTurn) {
    if (start > 0) await setImmediate();
    tree = tree.apply(leaves.slice(start, start + undoneLeavesPerTurn));
  }
  return tree;
}

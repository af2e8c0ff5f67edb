/**
 * The current state on disk and in memory: values in LevelDB with a bounded cache, keys and hashes
 * in the state tree, and the trees of the last `stateHistoryBlocks` heights.
 *
 * Invariants:
 *
 * (1) `current` is the state after the last appended block, with the root of its header.
 * (2) A `StateView` never changes what it answers: readers of an old height, also those that run
 *     while a block is being appended, see the values of their height.
 * (3) A value is only handed out when its hash is the one in the tree, so nothing is ever executed
 *     on a damaged or stale value.
 *
 * A view holds what later blocks overwrote, one small map a block: drop views when done with them.
 */
import { assert } from "../base/assert.ts";
import { hexToBytes, utf8Text } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { encode, type Value } from "../base/format/codec.ts";
import { TupleReader } from "../base/format/tuple.ts";
import { type Hash, valueHashOf } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import { type Database, entriesOf, type Operation } from "./database.ts";
import { historyOperations } from "./history.ts";
import { decodeRecord, familyRange, putRecord, recordKeys, stateKeyOf } from "./records.ts";
import { StateTree } from "./state-tree.ts";
import type { KeyRange, StateChange, StateReader } from "./types.ts";
import { ValueCache } from "./value-cache.ts";

/** The changes of one block on the state, ready to be written. */
export type StagedState = {
  readonly height: number;
  readonly tree: StateTree;
  readonly changes: readonly StateChange[];
  readonly operations: readonly Operation[];
};

/** What is staged: the net changes of the block of a height, and the tree after it if known. */
export type StageInput = {
  readonly height: number;
  readonly changes: readonly StateChange[];
  readonly stateTree?: StateTree | undefined;
};

const heightBytes = 6;
/** A block may change more keys than a tuple may have elements. */
const undoListMax = 10_000;

/** The state as it was after one height, for as long as somebody holds it. */
export class StateView implements StateReader {
  readonly height: number;
  readonly tree: StateTree;
  readonly #readCurrent: (key: string) => string | undefined;
  #overwritten: ReadonlyMap<string, string | undefined> | undefined;
  #next: StateView | undefined;

  constructor(height: number, tree: StateTree, readCurrent: (key: string) => string | undefined) {
    this.height = height;
    this.tree = tree;
    this.#readCurrent = readCurrent;
  }

  /** Returns the value of a key. @throws {LedgerError} LEDGER_STATE_CORRUPT */
  get(key: string): string | undefined {
    for (let view: StateView = this; view.#overwritten !== undefined; view = view.#next) {
      if (view.#overwritten.has(key)) return view.#overwritten.get(key);
      if (view.#next === undefined) break;
    }
    return this.#readCurrent(key);
  }

  /** Lists entries of a range. @throws {LedgerError} LEDGER_STATE_CORRUPT */
  range(range: KeyRange): [key: string, value: string][] {
    return this.tree.keys(range).map((key) => {
      const value = this.get(key);
      assert(value !== undefined, "every key of the state tree has a value");
      return [key, value];
    });
  }

  /** Keeps for this view what the next block is about to overwrite. */
  supersede(overwritten: ReadonlyMap<string, string | undefined>): void {
    this.#overwritten = overwritten;
  }

  /** Says which view follows this one. */
  follow(next: StateView): void {
    this.#next = next;
  }
}

/** The state after the last appended block, and the trees of some heights before it. */
export class StateStore {
  readonly #database: Database;
  readonly #cache = new ValueCache(limits.stateCacheCharsMax);
  readonly #trees = new Map<number, StateTree>();
  /** Is told of damage that a read finds, before the error is thrown. */
  onDamage: (error: LedgerError) => void = () => {};
  #current: StateView;

  private constructor(database: Database, height: number, tree: StateTree) {
    this.#database = database;
    this.#current = this.#viewOf(height, tree);
  }

  /** A state without keys, before the genesis. Nothing may be stored yet. */
  static empty(database: Database): StateStore {
    return new StateStore(database, -1, StateTree.empty());
  }

  /**
   * Reads the whole current state, checks every record, and builds the tree.
   *
   * @throws {LedgerError} LEDGER_STATE_CORRUPT when a record is damaged or the root is not `root`.
   */
  static async load(
    database: Database,
    tip: { readonly height: number; readonly root: Hash },
    onKeys: (keys: number) => void = () => {},
  ): Promise<StateStore> {
    const { height } = tip;
    const leaves: [key: string, valueHash: Hash][] = [];
    try {
      for await (const [key, record] of entriesOf(database, familyRange("s"))) {
        leaves.push([stateKeyOf(key), valueHashOf(decodeStateValue(decodeRecord(key, record)))]);
        if (leaves.length % 10_000 === 0) onKeys(leaves.length);
      }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new LedgerError("LEDGER_STATE_CORRUPT", { height, reason }, { cause });
    }
    const tree = StateTree.fromSorted(leaves);
    if (tree.root !== tip.root)
      throw new LedgerError("LEDGER_STATE_CORRUPT", {
        height,
        reason: `root ${tree.root} differs from ${tip.root} in the header`,
      });
    return new StateStore(database, height, tree);
  }

  /** The state after the last appended block. */
  get current(): StateView {
    return this.#current;
  }

  /** Makes the writes of one block on top of the current state. Nothing changes yet. */
  stage({ height, changes, stateTree }: StageInput): StagedState {
    const before = this.#current.tree;
    assert(height === this.#current.height + 1, "state grows by one height at a time");
    const tree =
      stateTree ??
      before.apply(
        changes.map(([key, value]) => [key, value === undefined ? value : valueHashOf(value)]),
      );
    const operations = [
      ...changes.map((change) => stateOperation(change, height)),
      ...historyOperations(height, changes),
      undoOperation(height, before, changes),
    ];
    const outdated = height - limits.stateHistoryBlocks;
    if (outdated >= 0) operations.push({ type: "del", key: recordKeys.undo(outdated) });
    return { height, tree, changes, operations };
  }

  /** Keeps old values for the readers of the current height; call before the writes begin. */
  prepare(staged: StagedState): void {
    const view = this.#current;
    view.supersede(new Map(staged.changes.map(([key]) => [key, view.get(key)])));
  }

  /** Makes the staged state the current one; call once its writes are on disk. */
  adopt({ height, tree, changes }: StagedState): void {
    for (const [key, value] of changes) this.#cache.set(key, value);
    const next = this.#viewOf(height, tree);
    this.#current.follow(next);
    this.#current = next;
    this.#trees.delete(height - limits.stateHistoryBlocks);
  }

  /**
   * Returns the tree after a height, `undefined` unless it is one of the last
   * `stateHistoryBlocks`. After a restart older trees are rebuilt from undo lists when asked for.
   *
   * @throws {LedgerError} LEDGER_STATE_CORRUPT
   */
  treeAt(height: number): StateTree | undefined {
    const tip = this.#current.height;
    if (height > tip || height < 0 || height <= tip - limits.stateHistoryBlocks) return undefined;
    let known = height;
    while (!this.#trees.has(known)) known += 1;
    let tree = this.#trees.get(known) as StateTree;
    for (; known > height; known -= 1) {
      tree = this.#undo(known, tree);
      this.#trees.set(known - 1, tree);
    }
    return tree;
  }

  #viewOf(height: number, tree: StateTree): StateView {
    this.#trees.set(height, tree);
    return new StateView(height, tree, (key) => this.#readCurrent(key));
  }

  #readCurrent(key: string): string | undefined {
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const valueHash = this.#current.tree.get(key);
    if (valueHash === undefined) return undefined;
    const value = this.#checked(`value of ${key}`, () => {
      const recordKey = recordKeys.state(key);
      const record = this.#database.getSync(recordKey);
      return record && decodeStateValue(decodeRecord(recordKey, record));
    });
    if (valueHashOf(value) !== valueHash) throw this.#corrupt(`value of ${key} is another one`);
    this.#cache.set(key, value);
    return value;
  }

  /** Returns the tree before a height from the tree after it. */
  #undo(height: number, after: StateTree): StateTree {
    const undo = this.#checked(`undo list of height ${height}`, () => {
      const recordKey = recordKeys.undo(height);
      const record = this.#database.getSync(recordKey);
      return record && decodeUndo(decodeRecord(recordKey, record));
    });
    const before = after.apply(undo.leaves);
    if (before.root === undo.root) return before;
    throw this.#corrupt(`undo list of height ${height} leads to another root`);
  }

  #checked<T>(what: string, read: () => T | undefined): T {
    let result: T | undefined;
    try {
      result = read();
    } catch (cause) {
      throw this.#corrupt(`${what} cannot be read`, cause);
    }
    if (result === undefined) throw this.#corrupt(`${what} is missing`);
    return result;
  }

  #corrupt(reason: string, cause?: unknown): LedgerError<"LEDGER_STATE_CORRUPT"> {
    const facts = { height: this.#current.height, reason };
    const error = new LedgerError("LEDGER_STATE_CORRUPT", facts, { cause });
    this.onDamage(error);
    return error;
  }
}

/** Encodes the payload of a state record. */
export function encodeStateValue(value: string, writtenAt: number): Uint8Array {
  const payload = Buffer.allocUnsafe(heightBytes + Buffer.byteLength(value, "utf8"));
  payload.writeUIntBE(writtenAt, 0, heightBytes);
  payload.write(value, heightBytes, "utf8");
  return payload;
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

function decodeStateValue(payload: Uint8Array): string {
  return utf8Text(payload.subarray(heightBytes));
}

type Undo = {
  readonly root: Hash;
  readonly leaves: readonly (readonly [key: string, valueHash: Hash | undefined])[];
};

function decodeUndo(payload: Uint8Array): Undo {
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

function stateOperation([key, value]: StateChange, height: number): Operation {
  const recordKey = recordKeys.state(key);
  if (value === undefined) return { type: "del", key: recordKey };
  return putRecord(recordKey, encodeStateValue(value, height));
}

function undoOperation(
  height: number,
  before: StateTree,
  changes: readonly StateChange[],
): Operation {
  return putRecord(recordKeys.undo(height), encodeUndo(before, changes));
}

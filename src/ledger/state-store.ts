/**
 * The current state on disk and in memory: values in LevelDB with a bounded cache, keys and hashes
 * in the state tree, and the trees of the last `stateHistoryBlocks` heights and of the newest
 * snapshots.
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
import { utf8Text } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { type Hash, valueHashOf } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import { type Database, entriesOf, type Operation, unreadable } from "./database.ts";
import { historyOperations } from "./history.ts";
import {
  decodeRecord,
  familyRange,
  isDamage,
  putRecord,
  recordKeys,
  stateKeyOf,
} from "./records.ts";
import { StateTree } from "./state-tree.ts";
import { decodeUndo, type Undo, undoLeaves, undoOperation } from "./state-undo.ts";
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
/** Leaves that are held while many blocks are undone. */
const undoneLeavesMax = 20_000;

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
  /** Trees of the newest snapshot heights, as far as they were asked for or passed. */
  readonly #snapshots = new Map<number, StateTree>();
  /** Trees that are being made from undo lists. */
  readonly #remaking = new Map<number, Promise<StateTree | undefined>>();
  #lastRemade: Promise<void> = Promise.resolve();
  /** Height below which undo lists may be gone. */
  baseHeight: () => number = () => 0;
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
   * @throws what the database throws that cannot be read at the moment.
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
      if (!isDamage(cause)) throw cause;
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
    const outdated = height - undoBlocksOf(this.#current);
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
    if (snapshotHeights(next, height)[0] === height) this.#keepSnapshot(height, tree);
  }

  /**
   * Returns the tree after one of the heights that `snapshotHeights` of the current state names,
   * also after a restart; `undefined` for all others.
   *
   * @throws {LedgerError} LEDGER_STATE_CORRUPT
   */
  async snapshotTree(height: number): Promise<StateTree | undefined> {
    if (!this.#isSnapshot(height)) return undefined;
    const known = this.#snapshots.get(height) ?? this.#trees.get(height);
    const tree = known ?? (await this.#remade(height));
    if (tree !== undefined && this.#isSnapshot(height)) this.#keepSnapshot(height, tree);
    return tree;
  }

  /**
   * Returns the tree after a height, `undefined` unless it is one of the last
   * `stateHistoryBlocks`. After a restart older trees are rebuilt from undo lists when asked for.
   *
   * @throws {LedgerError} LEDGER_STATE_CORRUPT
   */
  async treeAt(height: number): Promise<StateTree | undefined> {
    if (!this.#isRecent(height)) return undefined;
    const tree = this.#trees.get(height) ?? (await this.#remade(height));
    if (tree !== undefined && this.#isRecent(height)) this.#trees.set(height, tree);
    return tree;
  }

  #isRecent(height: number): boolean {
    const tip = this.#current.height;
    const isPruned = height < this.baseHeight();
    return !isPruned && height <= tip && height > tip - limits.stateHistoryBlocks && height >= 0;
  }

  #isSnapshot(height: number): boolean {
    const { height: tip } = this.#current;
    return height >= this.baseHeight() && snapshotHeights(this.#current, tip).includes(height);
  }

  /** Makes a tree once, however many ask for it meanwhile, and one after the other. */
  #remade(height: number): Promise<StateTree | undefined> {
    const known = this.#remaking.get(height);
    if (known !== undefined) return known;
    const made = this.#lastRemade.then(() => this.#remake(height));
    this.#remaking.set(height, made);
    this.#lastRemade = made.then(
      () => void this.#remaking.delete(height),
      () => void this.#remaking.delete(height),
    );
    return made;
  }

  /**
   * Undoes many blocks at once: a tree for each of them would take long. On the way to a recent
   * height each tree is made and kept all the same, so that asking for all of them undoes no block
   * twice. Blocks may be appended and pruned meanwhile: when the height is none any more for which
   * lists are kept, there is no tree.
   */
  async #remake(height: number): Promise<StateTree | undefined> {
    const nearest = this.#nearestAbove(height);
    let { tree } = nearest;
    let { root } = tree;
    const isRecent = this.#isRecent(height);
    const before = new Map<string, Hash | undefined>();
    for (let undone = nearest.height; undone > height; undone -= 1) {
      const undo = await this.#readUndo(undone);
      if (undo === undefined && !this.#isRecent(height) && !this.#isSnapshot(height))
        return undefined;
      if (undo === undefined) throw this.#corrupt(`undo list of height ${undone} is missing`);
      for (const [key, valueHash] of undo.leaves) before.set(key, valueHash);
      root = undo.root;
      const isWanted = isRecent || undone === height + 1;
      if (!isWanted && before.size <= undoneLeavesMax) continue;
      tree = await undoLeaves(tree, before);
      if (tree.root !== root)
        throw this.#corrupt(`undo lists down to height ${undone - 1} lead to another root`);
      if (this.#isRecent(undone - 1)) this.#trees.set(undone - 1, tree);
    }
    return tree;
  }

  #nearestAbove(height: number): { readonly height: number; readonly tree: StateTree } {
    let nearest: { readonly height: number; readonly tree: StateTree } = this.#current;
    for (const [each, tree] of [...this.#trees, ...this.#snapshots])
      if (each >= height && each < nearest.height) nearest = { height: each, tree };
    return nearest;
  }

  #keepSnapshot(height: number, tree: StateTree): void {
    this.#snapshots.set(height, tree);
    const kept = snapshotHeights(this.#current, this.#current.height);
    for (const old of this.#snapshots.keys()) if (!kept.includes(old)) this.#snapshots.delete(old);
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
    const value = this.#readValue(key);
    if (value === undefined) throw this.#corrupt(`value of ${key} is missing`);
    if (valueHashOf(value) !== valueHash) throw this.#corrupt(`value of ${key} is another one`);
    this.#cache.set(key, value);
    return value;
  }

  #readValue(key: string): string | undefined {
    const recordKey = recordKeys.state(key);
    try {
      const record = this.#database.getSync(recordKey);
      return record && decodeStateValue(decodeRecord(recordKey, record));
    } catch (cause) {
      throw this.#explained(`value of ${key}`, cause);
    }
  }

  async #readUndo(height: number): Promise<Undo | undefined> {
    try {
      const record = await this.#database.get(recordKeys.undo(height));
      return record && decodeUndo(decodeRecord(recordKeys.undo(height), record));
    } catch (cause) {
      throw this.#explained(`undo list of height ${height}`, cause);
    }
  }

  #explained(what: string, cause: unknown): unknown {
    return isDamage(cause) ? this.#corrupt(`${what} cannot be read`, cause) : unreadable(cause, "");
  }

  #corrupt(reason: string, cause?: unknown): LedgerError<"LEDGER_STATE_CORRUPT"> {
    const facts = { height: this.#current.height, reason };
    const error = new LedgerError("LEDGER_STATE_CORRUPT", facts, { cause });
    this.onDamage(error);
    return error;
  }
}

/**
 * Returns how many heights below the tip have undo lists: enough for the trees of the newest
 * snapshots after a restart.
 */
export function undoBlocksOf(state: StateReader): number {
  return Math.max(limits.stateHistoryBlocks, limits.snapshotsServed * snapshotInterval(state));
}

/** Returns the newest heights up to one that have snapshots, the newest first. */
export function snapshotHeights(state: StateReader, height: number): number[] {
  const interval = snapshotInterval(state);
  const heights: number[] = [];
  if (interval === 0) return heights;
  for (let each = height - (height % interval); each > 0; each -= interval) {
    if (heights.push(each) === limits.snapshotsServed) break;
  }
  return heights;
}

/** States of tests have no such parameter, and no snapshots. */
function snapshotInterval(state: StateReader): number {
  return Number(state.get("system/parameter/snapshotInterval") ?? 0);
}

/** Encodes the payload of a state record. */
export function encodeStateValue(value: string, writtenAt: number): Uint8Array {
  const payload = Buffer.allocUnsafe(heightBytes + Buffer.byteLength(value, "utf8"));
  payload.writeUIntBE(writtenAt, 0, heightBytes);
  payload.write(value, heightBytes, "utf8");
  return payload;
}

function decodeStateValue(payload: Uint8Array): string {
  return utf8Text(payload.subarray(heightBytes));
}

/** Decodes the payload of a state record. */
export function decodeStateRecord(payload: Uint8Array): { value: string; writtenAt: number } {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, heightBytes);
  return { value: decodeStateValue(payload), writtenAt: bytes.readUIntBE(0, heightBytes) };
}

function stateOperation([key, value]: StateChange, height: number): Operation {
  const recordKey = recordKeys.state(key);
  if (value === undefined) return { type: "del", key: recordKey };
  return putRecord(recordKey, encodeStateValue(value, height));
}

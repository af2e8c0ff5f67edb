/**
 * The disk of one simulated node: a database and a signing record that outlive its crashes, as far
 * as a real disk would keep them.
 *
 * | at a crash | what is kept |
 * |---|---|
 * | batch that was acknowledged with sync | always |
 * | batch without sync | after a kill; after a power cut only if a synced one came later |
 * | batch under way | all of it or nothing; torn: its first operations only (a fault to be found) |
 * | record under way | the new one, the old one, or the old one beside a torn slot |
 *
 * An operation of a life that has ended has no effect and never returns.
 */
import type {
  Database,
  DatabaseIterator,
  DatabaseRange,
  Operation,
} from "../../../src/ledger/database.ts";
import type { FoundRecord } from "../../../src/node/votes.ts";
import type { Random } from "../random.ts";
import type { Life, VirtualTime } from "./time.ts";

/** How a process ends. `torn` is a power cut that leaves part of a batch behind. */
export type CrashKind = "kill" | "power" | "torn";

type Undo = readonly [key: string, value: Uint8Array | undefined];
type Writing = { readonly operations: readonly Operation[] };

/** What a disk is made of. */
export type DiskOptions = {
  readonly time: VirtualTime;
  readonly random: Random;
  /** Longest time of a write, milliseconds. */
  readonly writeMsMax: number;
};

/** Disk of one node. */
export class VirtualDisk {
  readonly #options: DiskOptions;
  #entries = new Map<string, Uint8Array>();
  #sortedKeys: readonly string[] | undefined = [];
  /** How to take back what is not synced, oldest first. */
  #unsynced: Undo[] = [];
  readonly #writing = new Set<Writing>();
  #record: FoundRecord = { record: undefined, isLost: false, isTorn: false };
  #recordWriting: Uint8Array | undefined;
  /** Called when a write begins; a fault waits for this moment. */
  onWrite: () => void = () => {};

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /** The record whose write was acknowledged last. */
  get record(): Uint8Array | undefined {
    return this.#record.record;
  }

  /** Opens the database for one life. */
  openDatabase(life: Life): Database {
    return {
      get: async (key) => this.#entries.get(key),
      getSync: (key) => this.#entries.get(key),
      batch: (operations, { sync }) => this.#batch(life, operations, sync),
      keys: (range) => pagesOf(this.#keysIn(range)),
      iterator: (range) =>
        pagesOf(this.#keysIn(range).map((key) => [key, this.#entries.get(key) as Uint8Array])),
      close: async () => {},
    };
  }

  /** Reads the signing record as a start finds it. */
  findRecord(): FoundRecord {
    return this.#record;
  }

  /** Writes the record for one life; returns once it is on disk. */
  writeRecord(life: Life, bytes: Uint8Array): Promise<void> {
    const { time } = this.#options;
    this.#recordWriting = bytes;
    this.onWrite();
    return new Promise((resolve) => {
      time.after(this.#delayMs(), () => {
        if (!life.isAlive) return;
        this.#recordWriting = undefined;
        this.#record = { record: bytes, isLost: false, isTorn: false };
        time.after(0, resolve, life);
      });
    });
  }

  /** Ends a life: what was under way arrives or not. */
  crash(kind: CrashKind): void {
    const { random } = this.#options;
    if (kind !== "kill") for (const undo of this.#unsynced.reverse()) this.#put(...undo);
    this.#unsynced = [];
    for (const { operations } of this.#writing) {
      const count = operations.length;
      if (kind === "torn") this.#apply(operations.slice(0, random.below(count)));
      else if (random.chance(0.5)) this.#apply(operations);
    }
    this.#writing.clear();
    if (this.#recordWriting !== undefined) this.#crashRecord(kind, this.#recordWriting);
    this.#recordWriting = undefined;
    this.#unsynced = [];
  }

  /** Empties the database. */
  wipe(): void {
    this.#entries = new Map();
    this.#sortedKeys = [];
  }

  /** Deletes the signing record. */
  loseRecord(): void {
    this.#record = { record: undefined, isLost: true, isTorn: false };
  }

  #crashRecord(kind: CrashKind, bytes: Uint8Array): void {
    const { random } = this.#options;
    if (random.chance(0.5)) this.#record = { record: bytes, isLost: false, isTorn: false };
    else if (kind === "torn") this.#record = { ...this.#record, isTorn: true };
  }

  #batch(life: Life, operations: readonly Operation[], sync: boolean): Promise<void> {
    const { time } = this.#options;
    if (!life.isAlive) return new Promise(() => {});
    const writing = { operations };
    this.#writing.add(writing);
    this.onWrite();
    return new Promise((resolve) => {
      time.after(this.#delayMs(), () => {
        if (!this.#writing.delete(writing)) return;
        this.#apply(operations);
        if (sync) this.#unsynced = [];
        time.after(0, resolve, life);
      });
    });
  }

  #delayMs(): number {
    const { random, writeMsMax } = this.#options;
    return random.below(writeMsMax + 1);
  }

  #apply(operations: readonly Operation[]): void {
    for (const operation of operations) {
      const { key } = operation;
      this.#unsynced.push([key, this.#entries.get(key)]);
      this.#put(key, operation.type === "put" ? operation.value : undefined);
    }
  }

  #put(key: string, value: Uint8Array | undefined): void {
    if (value === undefined ? this.#entries.delete(key) : !this.#entries.has(key))
      this.#sortedKeys = undefined;
    if (value !== undefined) this.#entries.set(key, value);
  }

  /** Keys here are ASCII, so the order of JavaScript is that of their bytes. */
  #keysIn({ gte, lt, reverse, limit }: DatabaseRange): string[] {
    this.#sortedKeys ??= [...this.#entries.keys()].sort();
    const keys = this.#sortedKeys.slice(
      placeOf(this.#sortedKeys, gte),
      placeOf(this.#sortedKeys, lt),
    );
    if (reverse === true) keys.reverse();
    return limit === undefined ? keys : keys.slice(0, limit);
  }
}

/** Returns how many keys come before one. */
function placeOf(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function pagesOf<T>(entries: T[]): DatabaseIterator<T> {
  return { nextv: async (count) => entries.splice(0, count), close: async () => {} };
}

/**
 * The files of one database on a virtual disk, and the database that a life opens on them. What
 * follows from a crash or a full disk is here; when these happen is the disk's matter (disk.ts).
 *
 * | event | what becomes of the entries |
 * |---|---|
 * | batch that was acknowledged with sync | stays |
 * | batch without sync | stays after a kill; after a power cut only if a synced one came later |
 * | batch under way | all of it or nothing; torn: its first operations only (a fault to be found) |
 * | refused batch | nothing is seen of it, but it may be there when the files are opened anew |
 * | batch after a refused one, before `renew` | is seen, and lost at the next opening: the log is torn |
 *
 * An operation of a life that has ended has no effect and never returns.
 */
import { LedgerError } from "../../../src/base/errors.ts";
import type {
  Database,
  DatabaseIterator,
  DatabaseRange,
  Operation,
} from "../../../src/ledger/database.ts";
import type { Random } from "../random.ts";
import type { EffectKind } from "./effects.ts";
import type { Life, VirtualTime } from "./time.ts";

/** How a process ends; two are power cuts that leave a part of a write that was under way. */
export type CrashKind = "kill" | "power" | "tornBatch" | "tornRecord";

/** What a database needs of the disk that its files are on. */
export type Medium = {
  readonly time: VirtualTime;
  /** For what a full disk leaves behind. */
  readonly random: Random;
  /** Time of the next write, milliseconds. */
  delayMs(): number;
  isFull(): boolean;
  /** A write begins. */
  onWrite(operations: readonly Operation[]): void;
  /** A synced write has arrived, and with it all that was done to directories before. */
  onSynced(): void;
  /** A write was refused for want of room, and the process has heard of it. */
  onRefused(operations: readonly Operation[]): void;
};

type Undo = readonly [key: string, value: Uint8Array | undefined];
type Writing = { readonly operations: readonly Operation[] };

/** Entries of a directory. */
export class VirtualFiles {
  #entries = new Map<string, Uint8Array>();
  /** Its keys in order. */
  readonly #sortedKeys: string[] = [];
  /** How to take back what is not synced, oldest first. */
  #unsynced: Undo[] = [];
  /** The same for what stands behind a torn record of the log. */
  #behindTorn: Undo[] = [];
  #isTorn = false;
  /** A refused batch that reached the log. */
  #refused: readonly Operation[] | undefined;
  readonly #writing = new Set<Writing>();
  /** Part of the files were deleted: it cannot be opened. */
  isCut = false;

  get entries(): ReadonlyMap<string, Uint8Array> {
    return this.#entries;
  }

  begin(operations: readonly Operation[]): Writing {
    const writing = { operations };
    this.#writing.add(writing);
    return writing;
  }

  /** Ends a write. @returns False when a crash did before. */
  end(writing: Writing, sync: boolean): boolean {
    if (!this.#writing.delete(writing)) return false;
    this.#apply(writing.operations, this.#isTorn ? this.#behindTorn : this.#unsynced);
    if (sync) this.#unsynced = [];
    return true;
  }

  /** Ends a write without room for it. @returns False when a crash did before. */
  refuse(writing: Writing, hasArrived: boolean): boolean {
    if (!this.#writing.delete(writing)) return false;
    this.#isTorn = true;
    if (hasArrived) this.#refused ??= writing.operations;
    return true;
  }

  /** The files are read anew: what stands behind a torn record of the log is not found. */
  reopen(): void {
    for (const undo of this.#behindTorn.reverse()) this.#put(...undo);
    this.#behindTorn = [];
    this.#isTorn = false;
    this.#apply(this.#refused ?? [], []);
    this.#refused = undefined;
    this.#unsynced = [];
  }

  /** Ends a life: what was under way arrives or not. */
  crash(kind: CrashKind, random: Random, onEffect: (kind: EffectKind) => void): void {
    // What stands in the log before it is lost with a power cut, and so is all behind that.
    const isLost = () => this.#unsynced.length > 0 || random.chance(0.5);
    if (this.#refused !== undefined && kind !== "kill" && isLost()) this.#refused = undefined;
    if (kind !== "kill" && this.#unsynced.length > 0) onEffect("unsynced");
    if (kind !== "kill") for (const undo of this.#unsynced.reverse()) this.#put(...undo);
    this.#unsynced = [];
    if (this.#isTorn) this.#writing.clear();
    this.reopen();
    for (const { operations } of this.#writing) {
      const count = operations.length;
      if (kind === "tornBatch" && count > 1) {
        this.#apply(operations.slice(0, 1 + random.below(count - 1)), []);
        onEffect("tornBatch");
      } else if (random.chance(0.5)) this.#apply(operations, []);
    }
    this.#writing.clear();
  }

  /** Keys here are ASCII, so the order of JavaScript is that of their bytes. */
  keysIn({ gte, lt, reverse, limit }: DatabaseRange): string[] {
    const keys = this.#sortedKeys.slice(
      placeOf(this.#sortedKeys, gte),
      placeOf(this.#sortedKeys, lt),
    );
    if (reverse === true) keys.reverse();
    return limit === undefined ? keys : keys.slice(0, limit);
  }

  #apply(operations: readonly Operation[], undos: Undo[]): void {
    for (const operation of operations) {
      const { key } = operation;
      undos.push([key, this.#entries.get(key)]);
      this.#put(key, operation.type === "put" ? operation.value : undefined);
    }
  }

  #put(key: string, value: Uint8Array | undefined): void {
    const isKnown = this.#entries.has(key);
    if (isKnown !== (value !== undefined)) {
      const place = placeOf(this.#sortedKeys, key);
      if (isKnown) this.#sortedKeys.splice(place, 1);
      else this.#sortedKeys.splice(place, 0, key);
    }
    if (value === undefined) this.#entries.delete(key);
    else this.#entries.set(key, value);
  }
}

const renewMsMax = 60;

/** The files as one life has them open. */
export class OpenDatabase implements Database {
  readonly #files: VirtualFiles;
  readonly #medium: Medium;
  readonly #life: Life;
  #renewing: Promise<void> | undefined;
  #isOpen = true;
  /** Times that it was opened: a walk does not outlive them. */
  #openings = 1;

  constructor(files: VirtualFiles, medium: Medium, life: Life) {
    this.#files = files;
    this.#medium = medium;
    this.#life = life;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    if (this.#renewing !== undefined) await this.#renewing.catch(() => {});
    return this.getSync(key);
  }

  getSync(key: string): Uint8Array | undefined {
    this.#checkOpen();
    return this.#files.entries.get(key);
  }

  async batch(operations: readonly Operation[], { sync }: { sync: boolean }): Promise<void> {
    if (!this.#life.isAlive) return new Promise(() => {});
    if (this.#renewing !== undefined) await this.#renewing.catch(() => {});
    this.#checkOpen();
    const writing = this.#files.begin(operations);
    const { isFull, onWrite } = this.#medium;
    const isRefused = isFull();
    onWrite(operations);
    return isRefused ? this.#refuse(writing) : this.#write(writing, sync);
  }

  keys(range: DatabaseRange): DatabaseIterator<string> {
    this.#checkOpen();
    return this.#pagesOf(this.#files.keysIn(range));
  }

  iterator(range: DatabaseRange): DatabaseIterator<[string, Uint8Array]> {
    this.#checkOpen();
    const { entries } = this.#files;
    return this.#pagesOf(
      this.#files.keysIn(range).map((key) => [key, entries.get(key) as Uint8Array]),
    );
  }

  async close(): Promise<void> {
    await this.#renewing?.catch(() => {});
    this.#isOpen = false;
  }

  renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    const { time, random, isFull } = this.#medium;
    this.#isOpen = false;
    await new Promise<void>((resolve) =>
      time.after(1 + random.below(renewMsMax), resolve, this.#life),
    );
    if (isFull()) throw unreadable("no space left on device", false);
    this.#files.reopen();
    this.#openings += 1;
    this.#isOpen = true;
  }

  #write(writing: Writing, sync: boolean): Promise<void> {
    const { time, delayMs, onSynced } = this.#medium;
    return new Promise((resolve) => {
      time.after(delayMs(), () => {
        if (!this.#files.end(writing, sync)) return;
        if (sync) onSynced();
        time.after(0, resolve, this.#life);
      });
    });
  }

  #refuse(writing: Writing): Promise<void> {
    const { time, random, delayMs, onRefused } = this.#medium;
    const hasArrived = random.chance(0.4);
    return new Promise((_resolve, reject) => {
      time.after(delayMs(), () => {
        if (!this.#files.refuse(writing, hasArrived)) return;
        const tell = () => {
          onRefused(writing.operations);
          reject(noRoom());
        };
        time.after(0, tell, this.#life);
      });
    });
  }

  #pagesOf<T>(entries: T[]): DatabaseIterator<T> {
    const openings = this.#openings;
    return {
      nextv: async (count) => {
        if (openings !== this.#openings) throw closed();
        this.#checkOpen();
        return entries.splice(0, count);
      },
      close: async () => {},
    };
  }

  #checkOpen(): void {
    if (!this.#isOpen) throw closed();
  }
}

/** What LevelDB throws when a file cannot be written. */
function noRoom(): Error {
  const message = "IO error: 000005.log: No space left on device";
  return Object.assign(new Error(message), { code: "LEVEL_IO_ERROR" });
}

/** What opening throws. */
export function unreadable(reason: string, salvageable: boolean): LedgerError {
  return new LedgerError("LEDGER_STORE_UNREADABLE", { directory: "ledger", reason, salvageable });
}

function closed(): LedgerError {
  return new LedgerError("LEDGER_STORE_CLOSED", { directory: "ledger" });
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

/**
 * The disk of one simulated node: directories with databases, and a signing record. They outlive
 * its crashes as far as a real disk would keep them (virtual-database.ts has the table of entries).
 *
 * | at a crash | what is kept |
 * |---|---|
 * | record under way | the new one, the old one, or the old one beside a torn slot |
 * | renames | all after a kill; after a power cut a first part of those that nothing made last: neither a synced write nor their own return |
 * | removal under way | the directory, nothing, or a part of its files that cannot be opened |
 *
 * While a place is full its writes fail, and a database there cannot be opened.
 */
import { LedgerError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Database, Operation } from "../../../src/ledger/database.ts";
import type { Directories } from "../../../src/node/snapshot-directory.ts";
import type { StoragePlace } from "../../../src/node/storage-gate.ts";
import type { FoundRecord } from "../../../src/node/votes.ts";
import type { Random } from "../random.ts";
import type { EffectKind } from "./effects.ts";
import type { Life, VirtualTime } from "./time.ts";
import {
  type CrashKind,
  type Medium,
  OpenDatabase,
  unreadable,
  VirtualFiles,
} from "./virtual-database.ts";

/** What a disk is made of. */
export type DiskOptions = {
  readonly time: VirtualTime;
  readonly random: Random;
  /** For full places and directories: draws here leave the others as they are. */
  readonly fullRandom: Random;
  /** Longest time of a write, milliseconds. */
  readonly writeMsMax: number;
  onEffect(kind: EffectKind): void;
};

/** Where a node writes: each may be a disk of its own. */
export type Place = "ledger" | "record";

/** The directory of the ledger; others are beside it. */
export const ledgerDirectory = "ledger";

const plentyBytes = 2 ** 40;

/** Disk of one node. */
export class VirtualDisk {
  readonly #options: DiskOptions;
  #directories = new Map<string, VirtualFiles>();
  /** What there was before each change of directories that a power cut may still undo. */
  #moves: ReadonlyMap<string, VirtualFiles>[] = [];
  readonly #removing = new Set<string>();
  #record: FoundRecord = { record: undefined, isLost: false, isTorn: false };
  #recordWriting: Uint8Array | undefined;
  #full: ReadonlySet<Place> = new Set();
  #saysRoom = false;
  /** Called when a write of operations or of the record begins; a fault waits for this moment. */
  onWrite: (write: readonly Operation[] | "record") => void = () => {};
  /** Called when the process hears that it cannot write its record, or these operations. */
  onRefused: (operations: readonly Operation[] | undefined) => void = () => {};
  /** When the last write of the record began. */
  recordBegunMs = 0;
  /** Refused writes since the beginning. */
  refusals = 0;

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /** The record whose write was acknowledged last. */
  get record(): Uint8Array | undefined {
    return this.#record.record;
  }

  /** Places without room. */
  get full(): ReadonlySet<Place> {
    return this.#full;
  }

  /** Where the node looks for room. */
  get places(): StoragePlace[] {
    return (["ledger", "record"] as const).map((place) => ({
      directory: place,
      bytesMin: limits.storageRoomBytesMin,
      freeBytes: async () => (this.#full.has(place) && !this.#saysRoom ? 4_096 : plentyBytes),
    }));
  }

  /** No write gets through from now on; `saysRoom`: though the system claims that there is room. */
  fill(places: readonly Place[], saysRoom: boolean): void {
    this.#full = new Set(places);
    this.#saysRoom = saysRoom;
  }

  /** Makes room everywhere. */
  empty(): void {
    this.#full = new Set();
  }

  /** What is on the disk of a directory, as a process would see it. */
  entriesOf(directory = ledgerDirectory): ReadonlyMap<string, Uint8Array> | undefined {
    return this.#directories.get(directory)?.entries;
  }

  /** Opens a database for one life. @throws {LedgerError} LEDGER_STORE_UNREADABLE */
  async openDatabase(life: Life, directory = ledgerDirectory): Promise<Database> {
    if (!life.isAlive) return new Promise(() => {});
    if (this.#full.has("ledger")) {
      this.#refuse(undefined);
      throw unreadable("no space left on device", false);
    }
    const known = this.#directories.get(directory);
    if (known?.isCut === true) throw unreadable("the file CURRENT is missing", true);
    const files = known ?? new VirtualFiles();
    if (known === undefined) this.#change((directories) => directories.set(directory, files));
    return new OpenDatabase(files, this.#medium(), life);
  }

  /** What a life does to directories. */
  directoriesFor(life: Life): Directories {
    const pause = () =>
      new Promise<void>((resolve) => {
        this.#options.time.after(1 + this.#options.fullRandom.below(5), resolve, life);
      });
    const within = async (work: () => void) => {
      if (!life.isAlive) return new Promise<void>(() => {});
      this.onWrite([]);
      await pause();
      work();
    };
    return {
      has: (path) => this.#directories.has(path),
      rename: async (from, to) => {
        await within(() => this.#rename(from, to));
        await pause();
        this.#moves = [];
      },
      remove: async (path) => {
        if (!this.#directories.has(path)) return;
        this.#removing.add(path);
        await within(() => {
          this.#removing.delete(path);
          this.#change((directories) => directories.delete(path));
        });
      },
    };
  }

  /** Reads the signing record as a start finds it. */
  findRecord(): FoundRecord {
    return this.#record;
  }

  /** Writes the record for one life; returns once it is on disk. */
  writeRecord(life: Life, bytes: Uint8Array): Promise<void> {
    const { time } = this.#options;
    const isRefused = this.#full.has("record");
    this.recordBegunMs = time.nowMs;
    if (!isRefused) this.#recordWriting = bytes;
    this.onWrite("record");
    return new Promise((resolve, reject) => {
      time.after(this.#delayMs(), () => {
        if (!life.isAlive) return;
        if (isRefused) {
          time.after(0, () => reject(this.#refuseRecord()), life);
          return;
        }
        this.#recordWriting = undefined;
        this.#record = { record: bytes, isLost: false, isTorn: false };
        time.after(0, resolve, life);
      });
    });
  }

  /** Ends a life: what was under way arrives or not. */
  crash(kind: CrashKind): void {
    const { random } = this.#options;
    this.#crashMoves(kind);
    const onEffect = this.#options.onEffect;
    for (const files of this.#directories.values()) files.crash(kind, random, onEffect);
    if (this.#recordWriting !== undefined) this.#crashRecord(kind, this.#recordWriting);
    this.#recordWriting = undefined;
  }

  /** Deletes the ledger and all that is beside it. */
  wipe(): void {
    this.#directories = new Map();
    this.#moves = [];
  }

  /** Deletes the signing record. */
  loseRecord(): void {
    this.#record = { record: undefined, isLost: true, isTorn: false };
  }

  #medium(): Medium {
    const { time, fullRandom } = this.#options;
    return {
      time,
      random: fullRandom,
      delayMs: () => this.#delayMs(),
      isFull: () => this.#full.has("ledger"),
      onWrite: (operations) => this.onWrite(operations),
      onSynced: () => {
        this.#moves = [];
      },
      onRefused: (operations) => this.#refuse(operations),
    };
  }

  #refuse(operations: readonly Operation[] | undefined): void {
    this.refusals += 1;
    if (operations !== undefined) this.onRefused(operations);
  }

  #refuseRecord(): LedgerError {
    this.refusals += 1;
    this.onRefused(undefined);
    const reason = "no space left on device";
    return new LedgerError("SIGNING_RECORD_UNWRITABLE", { file: "record", reason });
  }

  #rename(from: string, to: string): void {
    const files = this.#directories.get(from);
    if (files === undefined || this.#directories.has(to))
      throw new Error(`cannot rename ${from} to ${to}`);
    this.#change((directories) => {
      directories.delete(from);
      directories.set(to, files);
    });
  }

  #change(change: (directories: Map<string, VirtualFiles>) => void): void {
    this.#moves.push(new Map(this.#directories));
    change(this.#directories);
  }

  #crashMoves(kind: CrashKind): void {
    const { fullRandom } = this.#options;
    if (kind !== "kill" && this.#moves.length > 0) {
      const before = this.#moves[fullRandom.below(this.#moves.length + 1)];
      if (before !== undefined) this.#directories = new Map(before);
    }
    this.#moves = [];
    for (const path of this.#removing) {
      const files = this.#directories.get(path);
      const rest = fullRandom.below(3);
      if (rest === 0) this.#directories.delete(path);
      if (rest === 1 && files !== undefined) files.isCut = true;
    }
    this.#removing.clear();
  }

  #crashRecord(kind: CrashKind, bytes: Uint8Array): void {
    const { random } = this.#options;
    const arrives = random.chance(0.5);
    if (kind === "tornRecord") {
      this.#record = { ...this.#record, isTorn: true };
      this.#options.onEffect("tornRecord");
    } else if (arrives) this.#record = { record: bytes, isLost: false, isTorn: false };
  }

  #delayMs(): number {
    const { random, writeMsMax } = this.#options;
    return random.below(writeMsMax + 1);
  }
}

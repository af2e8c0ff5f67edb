/**
 * What of a simulated node touches its disk, fitted together as `src/node.ts` does for a real one:
 * the gate to the disk, the start with a snapshot, the store, and pruning.
 */
import type { Header } from "../../../src/base/format/block.ts";
import type { GenesisBlock } from "../../../src/base/format/genesis.ts";
import type { Clock, Log } from "../../../src/base/log.ts";
import { openRepaired } from "../../../src/ledger/repair.ts";
import { createExecute } from "../../../src/ledger/replay.ts";
import { SnapshotSource } from "../../../src/ledger/snapshot-source.ts";
import type { LedgerStore } from "../../../src/ledger/store.ts";
import { BackgroundPruner } from "../../../src/node/background-pruner.ts";
import { settle } from "../../../src/node/snapshot-directory.ts";
import {
  type DownloadPlace,
  dropPassedDownload,
  emptyHandlers,
  replaceByFetched,
} from "../../../src/node/snapshot-replacement.ts";
import { StorageGate } from "../../../src/node/storage-gate.ts";
import { simCaller, worldVerifier } from "./chain.ts";
import { Violation } from "./checkers.ts";
import { ledgerDirectory, type VirtualDisk } from "./disk.ts";
import type { Attachment, WorldNetwork } from "./network.ts";
import type { NodeSnapshots } from "./snapshot-plan.ts";
import type { Life, VirtualTime } from "./time.ts";

/** Moments at which a process is worth killing. */
export type Phase = "fetching" | "installing" | "pruning" | "pruned";

/** What one life of a node brings. */
export type StorageParts = {
  readonly index: number;
  readonly life: Life;
  readonly disk: VirtualDisk;
  readonly genesis: GenesisBlock;
  readonly time: VirtualTime;
  readonly clock: Clock;
  readonly network: WorldNetwork;
  readonly snapshots: NodeSnapshots;
  readonly log: Log;
  onPhase(phase: Phase): void;
};

/** The disk as one life uses it. */
export class NodeStorage {
  /** When the gate was closed; `undefined` while it is open. */
  gateClosedMs: number | undefined;
  readonly #parts: StorageParts;

  constructor(parts: StorageParts) {
    this.#parts = parts;
  }

  /** Before the ledger is opened: ends what a crash interrupted, and begins with a snapshot. */
  async prepare(): Promise<void> {
    const { disk, life, snapshots } = this.#parts;
    await settle(ledgerDirectory, this.#directories());
    const isFresh = disk.entriesOf() === undefined;
    if (life.isAlive && snapshots.sync === "snapshot" && isFresh) await this.replace();
  }

  /**
   * Fetches a snapshot into the place of the ledger, which is closed.
   *
   * @param tip - Of the ledger, if there is one.
   * @returns Whether one came.
   */
  async replace(tip?: Header): Promise<boolean> {
    const { index, life, genesis, time, clock, network, log, onPhase } = this.#parts;
    onPhase("fetching");
    const startNetwork = async () => {
      const handlers = emptyHandlers(genesis.chainId, clock);
      const attachment: Attachment = network.attach({ index, life, handlers });
      return { ...attachment, stop: async () => network.detach(index) };
    };
    const place = this.#downloadPlace();
    const parts = {
      ...place,
      context: { ...place.context, tip },
      startNetwork,
      log: { ...log, warn: (facts: object, message: string) => this.#warn(facts, message) },
      signal: new AbortController().signal,
      timers: time.timersOf(life),
    };
    return replaceByFetched(parts);
  }

  /** Disks of this world keep what they acknowledged, so no download comes out wrong by itself. */
  #warn(facts: object, message: string): void {
    this.#parts.log.warn(facts, message);
    const error = "error" in facts ? String(facts.error) : "";
    if (/LEDGER_(STATE|RECORD)_CORRUPT/.test(error))
      throw new Violation("pruned", `node ${this.#parts.index} fetched a wrong snapshot: ${error}`);
  }

  async openStore(): Promise<LedgerStore> {
    const { disk, life, genesis, log } = this.#parts;
    const { chainId } = genesis;
    const caller = simCaller(async () => {});
    const execute = createExecute({ chainId, caller, verifier: worldVerifier });
    const database = await disk.openDatabase(life);
    const store = await openRepaired({ database, genesis, log, execute });
    await dropPassedDownload(this.#downloadPlace(), store.tip.height);
    return store;
  }

  gateOf(store: LedgerStore): StorageGate {
    const { disk, time, life, log } = this.#parts;
    const gateLog: Log = {
      ...log,
      error: (facts, message) => {
        this.gateClosedMs = time.nowMs;
        log.error(facts, message);
      },
      // Open for a try, and closed again when that fails, too.
      debug: (facts, message) => {
        this.gateClosedMs = "reason" in facts ? time.nowMs : undefined;
        log.debug(facts, message);
      },
      warn: (facts, message) => {
        this.gateClosedMs = undefined;
        log.warn(facts, message);
      },
    };
    const { places } = disk;
    const timers = time.timersOf(life);
    return new StorageGate({ places, mend: () => store.recover(), log: gateLog, timers });
  }

  sourceOf(store: LedgerStore): SnapshotSource {
    const { chunkEntriesMax: entriesMax } = this.#parts.snapshots;
    return new SnapshotSource(store, { bytesMax: 4_096, entriesMax });
  }

  prunerOf(store: LedgerStore, gate: StorageGate): BackgroundPruner {
    const { time, life, log, snapshots, onPhase } = this.#parts;
    const pruningLog: Log = {
      ...log,
      info: (facts, message) => {
        log.info(facts, message);
        if (message.startsWith("prun")) onPhase(message === "pruned" ? "pruned" : "pruning");
      },
    };
    const { keepBlocks } = snapshots;
    const timers = time.timersOf(life);
    return new BackgroundPruner({
      ...{ store, storage: gate, keepBlocks, timers, keptHeight: undefined },
      log: pruningLog,
    });
  }

  #downloadPlace(): DownloadPlace {
    const { life, disk, genesis, log } = this.#parts;
    return {
      ledgerDirectory,
      directories: this.#directories(),
      openDatabase: (directory) => disk.openDatabase(life, directory),
      context: { genesis, verifier: worldVerifier },
      log,
    };
  }

  #directories() {
    const { disk, life, onPhase } = this.#parts;
    const directories = disk.directoriesFor(life);
    return {
      ...directories,
      rename: (from: string, to: string) => {
        onPhase("installing");
        return directories.rename(from, to);
      },
    };
  }
}

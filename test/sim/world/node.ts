/**
 * One node of the simulated world: the product's own ledger, shell and rules of start, between a
 * virtual disk, a virtual clock and the world's network. What is here outlives its crashes.
 */
import { isLedgerError } from "../../../src/base/errors.ts";
import type { Header } from "../../../src/base/format/block.ts";
import type { GenesisBlock } from "../../../src/base/format/genesis.ts";
import type { PublicKey, Signer } from "../../../src/base/keys.ts";
import { type Clock, type Log, silentLog } from "../../../src/base/log.ts";
import { isLevelError } from "../../../src/ledger/database.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";
import type { Appended } from "../../../src/ledger/ledger-types.ts";
import type { LedgerStore } from "../../../src/ledger/store.ts";
import type { BackgroundPruner } from "../../../src/node/background-pruner.ts";
import type { ChainFollower } from "../../../src/node/chain-follower.ts";
import { steadyClock } from "../../../src/node/clock.ts";
import type { ConsensusDriver } from "../../../src/node/consensus-driver.ts";
import type { Membership } from "../../../src/node/membership.ts";
import { NodeShell, type ShellHandlers, type ShellNetwork } from "../../../src/node/shell.ts";
import { SnapshotNeed } from "../../../src/node/snapshot-need.ts";
import type { StorageGate } from "../../../src/node/storage-gate.ts";
import { judgeRecord } from "../../../src/node/votes.ts";
import type { Random } from "../random.ts";
import {
  peerKey,
  simCaller,
  validatorKey,
  worldSign,
  worldStartMs,
  worldVerifier,
} from "./chain.ts";
import { VirtualDisk } from "./disk.ts";
import type { EffectKind, Effects } from "./effects.ts";
import type { Attachment, WorldNetwork } from "./network.ts";
import { Society } from "./own-calls.ts";
import { type NodeSnapshots, noSnapshots } from "./snapshot-plan.ts";
import { NodeStorage, type Phase } from "./storage.ts";
import { Life, type VirtualTime } from "./time.ts";
import type { CrashKind } from "./virtual-database.ts";
import { Work } from "./work.ts";

/** What stands between a node and the network when it lies. */
export type Mask = {
  network(network: ShellNetwork): ShellNetwork;
  handlers(handlers: ShellHandlers): ShellHandlers;
};

/** What a node tells its world. */
export type NodeListener = {
  /** A life has opened its ledger. */
  onOpened(node: WorldNode, life: Running): void;
  /** A process is about to end at once. */
  onCrash(node: WorldNode): void;
  /** The node could not start, or a part of it threw what nobody caught. */
  onFailure(node: WorldNode, error: unknown): void;
  onAppended(node: WorldNode, appended: Appended): void;
  /** The key is about to sign these bytes; `record` is what is on disk at that moment. */
  onSign(node: WorldNode, message: Uint8Array, record: Uint8Array | undefined): void;
  /** The node sends a transaction of its own. */
  onOwnCall(node: WorldNode, bytes: Uint8Array): void;
  /** The node begins something that is worth interrupting. */
  onPhase(node: WorldNode, phase: Phase): void;
};

/** What a node is made of. */
export type NodeOptions = {
  readonly index: number;
  readonly count: number;
  readonly genesis: GenesisBlock;
  readonly time: VirtualTime;
  readonly network: WorldNetwork;
  readonly random: Random;
  readonly fullRandom: Random;
  readonly snapshots?: NodeSnapshots | undefined;
  readonly listener: NodeListener;
  readonly effects: Effects;
  readonly blockIntervalMs: number;
  readonly writeMsMax: number;
  /** Longest time a call of a contract takes, milliseconds. */
  readonly callMsMax: number;
  /** Time that checking one signature of a consensus message takes, milliseconds. */
  readonly checkMs: number;
  readonly mask?: Mask | undefined;
  /** The validators change, so gates follow the ledger; the node is of the genesis or joins. */
  readonly gate?: "genesis" | "joining" | undefined;
  readonly log?: Log;
};

/** What a life of a node consists of once it runs. */
export type Running = {
  readonly life: Life;
  readonly ledger: Ledger;
  readonly store: LedgerStore;
  readonly membership: Membership;
  readonly storage: NodeStorage;
  readonly gate: StorageGate;
  readonly shell: NodeShell;
  readonly driver: ConsensusDriver;
  readonly follower: ChainFollower;
  readonly pruner: BackgroundPruner;
};

/** From the end of a process until its supervisor starts it again. */
const superviseMs = 1_000;

/** A node of the world. */
export class WorldNode {
  readonly index: number;
  readonly key: PublicKey;
  readonly disk: VirtualDisk;
  readonly isLiar: boolean;
  /** What it had when its ledger directory was emptied last; 0 if it never was. */
  heightBeforeWipe = 0;
  /** Its ledger directory was emptied once. */
  wasWiped = false;
  /** By how much the wall clock is off, milliseconds. */
  clockOffsetMs = 0;
  /** The process, from its start on. */
  life: Life | undefined;
  /** The clock of the process, as it was when that began. */
  clock: Clock | undefined;
  /** Its parts, once they are open. */
  running: Running | undefined;
  /** What its configuration says at the moment. */
  snapshots: NodeSnapshots;
  /** It waits for its operator: the blocks it needs next are pruned everywhere. */
  isStranded = false;
  readonly #options: NodeOptions;
  #starts = 0;
  #need: SnapshotNeed;

  constructor(options: NodeOptions) {
    const { index, time, random, fullRandom, writeMsMax, snapshots = noSnapshots } = options;
    this.#options = options;
    this.snapshots = snapshots;
    this.#need = this.#newNeed();
    this.index = index;
    this.key = validatorKey(index);
    this.isLiar = options.mask !== undefined;
    const onEffect = (kind: EffectKind) => options.effects.note(kind);
    this.disk = new VirtualDisk({ time, random, fullRandom, writeMsMax, onEffect });
  }

  get isUp(): boolean {
    return this.life !== undefined;
  }

  /** Starts the process unless it runs. */
  start(): void {
    if (this.life !== undefined) return;
    this.#starts += 1;
    this.#need = this.#newNeed();
    this.isStranded = false;
    this.#begin(undefined);
  }

  /** Begins a life; `replaced`: with a snapshot above this newest header of its ledger. */
  #begin(replaced: Header | undefined): void {
    const life = new Life();
    this.life = life;
    const { refusals } = this.disk;
    this.#run(life, replaced).catch((error: unknown) => {
      if (!life.isAlive) return;
      if (this.disk.refusals > refusals && isOfDisk(error)) this.#endForNow();
      else this.#options.listener.onFailure(this, error);
    });
  }

  /** The disk is full: the process ends, and its supervisor starts it again and again. */
  #endForNow(): void {
    const starts = this.#starts;
    this.crash("kill");
    this.#options.time.after(superviseMs, () => {
      if (this.#starts === starts) this.start();
    });
  }

  /** Its operator lets it begin with a snapshot; one that waits for that is to be started anew. */
  allowSnapshots(): void {
    if (this.#options.snapshots === undefined) return;
    this.snapshots = { ...this.snapshots, sync: "snapshot" };
    if (this.isStranded) this.crash("kill");
  }

  /** Ends the process at once. */
  crash(kind: CrashKind): void {
    if (this.life === undefined) return;
    this.#options.listener.onCrash(this);
    this.life.isAlive = false;
    this.life = undefined;
    this.clock = undefined;
    this.running = undefined;
    this.#options.network.detach(this.index);
    this.disk.crash(kind);
  }

  /** Stops all in order and begins anew with a snapshot, in the same process. */
  async #restartAbove(tip: Header): Promise<void> {
    const { running } = this;
    if (running === undefined) return;
    const { life, shell, store, pruner } = running;
    this.running = undefined;
    await pruner.stop();
    await shell.stop();
    await store.close();
    if (!life.isAlive) return;
    life.isAlive = false;
    this.#options.network.detach(this.index);
    this.#begin(tip);
  }

  #newNeed(): SnapshotNeed {
    const sync = () => this.snapshots.sync;
    const config = {
      get sync() {
        return sync();
      },
    };
    const { genesis, log = silentLog } = this.#options;
    return new SnapshotNeed({ config, context: { genesis, verifier: worldVerifier }, log });
  }

  /** As node.ts does it. */
  async #onPruned(without: readonly PublicKey[], peers: Attachment): Promise<void> {
    const { running } = this;
    if (running === undefined) return;
    const { header: tip, height } = running.store.tip;
    const memberCount = running.membership.members().length;
    const { nowMs } = this.#options.time;
    const need = await this.#need.look(without, { tip, memberCount }, peers, nowMs);
    if (this.running !== running || running.store.tip.height > height) return;
    if (need === "unwanted") this.isStranded = true;
    if (need === "wanted") await this.#restartAbove(tip);
  }

  async #run(life: Life, replaced: Header | undefined): Promise<void> {
    const { index, count, time, network, listener, mask, log = silentLog } = this.#options;
    const wallMs = () => worldStartMs + time.nowMs + this.clockOffsetMs;
    const clock = steadyClock({ wallMs, monotonicMs: () => time.nowMs });
    this.clock = clock;
    const found = this.disk.findRecord();
    const storage = this.#storageOf(life, clock, log);
    if (replaced === undefined) await storage.prepare();
    else if (await storage.replace(replaced)) this.#need.noteReplaced();
    if (!life.isAlive) return;
    const store = await storage.openStore();
    const ledger = await this.#openLedger(life, { store, clock, log });
    if (!life.isAlive) return;
    const gate = storage.gateOf(store);
    const timers = time.timersOf(life);
    const work = new Work(() => time.nowMs);
    const society = new Society({ index, count, ledger, clock, timers, log });
    const { membership, onEquivocation } = society;
    const validators = membership.members().length;
    const judged = judgeRecord(found, { validators, acceptLostVotes: false, log });
    const shell = new NodeShell({
      ledger,
      signer: this.#signer(life),
      votes: { ...judged, write: (bytes) => this.disk.writeRecord(life, bytes) },
      storage: gate,
      snapshots: storage.sourceOf(store),
      onPruned: (without) => {
        this.#onPruned(without, connection).catch((error: unknown) =>
          listener.onFailure(this, error),
        );
      },
      peerKey: peerKey(index),
      members: () => membership.members(),
      onEquivocation,
      verifier: work.slowed(worldVerifier, this.#options.checkMs),
      clock,
      timers: { ...timers, nowMs: () => work.nowMs },
      log,
      blockIntervalMs: this.#options.blockIntervalMs,
    });
    const handlers = mask?.handlers(shell.handlers) ?? shell.handlers;
    const allows = this.#gateOf(society);
    const connection = network.attach({ index, life, handlers, allows });
    const { driver, follower } = shell.connect(mask?.network(connection) ?? connection);
    const pruner = storage.prunerOf(store, gate);
    this.running = {
      ...{ life, ledger, store, membership, storage, gate, shell, driver, follower, pruner },
    };
    listener.onOpened(this, this.running);
    ledger.onAppend((appended) => listener.onAppended(this, appended));
    shell.start();
    const submit = (bytes: Uint8Array) => {
      listener.onOwnCall(this, bytes);
      return shell.submit(bytes);
    };
    society.start({ submit, following: () => follower.status });
    pruner.start();
  }

  /** A liar lets everybody in. */
  #gateOf(society: Society): ((index: number) => boolean) | undefined {
    const { gate, network } = this.#options;
    if (gate === undefined || this.isLiar) return undefined;
    // Whoever lost its ledger knows the members of the genesis only: its operator invites the rest.
    return society.gate(gate === "joining" || this.wasWiped, () => network.refresh());
  }

  #storageOf(life: Life, clock: Clock, log: Log): NodeStorage {
    const { index, genesis, time, network, listener } = this.#options;
    const onPhase = (phase: Phase) => listener.onPhase(this, phase);
    const { disk, snapshots } = this;
    return new NodeStorage({
      ...{ index, life, disk, genesis, time, clock, network, snapshots, log, onPhase },
    });
  }

  async #openLedger(
    life: Life,
    parts: {
      readonly store: LedgerStore;
      readonly clock: { nowMs(): number };
      readonly log: Log;
    },
  ): Promise<Ledger> {
    const { genesis, time, random, callMsMax } = this.#options;
    const wait = async () => {
      const waitMs = random.below(callMsMax + 1);
      if (waitMs > 0) await new Promise<void>((resolve) => time.after(waitMs, resolve, life));
    };
    const caller = simCaller(wait);
    return Ledger.open({ ...parts, genesis, verifier: worldVerifier, caller });
  }

  #signer(life: Life): Signer {
    const { listener } = this.#options;
    return {
      publicKey: this.key,
      sign: (message) => {
        if (life.isAlive) listener.onSign(this, message, this.disk.record);
        return worldSign(message, this.key);
      },
    };
  }
}

/** Not what only a bug brings. */
function isOfDisk(error: unknown): boolean {
  return isLedgerError(error) || isLevelError(error);
}

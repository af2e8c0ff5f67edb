/**
 * One node of the simulated world: the product's own ledger, shell and rules of start, between a
 * virtual disk, a virtual clock and the world's network. What is here outlives its crashes.
 */
import type { GenesisBlock } from "../../../src/base/format/genesis.ts";
import type { PublicKey, Signer } from "../../../src/base/keys.ts";
import { type Log, silentLog } from "../../../src/base/log.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";
import type { Appended } from "../../../src/ledger/ledger-types.ts";
import { openRepaired } from "../../../src/ledger/repair.ts";
import { createExecute } from "../../../src/ledger/replay.ts";
import type { ChainFollower } from "../../../src/node/chain-follower.ts";
import { steadyClock } from "../../../src/node/clock.ts";
import type { ConsensusDriver } from "../../../src/node/consensus-driver.ts";
import { NodeShell, type ShellHandlers, type ShellNetwork } from "../../../src/node/shell.ts";
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
import { type CrashKind, VirtualDisk } from "./disk.ts";
import type { WorldNetwork } from "./network.ts";
import { Life, type VirtualTime } from "./time.ts";

/** What stands between a node and the network when it lies. */
export type Mask = {
  network(network: ShellNetwork): ShellNetwork;
  handlers(handlers: ShellHandlers): ShellHandlers;
};

/** What a node tells its world. */
export type NodeListener = {
  /** A life has opened its ledger. */
  onOpened(node: WorldNode, life: Running): void;
  /** The node could not start, or a part of it threw what nobody caught. */
  onFailure(node: WorldNode, error: unknown): void;
  onAppended(node: WorldNode, appended: Appended): void;
  /** The key is about to sign these bytes; `record` is what is on disk at that moment. */
  onSign(node: WorldNode, message: Uint8Array, record: Uint8Array | undefined): void;
};

/** What a node is made of. */
export type NodeOptions = {
  readonly index: number;
  readonly count: number;
  readonly genesis: GenesisBlock;
  readonly time: VirtualTime;
  readonly network: WorldNetwork;
  readonly random: Random;
  readonly listener: NodeListener;
  readonly blockIntervalMs: number;
  readonly writeMsMax: number;
  /** Longest time a call of a contract takes, milliseconds. */
  readonly callMsMax: number;
  readonly mask?: Mask | undefined;
  readonly log?: Log;
};

/** What a life of a node consists of once it runs. */
export type Running = {
  readonly life: Life;
  readonly ledger: Ledger;
  readonly shell: NodeShell;
  readonly driver: ConsensusDriver;
  readonly follower: ChainFollower;
  readonly nowMs: () => number;
};

/** A node of the world. */
export class WorldNode {
  readonly index: number;
  readonly key: PublicKey;
  readonly disk: VirtualDisk;
  readonly isLiar: boolean;
  /** What it had when its ledger directory was emptied last; 0 if it never was. */
  heightBeforeWipe = 0;
  /** By how much the wall clock is off, milliseconds. */
  clockOffsetMs = 0;
  /** The process, from its start on. */
  life: Life | undefined;
  /** Its parts, once they are open. */
  running: Running | undefined;
  readonly #options: NodeOptions;

  constructor(options: NodeOptions) {
    const { index, time, random, writeMsMax } = options;
    this.#options = options;
    this.index = index;
    this.key = validatorKey(index);
    this.isLiar = options.mask !== undefined;
    this.disk = new VirtualDisk({ time, random, writeMsMax });
  }

  get isUp(): boolean {
    return this.life !== undefined;
  }

  /** Starts the process unless it runs. */
  start(): void {
    if (this.life !== undefined) return;
    const life = new Life();
    this.life = life;
    this.#run(life).catch((error: unknown) => {
      if (life.isAlive) this.#options.listener.onFailure(this, error);
    });
  }

  /** Ends the process at once. */
  crash(kind: CrashKind): void {
    if (this.life === undefined) return;
    this.life.isAlive = false;
    this.life = undefined;
    this.running = undefined;
    this.#options.network.detach(this.index);
    this.disk.crash(kind);
  }

  async #run(life: Life): Promise<void> {
    const { index, count, time, network, listener, mask, log = silentLog } = this.#options;
    const wallMs = () => worldStartMs + time.nowMs + this.clockOffsetMs;
    const clock = steadyClock(wallMs, () => time.nowMs);
    const found = this.disk.findRecord();
    const judged = judgeRecord(found, { validators: count, acceptLostVotes: false, log });
    const ledger = await this.#openLedger(life, clock, log);
    if (!life.isAlive) return;
    const shell = new NodeShell({
      ledger,
      signer: this.#signer(life),
      votes: { ...judged, write: (bytes) => this.disk.writeRecord(life, bytes) },
      peerKey: peerKey(index),
      members: () =>
        Array.from({ length: count }, (_, member) => ({
          validator: validatorKey(member),
          peer: peerKey(member),
        })),
      onEquivocation: () => {},
      verifier: worldVerifier,
      clock,
      timers: time.timersOf(life),
      log,
      blockIntervalMs: this.#options.blockIntervalMs,
    });
    const handlers = mask?.handlers(shell.handlers) ?? shell.handlers;
    const connection = network.attach({ index, life, handlers });
    const { driver, follower } = shell.connect(mask?.network(connection) ?? connection);
    this.running = { life, ledger, shell, driver, follower, nowMs: () => clock.nowMs() };
    listener.onOpened(this, this.running);
    ledger.onAppend((appended) => listener.onAppended(this, appended));
    shell.start();
  }

  async #openLedger(life: Life, clock: { nowMs(): number }, log: Log): Promise<Ledger> {
    const { genesis, time, random, callMsMax } = this.#options;
    const { chainId } = genesis;
    const wait = async () => {
      const waitMs = random.below(callMsMax + 1);
      if (waitMs > 0) await new Promise<void>((resolve) => time.after(waitMs, resolve, life));
    };
    const caller = simCaller(wait);
    const verifier = worldVerifier;
    const execute = createExecute({ chainId, caller: simCaller(async () => {}), verifier });
    const database = this.disk.openDatabase(life);
    const store = await openRepaired({ database, genesis, log, execute });
    return Ledger.open({ store, genesis, verifier, caller, clock, log });
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

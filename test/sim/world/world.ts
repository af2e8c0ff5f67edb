/**
 * A run of a whole simulated network: real nodes (`node.ts`) under virtual time, first with faults,
 * then with the faults ended for a quorum, when progress must return in time. The same plan gives
 * the same run, to the last byte: `traceHash` covers everything that was sent, signed and decided.
 */
import { createHash, type Hash } from "node:crypto";
import type { GenesisBlock } from "../../../src/base/format/genesis.ts";
import { decodeSigningRecord } from "../../../src/base/format/signing-record.ts";
import type { Log } from "../../../src/base/log.ts";
import type { Appended } from "../../../src/ledger/ledger-types.ts";
import { worldGenesis } from "./chain.ts";
import { Canon, checkMemory, entriesOfState, SigningWatch, Violation } from "./checkers.ts";
import { Clients } from "./clients.ts";
import { Faults } from "./faults.ts";
import { Liar } from "./liar.ts";
import { WorldNetwork } from "./network.ts";
import { type Running, WorldNode } from "./node.ts";
import { type Plan, streamOf } from "./plan.ts";
import { VirtualTime } from "./time.ts";

/** What came of a run. */
export type Outcome = {
  readonly seed: number;
  /** Set when something did not hold: which checker, what, and when. */
  readonly violation:
    | { readonly checker: string; readonly message: string; readonly atMs: number }
    | undefined;
  readonly traceHash: string;
  readonly nodes: number;
  readonly liars: number;
  readonly heights: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly sent: number;
  readonly final: number;
  /** From the end of the faults to the first new block on all nodes that must go on. */
  readonly firstBlockMs: number | undefined;
  /** Longest time to finality of a transaction sent after that. */
  readonly slowestMs: number;
  /** Faults that took effect, by kind. */
  readonly faults: Readonly<Record<string, number>>;
};

/** Sees what passes the nodes of a run; what it throws is a violation. */
export type WorldObserver = {
  onDeliver(to: number, frame: Uint8Array): void;
  /** `record` is what is on disk at that moment. */
  onSign(node: WorldNode, message: Uint8Array, record: Uint8Array | undefined): void;
  onAppended(node: WorldNode, appended: Appended): void;
  /** A life begins; its ledger may hold a block whose append no life before lived to tell. */
  onOpened(node: WorldNode, life: Running): void;
};

/** Options of a run. */
export type WorldOptions = {
  /** What nodes log, for a replay that is looked at. */
  readonly log?: ((node: number) => Log) | undefined;
  readonly observer?: WorldObserver | undefined;
};

/** Bounds on the second phase, milliseconds. */
const bounds = {
  /** First block after a quorum is back; with liars among the proposers. */
  firstBlockMs: 10_000,
  firstBlockWithLiarsMs: 40_000,
  calmMs: 8_000,
  /** Everything sent in the calm is final, and all have the same tip. */
  settledMs: 40_000,
} as const;

const memoryCheckEveryMs = 2_000;
const askEveryMs = 500;
const tickEveryMs = 700;

/** Runs a plan. */
export async function runWorld(plan: Plan, options: WorldOptions = {}): Promise<Outcome> {
  const world = new World(plan, options);
  const onUncaught = (error: unknown) => world.fail(error);
  process.on("uncaughtException", onUncaught);
  try {
    await world.run();
  } catch (error) {
    world.fail(error);
  } finally {
    process.removeListener("uncaughtException", onUncaught);
  }
  return world.outcome();
}

class World {
  readonly #plan: Plan;
  readonly #observer: WorldObserver | undefined;
  readonly #time = new VirtualTime();
  readonly #genesis: GenesisBlock;
  readonly #network: WorldNetwork;
  readonly #nodes: WorldNode[];
  readonly #canon: Canon;
  readonly #signing: SigningWatch;
  readonly #clients: Clients;
  readonly #faults: Faults;
  readonly #liars: Liar[] = [];
  readonly #trace: Hash = createHash("sha256");
  readonly #sent = new Map<string, Uint8Array>();
  /** Highest block each node acknowledged, and has to have after any crash. */
  readonly #kept = new Map<WorldNode, number>();
  #violation: Outcome["violation"];
  #firstBlockMs: number | undefined;

  constructor(plan: Plan, { log, observer }: WorldOptions) {
    this.#observer = observer;
    const { seed, count, heartbeatMs } = plan;
    this.#plan = plan;
    this.#genesis = worldGenesis(count, { heartbeatMs });
    const { chainId } = this.#genesis;
    const time = this.#time;
    this.#canon = new Canon({ genesis: this.#genesis, count, heartbeatMs, sent: this.#sent });
    this.#signing = new SigningWatch(chainId);
    this.#network = new WorldNetwork({
      time,
      random: streamOf(seed, "network"),
      rates: { ...plan.rates },
      listener: {
        onSend: (from, frame) => this.#note(`send ${from}`, frame),
        onDeliver: (to, frame) => this.#guard(() => this.#observer?.onDeliver(to, frame)),
        onBlame: (by, from) => this.#onBlame(by, from),
      },
    });
    this.#nodes = Array.from({ length: count }, (_, index) => this.#makeNode(index, log));
    const nodes = this.#nodes;
    this.#clients = new Clients({
      time,
      random: streamOf(seed, "clients"),
      chainId,
      canon: this.#canon,
      sent: this.#sent,
      nodes: nodes.filter(({ isLiar }) => !isLiar),
      onViolation: (error) => this.fail(error),
    });
    this.#faults = new Faults({
      plan,
      time,
      random: streamOf(seed, "faults"),
      network: this.#network,
      nodes,
      canonHeight: () => this.#canon.height,
      keptHeight: (node) => this.#kept.get(node) ?? 0,
      onWiped: (node) => {
        node.heightBeforeWipe = this.#kept.get(node) ?? 0;
        this.#kept.set(node, 0);
      },
      note: (text) => this.#note(text),
    });
  }

  /** Notes what did not hold; only the first thing counts. */
  fail(error: unknown): void {
    if (this.#violation !== undefined) return;
    const { checker } = error instanceof Violation ? error : { checker: "crash" };
    const message = error instanceof Violation ? error.message : described(error);
    this.#violation = { checker, message, atMs: this.#time.nowMs };
  }

  async run(): Promise<void> {
    const plan = this.#plan;
    this.#faults.schedule();
    for (const node of this.#nodes)
      this.#time.after(plan.startDelaysMs[node.index] as number, () => node.start());
    this.#every(askEveryMs, () => this.#clients.ask());
    this.#every(tickEveryMs, () => {
      for (const liar of this.#liars) liar.tick();
    });
    this.#every(memoryCheckEveryMs, () => this.#checkCores());
    let isSending = true;
    this.#every(plan.submitEveryMs, () => {
      if (isSending) this.#clients.send();
    });
    await this.#until(() => false, plan.safetyMs);
    await this.#live(() => {
      isSending = false;
    });
  }

  outcome(): Outcome {
    const { seed, count, liars, rates } = this.#plan;
    const faults: Record<string, number> = Object.fromEntries(this.#faults.counts);
    for (const kind of ["loss", "duplicate", "replay", "late"] as const)
      if (rates[kind] > 0) faults[kind] = 1;
    for (const { tricks } of liars)
      for (const trick of tricks) faults[trick] = (faults[trick] ?? 0) + 1;
    return {
      seed,
      violation: this.#violation,
      traceHash: this.#trace.copy().digest("hex"),
      nodes: count,
      liars: liars.length,
      heights: this.#canon.height,
      virtualMs: this.#time.nowMs,
      events: this.#time.events,
      sent: this.#sent.size,
      final: this.#clients.finalCount,
      firstBlockMs: this.#firstBlockMs,
      slowestMs: this.#clients.slowestMs,
      faults,
    };
  }

  /** The second phase: a quorum is well again, and must go on. */
  async #live(stopSending: () => void): Promise<void> {
    if (this.#violation !== undefined) return;
    const healedMs = this.#time.nowMs;
    const healthy = this.#faults.heal();
    this.#note(`healed ${healthy.map(({ index }) => index).join(" ")}`);
    this.#clients.eligible = (node) => healthy.includes(node);
    const former = this.#canon.height;
    const isBack = () => healthy.every((node) => this.#heightOf(node) > former);
    const { firstBlockMs, firstBlockWithLiarsMs, calmMs, settledMs } = bounds;
    const boundMs = this.#plan.liars.length === 0 ? firstBlockMs : firstBlockWithLiarsMs;
    if (!(await this.#until(isBack, boundMs)))
      return this.#demand("latency", `no block ${boundMs} ms after the faults ended`, healthy);
    this.#firstBlockMs = this.#time.nowMs - healedMs;
    const calmStartMs = this.#time.nowMs;
    this.#clients.slowestMs = 0;
    this.#clients.measureFromMs = calmStartMs;
    await this.#until(() => false, calmMs);
    stopSending();
    const isSettled = () => this.#clients.openSince(calmStartMs) === 0 && this.#areEqual(healthy);
    if (!(await this.#until(isSettled, settledMs)))
      return this.#demand("latency", `not settled ${settledMs} ms after the last one`, healthy);
    await this.#checkEnd(healthy);
  }

  /** Runs for a time, or until a condition or a violation. @returns Whether the condition held. */
  async #until(condition: () => boolean, withinMs: number): Promise<boolean> {
    const isOver = () => this.#violation !== undefined || condition();
    await this.#time.runUntil(isOver, this.#time.nowMs + withinMs);
    return this.#violation !== undefined || condition();
  }

  #demand(checker: string, what: string, healthy: readonly WorldNode[]): void {
    const states = this.#nodes.map((node) => describedNode(node, healthy.includes(node)));
    this.fail(new Violation(checker, `${what}: ${states.join("; ")}`));
  }

  #every(periodMs: number, run: () => void): void {
    this.#time.after(periodMs, () => {
      this.#every(periodMs, run);
      run();
    });
  }

  #heightOf(node: WorldNode): number {
    return node.running?.ledger.tip.height ?? -1;
  }

  #areEqual(nodes: readonly WorldNode[]): boolean {
    return nodes.every((node) => this.#heightOf(node) === this.#canon.height);
  }

  async #checkEnd(healthy: readonly WorldNode[]): Promise<void> {
    this.#checkCores();
    this.#canon.checkNoneEarly();
    for (const node of this.#nodes) {
      if (node.isLiar || node.running === undefined) continue;
      const { ledger, driver } = node.running;
      const { halted } = driver.status;
      if (halted !== undefined)
        this.fail(new Violation("halt", `node ${node.index} votes no more: ${halted}`));
      if (!healthy.includes(node)) continue;
      this.#canon.checkState(entriesOfState(ledger.state));
      for (const { block } of this.#canon.blocks) {
        const stored = await ledger.readBlock(block.header.height);
        if (stored?.block.hash !== block.hash)
          this.fail(new Violation("density", `node ${node.index} lacks ${block.header.height}`));
      }
    }
  }

  #checkCores(): void {
    for (const { running, isLiar } of this.#nodes)
      if (running !== undefined && !isLiar) this.#guard(() => checkMemory(running.driver.core));
  }

  #makeNode(index: number, log?: (node: number) => Log): WorldNode {
    const { seed, count, liars, blockIntervalMs, writeMsMax, callMsMax } = this.#plan;
    const tricks = liars.find((liar) => liar.index === index)?.tricks;
    const node = new WorldNode({
      index,
      count,
      genesis: this.#genesis,
      time: this.#time,
      network: this.#network,
      random: streamOf(seed, `node ${index}`),
      blockIntervalMs,
      writeMsMax,
      callMsMax,
      mask: tricks === undefined ? undefined : this.#makeLiar(index, tricks),
      ...(log === undefined ? {} : { log: log(index) }),
      listener: {
        onOpened: (opened, running) => this.#guard(() => this.#onOpened(opened, running)),
        onFailure: (failed, error) => {
          if (!failed.isLiar) this.fail(error);
        },
        onAppended: (by, appended) => this.#guard(() => this.#onAppended(by, appended)),
        onSign: (by, message, record) => {
          this.#note(`sign ${by.index}`, message);
          this.#guard(() => this.#observer?.onSign(by, message, record));
          if (!by.isLiar)
            this.#guard(() =>
              this.#signing.note(by.key, message, record && decodeSigningRecord(record)),
            );
        },
      },
    });
    node.clockOffsetMs = this.#plan.clockOffsetsMs[index] as number;
    return node;
  }

  #makeLiar(index: number, tricks: Plan["liars"][number]["tricks"]): Liar {
    const { seed, count, heartbeatMs } = this.#plan;
    const otherChainId = worldGenesis(count, { heartbeatMs, name: "other" }).chainId;
    const liar = new Liar({
      index,
      count,
      chainId: this.#genesis.chainId,
      otherChainId,
      tricks,
      random: streamOf(seed, `liar ${index}`),
      send: (to, frame) => {
        this.#note(`lie ${index} ${to}`, frame);
        if (this.#network.peersOf(index).some((peer) => peer.index === to))
          this.#network.sendRaw(index, to, frame);
      },
      publish: (transactions) => this.#network.publish(index, transactions),
    });
    this.#liars.push(liar);
    return liar;
  }

  /** After a crash a node must have all that it acknowledged, and nothing that is not final. */
  #onOpened(node: WorldNode, running: Running): void {
    const { ledger } = running;
    const { height, hash } = ledger.tip;
    this.#note(`opened ${node.index} ${height} ${hash}`);
    this.#observer?.onOpened(node, running);
    if (node.isLiar) return;
    const kept = this.#kept.get(node) ?? 0;
    if (height < kept)
      throw new Violation("density", `node ${node.index} lost ${height + 1} to ${kept}`);
    const final = height === 0 ? this.#genesis.chainId : this.#canon.blocks[height - 1]?.block.hash;
    if (final !== undefined && hash !== final)
      throw new Violation("agreement", `node ${node.index} opens with another ${height}`);
    this.#kept.set(node, height);
  }

  #onAppended(node: WorldNode, appended: Appended): void {
    const { height } = appended.block.header;
    this.#note(`appended ${node.index} ${height} ${appended.block.hash}`);
    this.#observer?.onAppended(node, appended);
    if (node.isLiar) return;
    const kept = this.#kept.get(node) ?? 0;
    if (height !== kept + 1)
      throw new Violation("density", `node ${node.index} has ${height} after ${kept}`);
    this.#kept.set(node, height);
    this.#canon.take(appended, this.#genesis.header.timestampMs + this.#time.nowMs);
  }

  #onBlame(by: number, from: number): void {
    const isHonest = (index: number) => this.#nodes[index]?.isLiar === false;
    if (isHonest(by) && isHonest(from))
      this.fail(new Violation("blame", `node ${by} refuses what node ${from} gossips`));
  }

  #guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.fail(error);
    }
  }

  #note(what: string, bytes: Uint8Array = new Uint8Array()): void {
    this.#trace.update(`${this.#time.nowMs} ${what}\n`).update(bytes);
  }
}

function describedNode(node: WorldNode, isHealthy: boolean): string {
  const { index, isLiar, running, life } = node;
  const kind = isLiar ? "liar" : isHealthy ? "healthy" : "faulty";
  if (running === undefined) return `${index} ${kind} ${life === undefined ? "down" : "opening"}`;
  const { height, round, phase, halted } = running.driver.status;
  const state = halted ?? (running.driver.isAbstaining ? "abstaining" : phase);
  const tip = running.ledger.tip.height;
  const paused = life?.isPaused === true ? " paused" : "";
  return `${index} ${kind}${paused} tip ${tip}, ${height}/${round} ${state}`;
}

function described(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}

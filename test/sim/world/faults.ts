/**
 * Does to a world what its plan says, within what the rules promise to bear: at most so many nodes
 * whose memory of their votes or of the time is gone, and never the last copy of a block.
 */
import type { Operation } from "../../../src/ledger/database.ts";
import { recordKeys } from "../../../src/ledger/records.ts";
import type { Random } from "../random.ts";
import { worldStartMs } from "./chain.ts";
import type { Effects } from "./effects.ts";
import type { WorldNetwork } from "./network.ts";
import type { WorldNode } from "./node.ts";
import { type Action, type Plan, streamOf } from "./plan.ts";
import { bears } from "./set-plan.ts";
import type { VirtualTime } from "./time.ts";
import type { CrashKind } from "./virtual-database.ts";

/** A clock that is off by more makes its node faulty. */
const clockFaultMs = 2_000;

/** What faults work on. */
export type FaultOptions = {
  readonly plan: Plan;
  readonly time: VirtualTime;
  readonly random: Random;
  readonly network: WorldNetwork;
  readonly effects: Effects;
  readonly nodes: readonly WorldNode[];
  /** Height of the chain that all must have. */
  canonHeight(): number;
  /** Highest block a node acknowledged and still has to have. */
  keptHeight(node: WorldNode): number;
  /** The set of validators that holds now, and those to come. */
  sets(): readonly (readonly number[])[];
  /** How many validators a node knows of that has the blocks up to a height. */
  validatorCountAt(height: number): number;
  onWiped(node: WorldNode): void;
  note(text: string): void;
};

/** Performs actions and their ends. */
export class Faults {
  readonly #options: FaultOptions;
  /** For which kind of write a power cut waits: draws here leave the others as they are. */
  readonly #tornRandom: Random;
  /** Nodes whose record was lost and that do not vote again yet. */
  readonly #lost = new Set<WorldNode>();
  #isOver = false;

  constructor(options: FaultOptions) {
    this.#options = options;
    this.#tornRandom = streamOf(options.plan.seed, "torn");
  }

  /** Whether faults are healed: nothing is to happen any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Schedules all actions of the plan. */
  schedule(): void {
    const { plan, time } = this.#options;
    for (const action of plan.actions) time.after(action.atMs, () => this.#perform(action));
  }

  /** Honest nodes that do not vote because of a lost record. */
  get abstaining(): WorldNode[] {
    for (const node of this.#lost) {
      const { running } = node;
      if (running !== undefined && !running.driver.isAbstaining) this.#lost.delete(node);
    }
    return [...this.#lost];
  }

  /**
   * Ends the faults for a quorum; of the others, as many as the plan says stay faulty.
   *
   * @returns Honest nodes that must go on.
   */
  heal(): WorldNode[] {
    const { network, nodes } = this.#options;
    this.#isOver = true;
    network.cut.clear();
    Object.assign(network.rates, {
      loss: 0,
      late: 0,
      replay: Math.min(network.rates.replay, 0.05),
    });
    network.rates.delayMsMax = Math.min(network.rates.delayMsMax, 50);
    const abstaining = new Set(this.abstaining);
    const candidates = nodes.filter((node) => !node.isLiar && !abstaining.has(node));
    const byHeight = candidates.toSorted(
      (left, right) => this.#options.keptHeight(right) - this.#options.keptHeight(left),
    );
    const left = this.#thatMayStay(byHeight.toReversed(), abstaining);
    for (const node of left) this.#leaveFaulty(node);
    const healthy = byHeight.filter((node) => !left.includes(node));
    for (const node of [...healthy, ...nodes.filter((each) => !candidates.includes(each))])
      this.#mend(node);
    network.refresh();
    return healthy;
  }

  /**
   * @returns As many as the plan says, but a quorum of every set to come is left, and somebody who
   *   has all blocks.
   */
  #thatMayStay(nodes: readonly WorldNode[], abstaining: ReadonlySet<WorldNode>): WorldNode[] {
    const { plan } = this.#options;
    const sets = this.#options.sets();
    const left: WorldNode[] = [];
    for (const node of nodes) {
      const { index } = node;
      // Who is to be added must be there to say that it is ready.
      const isAwaited = sets.some(
        (set, at) => at > 0 && set.includes(index) && !sets[at - 1]?.includes(index),
      );
      const isBorne = this.#bear([...abstaining, ...left, node]);
      const canStay = !isAwaited && isBorne && this.#isCopied([...left, node]);
      if (left.length < plan.leftFaulty && canStay) left.unshift(node);
    }
    return left;
  }

  /** Tells whether an honest node has all blocks beside these. */
  #isCopied(without: readonly WorldNode[]): boolean {
    const { nodes, keptHeight, canonHeight } = this.#options;
    const others = nodes.filter((other) => !other.isLiar && !without.includes(other));
    return others.some((other) => keptHeight(other) >= canonHeight());
  }

  /** Tells whether every set to come keeps a quorum without these nodes and all liars. */
  #bear(faulty: Iterable<WorldNode>): boolean {
    const { plan, sets } = this.#options;
    const liars = plan.liars.map(({ index }) => index);
    const indexes = [...faulty].map(({ index }) => index);
    return sets().every((set) => bears(set, [...liars, ...indexes]));
  }

  #perform(action: Action): void {
    if (this.#isOver || !this.#begin(action)) return;
    const { time } = this.#options;
    time.after(action.lastsMs, () => {
      if (!this.#isOver) this.#end(action);
    });
  }

  /** @returns Whether the action was possible. */
  #begin(action: Action): boolean {
    const { network } = this.#options;
    switch (action.kind) {
      case "partition":
        for (const direction of action.cut) network.cut.add(direction);
        network.refresh();
        this.#options.note(`cut ${action.cut.join(" ")}`);
        return true;
      case "outage":
        for (const index of action.nodes) this.crash(this.#node(index), "power");
        this.#noteOutage();
        if (action.lostRecord !== undefined) this.#loseRecord(this.#node(action.lostRecord));
        return true;
      default:
        return this.#beginAt(this.#node(action.node), action);
    }
  }

  #beginAt(node: WorldNode, action: Exclude<Action, { kind: "partition" | "outage" }>): boolean {
    switch (action.kind) {
      case "crash":
        return this.crash(node, action.power ? "power" : "kill");
      case "full":
        node.disk.fill(action.places, action.saysRoom);
        this.#options.note(`full ${node.index} ${action.places}`);
        return true;
      case "torn":
        return this.#armTorn(node);
      case "pause":
        if (node.life === undefined || node.life.isPaused) return false;
        node.life.isPaused = true;
        this.#options.note(`pause ${node.index}`);
        return true;
      case "wipe":
        if (!this.#mayWipe(node) || !this.crash(node, "kill")) return false;
        if ((node.disk.entriesOf()?.size ?? 0) > 0) this.#options.effects.note("wipe");
        node.disk.wipe();
        node.wasWiped = true;
        this.#options.onWiped(node);
        return true;
      case "record":
        if (!this.#mayLoseRecord(node) || !this.crash(node, "kill")) return false;
        return this.#loseRecord(node);
      default:
        if (!this.#mayJump(node)) return false;
        node.clockOffsetMs += action.jumpMs;
        if (node.running !== undefined) this.#options.effects.note("clock");
        this.#options.note(`clock ${node.index} ${action.jumpMs}`);
        return true;
    }
  }

  #end(action: Action): void {
    const { network, random, time } = this.#options;
    switch (action.kind) {
      case "partition":
        for (const direction of action.cut) network.cut.delete(direction);
        network.refresh();
        return;
      case "outage":
        for (const index of action.nodes)
          time.after(random.below(2_000), () => this.#node(index).start());
        return;
      case "pause":
        this.#resume(this.#node(action.node));
        return;
      case "clock":
        this.#node(action.node).clockOffsetMs -= action.jumpMs;
        return;
      case "full":
        this.#node(action.node).disk.empty();
        return;
      case "torn":
        this.#node(action.node).disk.onWrite = () => {};
        this.#node(action.node).start();
        return;
      default:
        this.#node(action.node).start();
    }
  }

  #node(index: number): WorldNode {
    return this.#options.nodes[index] as WorldNode;
  }

  /** @returns Whether there was a process to crash. */
  crash(node: WorldNode, kind: CrashKind): boolean {
    if (!node.isUp) return false;
    this.#options.note(`crash ${node.index} ${kind}`);
    this.#options.effects.note(kind === "kill" ? "kill" : "power");
    node.crash(kind);
    return true;
  }

  #noteOutage(): void {
    const { nodes, effects, sets } = this.#options;
    const gone = nodes.filter(({ isUp, isLiar }) => !isUp || isLiar).map(({ index }) => index);
    if (!bears(sets()[0] ?? [], gone)) effects.note("outage");
  }

  #loseRecord(node: WorldNode): boolean {
    if (!this.#mayLoseRecord(node) || node.isUp) return false;
    this.#options.note(`record ${node.index}`);
    if (node.disk.record !== undefined) this.#options.effects.note("record");
    node.disk.loseRecord();
    this.#lost.add(node);
    return true;
  }

  /** The power goes in the middle of the node's next batch, or the next write of its record. */
  #armTorn(node: WorldNode): boolean {
    if (!node.isUp) return false;
    const isOfRecord = this.#tornRandom.chance(0.5) && this.#mayLoseRecord(node);
    const kind: CrashKind = isOfRecord ? "tornRecord" : "tornBatch";
    node.disk.onWrite = (write) => {
      if (write === "record" ? kind === "tornBatch" : kind === "tornRecord" || !isTearable(write))
        return;
      node.disk.onWrite = () => {};
      // In an event of its own: the write has only just begun.
      this.#options.time.after(0, () => {
        const mayTear = kind === "tornBatch" || this.#mayLoseRecord(node);
        if (!this.crash(node, mayTear ? kind : "power")) return;
        if (node.disk.findRecord().isTorn) this.#lost.add(node);
      });
    };
    return true;
  }

  #resume(node: WorldNode): void {
    if (node.life?.isPaused !== true) return;
    if (node.life.backlog.length > 0) this.#options.effects.note("pause");
    this.#options.time.resume(node.life);
  }

  /** All blocks must be on another honest disk, and nobody may be asking for the highest tip. */
  #mayWipe(node: WorldNode): boolean {
    const { validatorCountAt } = this.#options;
    const { isLost, isTorn } = node.disk.findRecord();
    // With neither record nor ledger, and fewer than three in the genesis, no node starts.
    if ((isLost || isTorn) && validatorCountAt(0) < 3) return false;
    return this.#isCopied([node]) && this.abstaining.length === 0;
  }

  /** Others must be enough to learn from and to go on without this one, and have all their blocks. */
  #mayLoseRecord(node: WorldNode): boolean {
    const { nodes, keptHeight, validatorCountAt, sets } = this.#options;
    const canLearn = validatorCountAt(keptHeight(node)) >= 3;
    // Who does not sign again before the set is too small to learn from could not start any more.
    if (!canLearn || sets().some(({ length }) => length < 3) || node.isLiar) return false;
    const isWhole = nodes.every((other) => other.isLiar || !this.#isBehindItself(other));
    return this.#bear([...this.abstaining, node]) && isWhole;
  }

  /** A wiped node that has not caught up: what it answers is lower than what it once had. */
  #isBehindItself(node: WorldNode): boolean {
    return this.#options.keptHeight(node) < node.heightBeforeWipe;
  }

  #mayJump(node: WorldNode): boolean {
    const { nodes } = this.#options;
    const isOff = (each: WorldNode) => each === node || this.#clockErrorMs(each) > clockFaultMs;
    return this.#bear(nodes.filter((each) => !each.isLiar && isOff(each)));
  }

  #clockErrorMs(node: WorldNode): number {
    const wallMs = worldStartMs + this.#options.time.nowMs;
    const ownMs = node.clock?.nowMs() ?? wallMs;
    return Math.max(Math.abs(ownMs - wallMs), Math.abs(node.clockOffsetMs));
  }

  #leaveFaulty(node: WorldNode): void {
    const { random, network, plan } = this.#options;
    switch (random.below(3)) {
      case 0:
        this.crash(node, "kill");
        return;
      case 1:
        if (node.life !== undefined) node.life.isPaused = true;
        return;
      default:
        // Cut off, or heard but not hearing.
        for (let other = 0; other < plan.count; other += 1) {
          if (other === node.index) continue;
          network.cut.add(`${other}>${node.index}`);
          if (random.chance(0.7)) network.cut.add(`${node.index}>${other}`);
        }
    }
  }

  #mend(node: WorldNode): void {
    const { plan } = this.#options;
    node.disk.onWrite = () => {};
    node.disk.empty();
    node.allowSnapshots();
    node.clockOffsetMs = plan.clockOffsetsMs[node.index] as number;
    this.#resume(node);
    // A clock that is far off is set right by a restart; slewing would take hours.
    if (this.#clockErrorMs(node) > clockFaultMs) node.crash("kill");
    node.start();
  }
}

/**
 * Tells whether part of a batch may arrive. Half of one that moves the base costs the whole ledger
 * (the node fetches a snapshot anew), which the rules of wiped nodes would have to allow.
 */
function isTearable(batch: readonly Operation[]): boolean {
  return batch.length > 1 && batch.every(({ key }) => key !== recordKeys.base);
}

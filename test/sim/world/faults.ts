/**
 * Does to a world what its plan says, within what the rules promise to bear: at most so many nodes
 * whose memory of their votes or of the time is gone, and never the last copy of a block.
 */
import { quorumSize } from "../../../src/base/proof/certificate.ts";
import type { Random } from "../random.ts";
import { worldStartMs } from "./chain.ts";
import type { CrashKind } from "./disk.ts";
import type { WorldNetwork } from "./network.ts";
import type { WorldNode } from "./node.ts";
import type { Action, FaultKind, Plan } from "./plan.ts";
import type { VirtualTime } from "./time.ts";

/** A clock that is off by more makes its node faulty. */
const clockFaultMs = 2_000;

/** What faults work on. */
export type FaultOptions = {
  readonly plan: Plan;
  readonly time: VirtualTime;
  readonly random: Random;
  readonly network: WorldNetwork;
  readonly nodes: readonly WorldNode[];
  /** Height of the chain that all must have. */
  canonHeight(): number;
  /** Highest block a node acknowledged and still has to have. */
  keptHeight(node: WorldNode): number;
  onWiped(node: WorldNode): void;
  note(text: string): void;
};

/** Performs actions and their ends. */
export class Faults {
  readonly #options: FaultOptions;
  /** Times that each kind took effect. */
  readonly counts = new Map<FaultKind, number>();
  /** Nodes whose record was lost and that do not vote again yet. */
  readonly #lost = new Set<WorldNode>();
  #isOver = false;

  constructor(options: FaultOptions) {
    this.#options = options;
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
    const { plan, network, nodes } = this.#options;
    this.#isOver = true;
    network.cut.clear();
    Object.assign(network.rates, {
      loss: 0,
      late: 0,
      replay: Math.min(network.rates.replay, 0.05),
    });
    network.rates.delayMsMax = Math.min(network.rates.delayMsMax, 50);
    const abstaining = new Set(this.abstaining);
    const spare = plan.count - quorumSize(plan.count) - plan.liars.length - abstaining.size;
    const candidates = nodes.filter((node) => !node.isLiar && !abstaining.has(node));
    const byHeight = candidates.toSorted(
      (left, right) => this.#options.keptHeight(right) - this.#options.keptHeight(left),
    );
    const healthyCount = byHeight.length - Math.max(0, Math.min(spare, plan.leftFaulty));
    for (const node of byHeight.slice(healthyCount)) this.#leaveFaulty(node);
    const healthy = byHeight.slice(0, healthyCount);
    for (const node of [...healthy, ...nodes.filter((each) => !candidates.includes(each))])
      this.#mend(node);
    network.refresh();
    return healthy;
  }

  #perform(action: Action): void {
    if (this.#isOver || !this.#begin(action)) return;
    // A lost record is counted where it is lost, as an outage may bring one, too.
    if (action.kind !== "record")
      this.counts.set(action.kind, (this.counts.get(action.kind) ?? 0) + 1);
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
        for (const index of action.nodes) this.#crash(this.#node(index), "power");
        if (action.lostRecord !== undefined) this.#loseRecord(this.#node(action.lostRecord));
        return true;
      default:
        return this.#beginAt(this.#node(action.node), action);
    }
  }

  #beginAt(node: WorldNode, action: Exclude<Action, { kind: "partition" | "outage" }>): boolean {
    switch (action.kind) {
      case "crash":
        return this.#crash(node, action.power ? "power" : "kill");
      case "torn":
        return this.#armTorn(node);
      case "pause":
        if (node.life === undefined || node.life.isPaused) return false;
        node.life.isPaused = true;
        this.#options.note(`pause ${node.index}`);
        return true;
      case "wipe":
        if (!this.#mayWipe(node) || !this.#crash(node, "kill")) return false;
        node.disk.wipe();
        this.#options.onWiped(node);
        return true;
      case "record":
        if (!this.#mayLoseRecord(node) || !this.#crash(node, "kill")) return false;
        return this.#loseRecord(node);
      default:
        if (!this.#mayJump(node)) return false;
        node.clockOffsetMs += action.jumpMs;
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

  #crash(node: WorldNode, kind: CrashKind): boolean {
    if (!node.isUp) return false;
    this.#options.note(`crash ${node.index} ${kind}`);
    node.crash(kind);
    return true;
  }

  #loseRecord(node: WorldNode): boolean {
    if (!this.#mayLoseRecord(node) || node.isUp) return false;
    this.#options.note(`record ${node.index}`);
    this.counts.set("record", (this.counts.get("record") ?? 0) + 1);
    node.disk.loseRecord();
    this.#lost.add(node);
    return true;
  }

  /** The power goes in the middle of the node's next write. */
  #armTorn(node: WorldNode): boolean {
    if (!node.isUp) return false;
    node.disk.onWrite = () => {
      node.disk.onWrite = () => {};
      // In an event of its own: the write has only just begun.
      this.#options.time.after(0, () => {
        const isRecordSafe = !this.#mayLoseRecord(node);
        if (!this.#crash(node, isRecordSafe ? "power" : "torn")) return;
        if (node.disk.findRecord().isTorn) this.#lost.add(node);
      });
    };
    return true;
  }

  #resume(node: WorldNode): void {
    if (node.life?.isPaused === true) this.#options.time.resume(node.life);
  }

  /** All blocks must be on another honest disk, and nobody may be asking for the highest tip. */
  #mayWipe(node: WorldNode): boolean {
    const { nodes, keptHeight, canonHeight } = this.#options;
    const others = nodes.filter((other) => other !== node && !other.isLiar);
    return (
      others.some((other) => keptHeight(other) >= canonHeight()) && this.abstaining.length === 0
    );
  }

  /** Others must be enough to learn from and to go on without this one, and have all their blocks. */
  #mayLoseRecord(node: WorldNode): boolean {
    const { plan, nodes } = this.#options;
    const { count, liars } = plan;
    if (count < 3 || node.isLiar) return false;
    const lost = new Set([...this.abstaining, node]);
    const isWhole = nodes.every((other) => other.isLiar || !this.#isBehindItself(other));
    return lost.size + liars.length <= count - quorumSize(count) && isWhole;
  }

  /** A wiped node that has not caught up: what it answers is lower than what it once had. */
  #isBehindItself(node: WorldNode): boolean {
    return this.#options.keptHeight(node) < node.heightBeforeWipe;
  }

  #mayJump(node: WorldNode): boolean {
    const { plan, nodes } = this.#options;
    const isOff = (each: WorldNode) => each === node || this.#clockErrorMs(each) > clockFaultMs;
    const off = nodes.filter((each) => !each.isLiar && isOff(each)).length;
    return off <= plan.count - quorumSize(plan.count) - plan.liars.length;
  }

  #clockErrorMs(node: WorldNode): number {
    const wallMs = worldStartMs + this.#options.time.nowMs;
    const ownMs = node.running?.nowMs() ?? wallMs;
    return Math.max(Math.abs(ownMs - wallMs), Math.abs(node.clockOffsetMs));
  }

  #leaveFaulty(node: WorldNode): void {
    const { random, network, plan } = this.#options;
    switch (random.below(3)) {
      case 0:
        this.#crash(node, "kill");
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
    node.clockOffsetMs = plan.clockOffsetsMs[node.index] as number;
    this.#resume(node);
    // A clock that is far off is set right by a restart; slewing would take hours.
    if (node.running !== undefined && this.#clockErrorMs(node) > clockFaultMs) node.crash("kill");
    node.start();
  }
}

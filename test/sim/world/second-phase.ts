/**
 * The second phase of a run: a quorum is well again, of the validators that are and of those to
 * come, and must go on: a block soon, calm seconds in which all goes well, the changes of the
 * validators that are left, and at the end the same chain everywhere.
 */
import { type CalmMeasures, calmBounds, calmFault } from "./calm.ts";
import { type Canon, entriesOfState, Violation } from "./checkers.ts";
import type { Clients } from "./clients.ts";
import { describedNode } from "./describe.ts";
import type { Faults } from "./faults.ts";
import type { Holdings } from "./holdings.ts";
import type { WorldNode } from "./node.ts";
import type { Plan } from "./plan.ts";
import type { SetChanges } from "./set-changes.ts";
import type { SetModel } from "./set-model.ts";
import type { SetWatch } from "./set-watch.ts";
import type { VirtualTime } from "./time.ts";

/** What the phase works on. */
export type SecondPhaseOptions = {
  readonly plan: Plan;
  readonly time: VirtualTime;
  readonly canon: Canon;
  readonly sets: SetModel;
  readonly changes: SetChanges | undefined;
  readonly clients: Clients;
  readonly faults: Faults;
  readonly setWatch: SetWatch;
  readonly holdings: Holdings;
  readonly nodes: readonly WorldNode[];
  /** The set that holds now, and those to come. */
  setsToCome(): readonly (readonly number[])[];
  /** Runs until a condition holds, or something does not that must. @returns Whether one came. */
  until(condition: () => boolean, withinMs: number): Promise<boolean>;
  stopSending(): void;
  note(text: string): void;
};

/** Heals a world and holds it to what it then must do. */
export class SecondPhase {
  readonly #options: SecondPhaseOptions;
  #healthy: readonly WorldNode[] = [];
  /** From the end of the faults until all nodes that must go on had their ledgers; else 0. */
  ledgersMs: number | undefined;
  /** From then to the first new block on all of them. */
  firstBlockMs: number | undefined;
  calm: CalmMeasures | undefined;

  constructor(options: SecondPhaseOptions) {
    this.#options = options;
  }

  /** @throws {Violation} */
  async run(): Promise<void> {
    const { faults, clients, note } = this.#options;
    this.#healthy = faults.heal();
    note(`healed ${this.#healthy.map(({ index }) => index).join(" ")}`);
    clients.eligible = (node) => this.#voting.includes(node);
    await this.#comeBack();
    await this.#beCalm();
    await this.#reportLiars();
    await this.#checkEnd();
  }

  /** Nodes that are well and vote at the moment. */
  get #voting(): readonly WorldNode[] {
    const { sets } = this.#options;
    return this.#healthy.filter(({ key }) => sets.current.includes(key));
  }

  async #comeBack(): Promise<void> {
    const { plan, time, canon } = this.#options;
    const healedMs = time.nowMs;
    const former = canon.height;
    const isBack = () => this.#voting.every((node) => heightOf(node) > former);
    // A quorum is there once its nodes have the blocks that others decided without them.
    const fetchMs = this.#fetchMs(this.#voting);
    const hasSnapshots = plan.snapshots !== undefined;
    if (hasSnapshots) await this.#haveLedgers(former, calmBounds.ledgersMs + fetchMs);
    this.ledgersMs = time.nowMs - healedMs;
    const boundMs = calmBounds.firstBlockMs + (hasSnapshots ? 0 : fetchMs);
    await this.#demand(isBack, boundMs, () => `no block ${boundMs} ms after a quorum was there`);
    this.firstBlockMs = time.nowMs - healedMs - this.ledgersMs;
  }

  async #haveLedgers(height: number, withinMs: number): Promise<void> {
    const haveAll = () => this.#voting.every((node) => heightOf(node) >= height);
    const what = () => `without the blocks of others ${withinMs} ms after the faults ended`;
    await this.#demand(haveAll, withinMs, what);
  }

  /** More time for those of these nodes that have many blocks to fetch first, and to execute. */
  #fetchMs(nodes: readonly WorldNode[]): number {
    const { canon, plan } = this.#options;
    const least = Math.min(...nodes.map((node) => Math.max(0, heightOf(node))));
    const missing = canon.blocks.slice(least);
    // Times are drawn evenly from nothing to the longest.
    const workMs = missing.reduce(
      (sum, { ids }) => sum + (plan.writeMsMax + plan.callMsMax * ids.length) / 2,
      0,
    );
    const fetchMs = Math.max(0, missing.length - calmBounds.behindMax) * calmBounds.fetchMs;
    return Math.max(Math.ceil(workMs), fetchMs);
  }

  async #beCalm(): Promise<void> {
    const { time, canon, clients, setWatch, setsToCome, until, stopSending } = this.#options;
    const { sentCount } = clients;
    const isWhole = this.#isWhole;
    clients.slowestMs = 0;
    clients.measureFromMs = time.nowMs;
    setWatch.watchLiars(this.#healthy, setsToCome());
    await until(() => false, calmBounds.restMs);
    const { height } = canon;
    await until(() => false, calmBounds.calmMs - calmBounds.restMs);
    await this.#changeAll();
    stopSending();
    const stoppedMs = time.nowMs;
    await this.#settle();
    this.calm = {
      sent: clients.sentCount - sentCount,
      slowestMs: clients.slowestMs,
      settledMs: time.nowMs - stoppedMs,
      rounds: canon.blocks.slice(height).map(({ round }) => round),
      isWhole,
    };
    const fault = calmFault(this.calm);
    if (fault !== undefined) throw this.#latency(fault);
  }

  /** Everything sent is final, and all have the same tip. */
  async #settle(): Promise<void> {
    const { canon, clients } = this.#options;
    const { settledMs } = calmBounds;
    const areEqual = () => this.#voting.every((node) => heightOf(node) === canon.height);
    const isSettled = () => clients.unsettled.length === 0 && areEqual();
    const what = () => {
      const open = clients.unsettled.join(", ");
      return `not settled ${settledMs} ms after the last one (${open})`;
    };
    await this.#demand(isSettled, settledMs, what);
  }

  /** Lets the administrators bring about all changes that are left. */
  async #changeAll(): Promise<void> {
    const { changes } = this.#options;
    if (changes === undefined || changes.isDone) return;
    changes.isHurried = true;
    const withinMs = changes.left * calmBounds.changeMs + this.#fetchMs(this.#healthy);
    const what = () => `the validators are still ${changes.state}`;
    await this.#demand(() => changes.isDone, withinMs, what);
  }

  /** A node reports one contradiction after the other, so the last one has to wait. */
  async #reportLiars(): Promise<void> {
    const { setWatch } = this.#options;
    const { reportedMs } = calmBounds;
    if (setWatch.areLiarsReported) return;
    const what = () => `a liar is not on record after ${reportedMs} ms`;
    await this.#demand(() => setWatch.areLiarsReported, reportedMs, what);
    await this.#settle();
  }

  /** Tells whether every validator is well and stays one, and nobody lies. */
  get #isWhole(): boolean {
    const { changes, sets, plan } = this.#options;
    const isChanging = changes !== undefined && !changes.isDone;
    const isHonest = plan.liars.length === 0;
    return isHonest && !isChanging && this.#voting.length === sets.current.length;
  }

  async #demand(condition: () => boolean, withinMs: number, what: () => string): Promise<void> {
    if (!(await this.#options.until(condition, withinMs))) throw this.#latency(what());
  }

  #latency(what: string): Violation {
    const { nodes } = this.#options;
    const states = nodes.map((node) => describedNode(node, this.#healthy.includes(node)));
    return new Violation("latency", `${what}: ${states.join("; ")}`);
  }

  async #checkEnd(): Promise<void> {
    const { canon, holdings } = this.#options;
    canon.checkNoneEarly();
    for (const node of this.#voting) {
      if (node.running === undefined) continue;
      canon.checkState(entriesOfState(node.running.ledger.state));
      await holdings.checkEnd(node, node.running);
    }
  }
}

function heightOf(node: WorldNode): number {
  return node.running?.ledger.tip.height ?? -1;
}

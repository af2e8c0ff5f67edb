/**
 * A run of a whole simulated network: real nodes (`node.ts`) under virtual time, first with faults,
 * then with the faults ended for a quorum, when progress must return in time. The same plan gives
 * the same run, to the last byte: `traceHash` covers everything that was sent, signed and decided.
 */
import { createHash, type Hash } from "node:crypto";
import { isLedgerError } from "../../../src/base/errors.ts";
import type { GenesisBlock } from "../../../src/base/format/genesis.ts";
import { decodeSigningRecord } from "../../../src/base/format/signing-record.ts";
import type { Appended } from "../../../src/ledger/ledger-types.ts";
import { checkBlame } from "./blame.ts";
import type { CalmMeasures } from "./calm.ts";
import { validatorKey, worldGenesis } from "./chain.ts";
import { Canon, Violation } from "./checkers.ts";
import { Clients } from "./clients.ts";
import { checkCore } from "./core-watch.ts";
import { described } from "./describe.ts";
import { Effects } from "./effects.ts";
import { Faults } from "./faults.ts";
import { Holdings } from "./holdings.ts";
import { Kept } from "./kept.ts";
import { Liar } from "./liar.ts";
import { WorldNetwork } from "./network.ts";
import { type Running, WorldNode } from "./node.ts";
import type { Outcome, WorldObserver, WorldOptions } from "./outcome.ts";
import { type Plan, streamOf, validatorsAtFirst } from "./plan.ts";
import { SecondPhase } from "./second-phase.ts";
import { SetChanges } from "./set-changes.ts";
import { SetModel } from "./set-model.ts";
import { SetWatch } from "./set-watch.ts";
import { SigningWatch } from "./signing-watch.ts";
import { Strikes } from "./strikes.ts";
import { VirtualTime } from "./time.ts";
import { type ToldBlock, untoldBlocks } from "./untold.ts";

const coreCheckEveryMs = 2_000;
const askEveryMs = 500;
const tickEveryMs = 700;
const questionEveryMs = 900;

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
  readonly #sets: SetModel;
  readonly #changes: SetChanges | undefined;
  readonly #setWatch: SetWatch;
  readonly #clients: Clients;
  readonly #faults: Faults;
  readonly #holdings: Holdings;
  readonly #strikes: Strikes;
  readonly #liars: Liar[] = [];
  readonly #effects = new Effects();
  readonly #trace: Hash = createHash("sha256");
  readonly #sent = new Map<string, Uint8Array>();
  readonly #kept: Kept;
  #violation: Outcome["violation"];
  #back: Pick<SecondPhase, "ledgersMs" | "firstBlockMs"> = {
    ...{ ledgersMs: undefined, firstBlockMs: undefined },
  };
  #calm: CalmMeasures | undefined;

  constructor(plan: Plan, { log, observer }: WorldOptions) {
    this.#observer = observer;
    const { seed, count, heartbeatMs, liars } = plan;
    this.#plan = plan;
    this.#genesis = worldGenesis(plan);
    const { chainId } = this.#genesis;
    const time = this.#time;
    const liarKeys = new Set(liars.map(({ index }) => validatorKey(index)));
    const administrators = plan.sets?.administrators ?? 0;
    const initial = validatorsAtFirst(plan);
    this.#sets = new SetModel({ chainId, initial, administrators });
    this.#canon = new Canon({
      ...{ genesis: this.#genesis, sets: this.#sets, heartbeatMs, sent: this.#sent },
      isHonest: (validator) => !liarKeys.has(validator),
    });
    this.#kept = new Kept((height) =>
      height === 0 ? chainId : this.#canon.blocks[height - 1]?.block.hash,
    );
    this.#signing = new SigningWatch(chainId);
    this.#setWatch = new SetWatch({
      ...{ plan, chainId, sets: this.#sets, canon: this.#canon, liarKeys, sent: this.#sent },
    });
    this.#network = new WorldNetwork({
      time,
      random: streamOf(seed, "network"),
      rates: { ...plan.rates },
      effects: this.#effects,
      listener: {
        onSend: (from, frame) => this.#note(`send ${from}`, frame),
        onDeliver: (to, frame) => {
          this.#guard(() => this.#observer?.onDeliver?.(to, frame));
          this.#setWatch.onDeliver(this.#nodes[to], frame, time.nowMs);
        },
        onBlame: (by, from) => this.#onBlame(by, from),
      },
    });
    this.#holdings = new Holdings({
      ...{ canon: this.#canon, time, random: streamOf(seed, "questions") },
      interval: plan.snapshots?.interval,
      onViolation: (error) => this.fail(error),
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
    this.#changes = plan.sets && this.#makeChanges(plan.sets);
    this.#faults = new Faults({
      plan,
      time,
      random: streamOf(seed, "faults"),
      effects: this.#effects,
      network: this.#network,
      nodes,
      canonHeight: () => this.#canon.height,
      sets: () => this.#setsToCome,
      validatorCountAt: (height) => this.#sets.at(height + 1).length,
      keptHeight: (node) => this.#kept.heightOf(node),
      onWiped: (node) => this.#kept.onWiped(node),
      note: (text) => this.#note(text),
    });
    this.#strikes = new Strikes({
      ...{ time, random: streamOf(seed, "strikes"), share: plan.snapshots?.strikeShare ?? 0 },
      isOver: () => this.#faults.isOver,
      crash: (node, kind) => this.#faults.crash(node, kind),
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
    const changes = this.#changes;
    if (changes !== undefined) this.#every(askEveryMs, () => changes.tick());
    this.#every(coreCheckEveryMs, () => this.#checkCores());
    const honest = this.#nodes.filter(({ isLiar }) => !isLiar);
    this.#every(questionEveryMs, () => this.#guard(() => this.#holdings.look(honest)));
    let isSending = true;
    this.#every(plan.submitEveryMs, () => {
      if (isSending) this.#clients.send();
    });
    await this.#until(() => false, plan.safetyMs);
    if (this.#violation === undefined)
      await this.#secondPhase(() => {
        isSending = false;
      });
    this.#checkCores();
    for (const node of this.#nodes) this.#noteOverBudget(node);
  }

  outcome(): Outcome {
    const { seed, count, liars } = this.#plan;
    const faults = {
      ...this.#effects.counts,
      ...this.#holdings.counts,
      ...{ strike: this.#strikes.count, validators: this.#sets.applied },
    };
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
      ledgersMs: this.#back.ledgersMs,
      firstBlockMs: this.#back.firstBlockMs,
      slowestMs: this.#clients.slowestMs,
      calm: this.#calm,
      faults,
    };
  }

  async #secondPhase(stopSending: () => void): Promise<void> {
    const phase = new SecondPhase({
      ...{ plan: this.#plan, time: this.#time, canon: this.#canon, sets: this.#sets },
      ...{ changes: this.#changes, clients: this.#clients, faults: this.#faults },
      ...{ setWatch: this.#setWatch, holdings: this.#holdings, nodes: this.#nodes, stopSending },
      setsToCome: () => this.#setsToCome,
      until: (condition, withinMs) => this.#until(condition, withinMs),
      note: (text) => this.#note(text),
    });
    try {
      await phase.run();
    } finally {
      this.#back = phase;
      this.#calm = phase.calm;
    }
  }

  /** The set that holds now, and those to come. */
  get #setsToCome(): readonly (readonly number[])[] {
    return this.#changes?.setsToCome ?? [validatorsAtFirst(this.#plan)];
  }

  /** Runs for a time, or until a condition or a violation. @returns Whether the condition held. */
  async #until(condition: () => boolean, withinMs: number): Promise<boolean> {
    const isOver = () => this.#violation !== undefined || condition();
    await this.#time.runUntil(isOver, this.#time.nowMs + withinMs);
    return this.#violation !== undefined || condition();
  }

  #every(periodMs: number, run: () => void): void {
    this.#time.after(periodMs, () => {
      this.#every(periodMs, run);
      run();
    });
  }

  #checkCores(): void {
    for (const node of this.#nodes) this.#guard(() => checkCore(node));
  }

  #makeNode(index: number, log: WorldOptions["log"]): WorldNode {
    const { seed, count, liars, sets, blockIntervalMs, writeMsMax, callMsMax } = this.#plan;
    const lies = liars.find((liar) => liar.index === index);
    const node = new WorldNode({
      index,
      count,
      genesis: this.#genesis,
      time: this.#time,
      network: this.#network,
      random: streamOf(seed, `node ${index}`),
      fullRandom: streamOf(seed, `disk ${index}`),
      snapshots: this.#plan.snapshots?.nodes[index],
      blockIntervalMs,
      writeMsMax,
      callMsMax,
      effects: this.#effects,
      checkMs: this.#plan.checkMs ?? 0,
      mask: lies && this.#makeLiar(lies),
      gate: sets && (sets.initial.includes(index) ? "genesis" : "joining"),
      ...(log === undefined ? {} : { log: log(index, () => this.#time.nowMs) }),
      listener: {
        onOpened: (opened, running) => this.#guard(() => this.#onOpened(opened, running)),
        onCrash: (crashing) => {
          this.#noteOverBudget(crashing);
          this.#guard(() => checkCore(crashing));
        },
        onFailure: (failed, error) => {
          if (!failed.isLiar) this.fail(error);
        },
        onAppended: (by, appended) => this.#guard(() => this.#onAppended(by, appended)),
        onSign: (by, message, record) => {
          this.#note(`sign ${by.index}`, message);
          this.#guard(() => this.#observer?.onSign?.(by, message, record));
          if (by.isLiar) return;
          this.#guard(() => {
            this.#holdings.onSign(by);
            this.#signing.note(by.key, message, record && decodeSigningRecord(record));
            this.#setWatch.onSign(by, message);
          });
        },
        onPhase: (by, phase) => {
          this.#strikes.onPhase(by, phase);
          if (!by.isLiar && phase.startsWith("prun"))
            this.#guard(() => this.#holdings.onPruning(by, phase === "pruned"));
        },
        onOwnCall: (by, bytes) => this.#guard(() => this.#setWatch.onOwnCall(by, bytes)),
      },
    });
    node.clockOffsetMs = this.#plan.clockOffsetsMs[index] as number;
    this.#holdings.watch(node);
    return node;
  }

  #makeChanges(plan: NonNullable<Plan["sets"]>): SetChanges {
    const votes = (index: number) => this.#sets.current.includes(validatorKey(index));
    // Those who join know each other: what one of them is given reaches no validator by that alone.
    const takesPart = ({ index }: WorldNode) =>
      votes(index) || this.#network.peersOf(index).some((peer) => votes(peer.index));
    this.#clients.eligible = takesPart;
    return new SetChanges({
      plan,
      time: this.#time,
      random: streamOf(this.#plan.seed, "administrators"),
      chainId: this.#genesis.chainId,
      model: this.#sets,
      sent: this.#sent,
      isFinal: (id) => this.#canon.isFinal(id),
      nodes: () => this.#nodes.filter((node) => !node.isLiar && takesPart(node)),
    });
  }

  /** What a life has dropped, at its end. */
  #noteOverBudget({ isLiar, running }: WorldNode): void {
    if (!isLiar) this.#effects.note("overBudget", running?.shell.messagesOverBudget ?? 0);
  }

  #makeLiar({ index, tricks, bursts }: Plan["liars"][number]): Liar {
    const { seed, count } = this.#plan;
    const otherChainId = worldGenesis(this.#plan, "other").chainId;
    const liar = new Liar({
      index,
      count,
      chainId: this.#genesis.chainId,
      otherChainId,
      tricks,
      bursts,
      random: streamOf(seed, `liar ${index}`),
      snapshotRandom: streamOf(seed, `snapshot liar ${index}`),
      burstRandom: streamOf(seed, `burst liar ${index}`),
      otherRandom: streamOf(seed, `other chain ${index}`),
      send: (to, frame) => {
        this.#note(`lie ${index} ${to}`, frame);
        if (this.#network.peersOf(index).some((peer) => peer.index === to))
          this.#network.sendRaw(index, to, frame);
      },
      publish: (transactions) => this.#network.publish(index, transactions),
      onLie: (trick) => this.#effects.note(trick),
    });
    this.#liars.push(liar);
    return liar;
  }

  /** After a crash a node must have all that it acknowledged, and nothing that is not final. */
  #onOpened(node: WorldNode, running: Running): void {
    const { ledger } = running;
    const { height, hash } = ledger.tip;
    this.#note(`opened ${node.index} ${height} ${hash}`);
    this.#observer?.onOpened?.(node, running);
    if (node.isLiar) return;
    untoldBlocks(ledger, this.#canon.height).then(
      (untold) => this.#guard(() => this.#takeAll(untold)),
      (error) => {
        if (!isLedgerError(error, "LEDGER_STORE_CLOSED")) this.fail(error);
      },
    );
    this.#kept.onOpened(node, ledger.tip);
    this.#holdings.onOpened(node, running).catch((error) => this.fail(error));
  }

  #onAppended(node: WorldNode, appended: Appended): void {
    const { height } = appended.block.header;
    this.#note(`appended ${node.index} ${height} ${appended.block.hash}`);
    this.#observer?.onAppended?.(node, appended);
    if (node.isLiar) return;
    this.#kept.onAppended(node, height);
    this.#take(appended);
    this.#holdings.onAppended(node, height);
  }

  #takeAll(untold: readonly ToldBlock[]): void {
    for (const told of untold) this.#take(told);
  }

  #take(told: ToldBlock): void {
    this.#canon.take(told, this.#genesis.header.timestampMs + this.#time.nowMs);
    this.#setWatch.onFinal();
  }

  #onBlame(by: number, from: number): void {
    const [blaming, blamed] = [this.#nodes[by], this.#nodes[from]];
    if (blaming === undefined || blamed === undefined) return;
    this.#guard(() => checkBlame(blaming, blamed));
  }

  #guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.fail(error);
    }
  }

  #note(what: string, bytes: Uint8Array = new Uint8Array()): void {
    this.#observer?.onNote?.(this.#time.nowMs, what);
    this.#trace.update(`${this.#time.nowMs} ${what}\n`).update(bytes);
  }
}

/**
 * A cluster of consensus cores in one thread with virtual time: each node is the real core, a fake
 * ledger and the shell's duties (verify, persist, sign, send, timers, sync) in their plainest form.
 * A seed fixes everything. Faults: loss, duplicates, reordering by delay, partitions, crashes with
 * or without the ledger and the record, clock offsets, and messages that a test injects.
 *
 * Checked at all times: agreement on every height, certificates, and that no key ever signs two
 * different claims of one kind in one round nor goes back to a lower slot (twins excepted).
 */
import { blockOf } from "../../src/base/format/block.ts";
import { type Claim, type ConsensusMessage, claimMessage } from "../../src/base/format/message.ts";
import { decodeSigningRecord, encodeSigningRecord } from "../../src/base/format/signing-record.ts";
import type { Hash } from "../../src/base/hash.ts";
import type { PublicKey } from "../../src/base/keys.ts";
import { limits } from "../../src/base/limits.ts";
import type { ConsensusEvent, Effect, Tip } from "../../src/consensus/event.ts";
import { messageOf } from "../../src/consensus/signing.ts";
import { type ConsensusState, initialState } from "../../src/consensus/state.ts";
import { step } from "../../src/consensus/step.ts";
import { SignedSlots } from "./checkers.ts";
import { VirtualClock } from "./clock.ts";
import { fakeSign, keyOf, signaturesHold, simChainId } from "./fake-keys.ts";
import { FakeLedger, type ValidatorsAt } from "./fake-ledger.ts";
import { Random } from "./random.ts";

/** What a cluster is made of. */
export type ClusterOptions = {
  readonly seed?: number;
  /** Validators; more instances follow from `keys`. */
  readonly count: number;
  /** Key of each instance: observers have one outside the set, twins the same one. */
  readonly keys?: readonly PublicKey[];
  readonly validatorsAt?: ValidatorsAt;
  readonly heartbeatMs?: number;
  readonly clockOffsetsMs?: readonly number[];
  /** Shell polls the tips of its peers, as the p2p status exchange does. Default true. */
  readonly statusPolls?: boolean;
};

/** One instance. What is here besides `core` and `timers` is its disk and outlives a crash. */
export type SimNode = {
  readonly index: number;
  readonly key: PublicKey;
  ledger: FakeLedger;
  core: ConsensusState;
  /** Bytes of the signing record, as on disk. */
  record: Uint8Array | undefined;
  up: boolean;
  /** Counts restarts, so that what was under way at a crash is lost. */
  life: number;
  timerId: number;
  resendId: number;
  readonly signedClaims: Claim[];
  readonly slots: SignedSlots;
  readonly effects: Effect["kind"][];
};

/** The simulator. */
export class Cluster {
  readonly nodes: SimNode[];
  readonly random: Random;
  readonly #clock = new VirtualClock();
  lossRate = 0;
  duplicateRate = 0;
  delayMsMin = 5;
  delayMsMax = 20;
  /** Group of each instance; messages pass within a group only. */
  groups: readonly number[];
  /** A test's own network: returns false for a message that is lost. */
  passes: (message: ConsensusMessage, from: number, to: number) => boolean = () => true;
  /** Sees every effect, for tests that log. */
  observe: (node: SimNode, effect: Effect) => void = () => undefined;
  /** Messages delivered, for tests that count. */
  deliveries = 0;
  readonly #options: ClusterOptions;
  readonly #validatorsAt: ValidatorsAt;
  readonly #decidedHash = new Map<number, Hash>();

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.random = new Random(options.seed ?? 1);
    const members = Array.from({ length: options.count }, (_, index) => keyOf(index));
    this.#validatorsAt = options.validatorsAt ?? (() => members);
    const keys = options.keys ?? members;
    this.nodes = keys.map((key, index) => this.#newNode(key, index));
    this.groups = keys.map(() => 0);
    for (const node of this.nodes) this.#poll(node);
  }

  /** Gives a transaction to some nodes' mempools (default: all that run), as gossip would. */
  submit(text: string, indexes: readonly number[] = this.nodes.map(({ index }) => index)): void {
    for (const index of indexes) {
      const node = this.node(index);
      if (!node.up || node.ledger.transactions.includes(text)) continue;
      node.ledger.pending.add(text);
      this.#offerWork(node);
    }
  }

  get nowMs(): number {
    return this.#clock.nowMs;
  }

  /** Runs until a condition holds. @returns Whether it did within the time. */
  runUntil(condition: () => boolean, withinMs: number): boolean {
    return this.#clock.runUntil(condition, withinMs);
  }

  /** Runs for a time. */
  run(durationMs: number): void {
    this.runUntil(() => false, durationMs);
  }

  /** Runs until all running nodes have a height. */
  runToHeight(height: number, withinMs: number): boolean {
    const running = () => this.nodes.filter(({ up }) => up);
    return this.runUntil(
      () => running().every(({ ledger }) => ledger.tip.height >= height),
      withinMs,
    );
  }

  node(index: number): SimNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`no instance ${index}`);
    return node;
  }

  /** Heights of all nodes. */
  heights(): number[] {
    return this.nodes.map(({ ledger }) => ledger.tip.height);
  }

  /** Stops a node at once; what it had not persisted is gone. */
  crash(index: number): void {
    const node = this.node(index);
    node.up = false;
    node.life += 1;
    node.timerId += 1;
    node.resendId += 1;
    node.ledger.pending.clear();
  }

  /** Starts a stopped node again, with what its disk holds. */
  restart(
    index: number,
    loss: {
      readonly wipedLedger?: boolean;
      /** Record lost: abstain through this height (the shell asks a quorum of others for it). */
      readonly abstainThroughHeight?: number;
    } = {},
  ): void {
    const node = this.node(index);
    if (loss.wipedLedger) node.ledger = this.#newLedger();
    if (loss.abstainThroughHeight !== undefined) node.record = undefined;
    node.core = this.#newCore(node, loss.abstainThroughHeight);
    node.up = true;
    if (node.record !== undefined)
      this.feed(node, { kind: "restored", record: decodeSigningRecord(node.record) });
    this.#sync(node);
    this.#poll(node);
  }

  /** Delivers a message to one node through its shell, as any peer may. */
  inject(to: number, message: ConsensusMessage): void {
    const node = this.node(to);
    if (node.up && signaturesHold(message, simChainId))
      this.feed(node, { kind: "message", message });
  }

  /** Feeds one event and performs the effects. */
  feed(node: SimNode, event: ConsensusEvent): void {
    if (!node.up) return;
    const { state, effects } = step(node.core, event);
    node.core = state;
    for (const effect of effects) {
      node.effects.push(effect.kind);
      this.observe(node, effect);
      this.#perform(node, effect);
    }
  }

  #newLedger(): FakeLedger {
    return new FakeLedger(this.#validatorsAt, this.#options.heartbeatMs ?? 1e12);
  }

  #newCore(
    { key, ledger }: Pick<SimNode, "key" | "ledger">,
    abstainThroughHeight = -1,
  ): ConsensusState {
    const { tip, nextValidators: validators } = ledger;
    return initialState({ self: key, tip, validators, abstainThroughHeight });
  }

  #newNode(key: PublicKey, index: number): SimNode {
    const ledger = this.#newLedger();
    return {
      index,
      key,
      ledger,
      core: this.#newCore({ key, ledger }),
      record: undefined,
      up: true,
      life: 0,
      timerId: 0,
      resendId: 0,
      signedClaims: [],
      slots: new SignedSlots(),
      effects: [],
    };
  }

  #perform(node: SimNode, effect: Effect): void {
    switch (effect.kind) {
      case "sign":
        this.#sign(node, effect);
        return;
      case "send":
        this.#broadcast(node, effect.message);
        return;
      case "startTimer":
        this.#startTimer(node, effect);
        return;
      case "stopTimer":
        node.timerId += 1;
        return;
      case "startResend":
        this.#tick(node, ++node.resendId);
        return;
      case "stopResend":
        node.resendId += 1;
        return;
      case "decide":
        this.#later(node, 2, () => {
          node.ledger.append(effect);
          this.#appended(node);
        });
        return;
      case "catchUp":
        this.#later(node, 20, () => this.#sync(node));
        return;
      case "forwardTransactions":
        this.#forward(node, effect.validator);
        return;
      default:
        this.#answer(node, effect);
        return;
    }
  }

  #answer(node: SimNode, effect: Extract<Effect, { kind: "buildBlock" | "checkBlock" }>): void {
    const { height, round } = effect;
    this.#later(node, 3, () => {
      if (node.ledger.tip.height !== height - 1) return;
      const nowMs = this.#clockOf(node);
      if (effect.kind === "buildBlock") {
        const block = node.ledger.build(nowMs, node.key);
        this.feed(node, { kind: "built", height, round, block });
        return;
      }
      const { block, fresh } = effect;
      const valid = node.ledger.check(block, fresh, nowMs);
      this.feed(node, { kind: "checked", height, round, blockHash: block.hash, valid });
    });
  }

  #clockOf(node: SimNode): number {
    return this.nowMs + (this.#options.clockOffsetsMs?.[node.index] ?? 0);
  }

  #sign(node: SimNode, { claim, attachments, record }: Extract<Effect, { kind: "sign" }>): void {
    if (!this.#isTwin(node)) node.slots.sign(claim);
    node.signedClaims.push(claim);
    node.record = encodeSigningRecord(record);
    this.#later(node, 1, () => {
      const signature = fakeSign(claimMessage(claim, simChainId), node.key);
      const message = messageOf(claim, attachments, { validator: node.key, signature });
      this.#broadcast(node, message);
      this.feed(node, { kind: "signed", message });
    });
  }

  /** Two instances with one key are liars by design; no check of signing holds for them. */
  #isTwin({ key, index }: SimNode): boolean {
    return this.nodes.some((other) => other.key === key && other.index !== index);
  }

  #broadcast(from: SimNode, message: ConsensusMessage): void {
    for (const to of this.nodes) {
      if (to.index === from.index || this.groups[to.index] !== this.groups[from.index]) continue;
      if (!this.passes(message, from.index, to.index)) continue;
      const copies = this.random.chance(this.duplicateRate) ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1) this.#deliver(to, message);
    }
  }

  #deliver(to: SimNode, message: ConsensusMessage): void {
    if (this.random.chance(this.lossRate)) return;
    const delayMs = this.delayMsMin + this.random.below(this.delayMsMax - this.delayMsMin + 1);
    this.#later(to, delayMs, () => {
      this.deliveries += 1;
      this.inject(to.index, message);
    });
  }

  #startTimer(node: SimNode, timer: Extract<Effect, { kind: "startTimer" }>): void {
    node.timerId += 1;
    const { timerId } = node;
    const { height, round, durationMs } = timer;
    this.#later(node, durationMs, () => {
      if (node.timerId === timerId) this.feed(node, { kind: "timeout", height, round });
    });
  }

  #tick(node: SimNode, resendId: number): void {
    this.#later(node, limits.resendMs, () => {
      if (node.resendId !== resendId) return;
      this.feed(node, { kind: "resend" });
      this.#tick(node, resendId);
    });
  }

  #appended(node: SimNode): void {
    const { tip, nextValidators: validators, last } = node.ledger;
    if (!this.#isTwin(node)) this.#checkAgreement(tip);
    // The stored block is what its bytes say, or the next one would not extend it.
    if (blockOf(last.header, []).hash !== tip.hash) throw new Error("the hash is not the block's");
    this.feed(node, { kind: "appended", tip, validators });
    this.#offerWork(node);
  }

  #checkAgreement({ height, hash }: Tip): void {
    const decided = this.#decidedHash.get(height);
    if (decided !== undefined && decided !== hash) throw new Error(`fork at ${height}`);
    this.#decidedHash.set(height, hash);
  }

  #offerWork(node: SimNode): void {
    if (node.ledger.hasWork(this.#clockOf(node)))
      this.feed(node, { kind: "work", height: node.ledger.tip.height + 1 });
  }

  #forward(node: SimNode, validator: PublicKey): void {
    for (const to of this.nodes)
      if (to.key === validator && to.up && this.groups[to.index] === this.groups[node.index])
        for (const text of node.ledger.pending) if (isAdmitted(text)) this.submit(text, [to.index]);
  }

  /** Fetches blocks one by one from reachable nodes; each is verified by its certificate. */
  #sync(node: SimNode): void {
    for (const peer of this.nodes) {
      if (!peer.up || this.groups[peer.index] !== this.groups[node.index]) continue;
      while (peer.ledger.tip.height > node.ledger.tip.height) {
        const next = peer.ledger.decided[node.ledger.tip.height];
        if (next === undefined) throw new Error("the chain of a peer has a hole");
        node.ledger.append(next);
        this.#appended(node);
      }
    }
  }

  #poll(node: SimNode): void {
    this.#later(node, 500, () => {
      if (this.#options.statusPolls !== false) this.#sync(node);
      this.#offerWork(node);
      this.#poll(node);
    });
  }

  /** What is under way when a node crashes never happens. */
  #later(node: SimNode, delayMs: number, run: () => void): void {
    const { life } = node;
    this.#clock.schedule(delayMs, () => {
      if (node.up && node.life === life) run();
    });
  }
}

/** Admission refuses what no honest node may hold or include. */
function isAdmitted(text: string): boolean {
  return !text.startsWith("bad");
}

/**
 * One run of Twins: real consensus cores, everything around them as cheap as can be. Signatures are
 * texts that say what was signed by whom, block hashes are names, records stay in memory. What real
 * ones bind is tested elsewhere; here only what the cores do with them matters.
 *
 * A run can be cloned at the moment when it first needs a partition, so scenarios that begin alike
 * share their beginning (explore.ts).
 *
 * The network passes a message within the partition of its round, which is its sender's. It is
 * whole from round `setup.rounds` on, and for all rounds once nothing but sending again goes on:
 * with less than a quorum together in a round above 0, rounds rest (docs/CONSENSUS.md).
 */
import type { Block } from "../../../src/base/format/block.ts";
import type { Certificate, Claim, ConsensusMessage } from "../../../src/base/format/message.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { limits } from "../../../src/base/limits.ts";
import { freshSchedule } from "../../../src/base/proposer-schedule.ts";
import type { ConsensusEvent, Effect, Tip } from "../../../src/consensus/event.ts";
import { messageOf } from "../../../src/consensus/signing.ts";
import { type ConsensusState, initialState } from "../../../src/consensus/state.ts";
import { step } from "../../../src/consensus/step.ts";
import { checkClaim, checkDecision } from "./checker.ts";
import { type Decided, fakeBlock, fakeSign } from "./fakes.ts";
import { instanceKeys, passes, placeCount, placeOf, type TwinsSetup } from "./scenario.ts";

type SignEffect = Extract<Effect, { kind: "sign" }>;

/** What is to happen at an instance. */
type Happening =
  | { readonly kind: "event"; readonly event: ConsensusEvent }
  | { readonly kind: "send"; readonly message: ConsensusMessage }
  | { readonly kind: "signed"; readonly effect: SignEffect }
  | { readonly kind: "append"; readonly block: Block; readonly certificate: Certificate }
  /** Asks all in reach for the block of height 1. */
  | { readonly kind: "fetch" }
  | { readonly kind: "timer"; readonly id: number; readonly event: ConsensusEvent }
  | { readonly kind: "resend"; readonly id: number };

type Scheduled = {
  readonly atMs: number;
  readonly index: number;
  readonly happening: Happening;
};

/** Sees each effect and event of a run that is replayed. */
export type Observer = (line: {
  readonly atMs: number;
  readonly index: number;
  readonly what: Effect | ConsensusEvent;
}) => void;

/** Delays in virtual milliseconds. Any would do: they fix the order of what happens together. */
const delayMs = { message: 10, sign: 1, build: 3, check: 3, append: 2, fetch: 20 };
/** Where virtual clocks begin; instances differ, or twins could propose equal blocks. */
const clockStartMs = 1_000_000;
const clockOffsetsMs = [0, 700, -1_300, 2_100, 40, -600, 1_500];
/** Of virtual time: five rounds take 15 s, and whoever has not decided by now never will. */
export const runMsMax = 40_000;

/** A run between two happenings. */
export class TwinsRun {
  readonly setup: TwinsSetup;
  readonly keys: readonly string[];
  /** By place (`placeOf`); may stay open until a message meets it. */
  readonly partitions: (number | undefined)[];
  readonly cores: ConsensusState[];
  readonly decided: (Decided | undefined)[];
  /** Claims of each instance, in order. */
  readonly claims: (readonly Claim[])[];
  nowMs = 0;
  /** Since when the whole network is one, for messages of all rounds. */
  healedMs: number | undefined;
  /** Sees what happens, for a replay; clones go without. */
  observe: Observer | undefined;
  #queue: Scheduled[] = [];
  #first = 0;
  readonly #timers: (number | undefined)[];
  readonly #resends: (number | undefined)[];
  #lastId = 0;
  /** When an instance last signed something or entered another phase. */
  #movedMs = 0;

  constructor(setup: TwinsSetup, from?: TwinsRun) {
    this.setup = setup;
    this.keys = from?.keys ?? instanceKeys(setup);
    this.partitions = from?.partitions.slice() ?? new Array(placeCount(setup)).fill(undefined);
    this.cores = from?.cores.slice() ?? this.keys.map((self) => newCore(setup, self));
    this.decided = from?.decided.slice() ?? this.keys.map(() => undefined);
    this.claims = from?.claims.slice() ?? this.keys.map(() => []);
    this.#timers = from ? from.#timers.slice() : this.keys.map(() => undefined);
    this.#resends = from ? from.#resends.slice() : this.keys.map(() => undefined);
    if (from === undefined) {
      for (const index of this.keys.keys()) this.#feed(index, { kind: "work", height: 1 });
      return;
    }
    this.nowMs = from.nowMs;
    this.healedMs = from.healedMs;
    this.#queue = from.#queue.slice(from.#first);
    this.#lastId = from.#lastId;
    this.#movedMs = from.#movedMs;
  }

  /** Returns a run that goes its own way from here. */
  clone(): TwinsRun {
    return new TwinsRun(this.setup, this);
  }

  /** Instances whose key runs once. */
  get honest(): readonly number[] {
    return [...this.keys.keys()].filter((index) => !this.isTwin(index));
  }

  /** Tells whether an instance is one of two with its key. */
  isTwin(index: number): boolean {
    return this.setup.twins.includes(index) || index >= this.setup.validators;
  }

  /**
   * Runs until all honest instances decided, or nobody may expect it any more.
   *
   * @returns The place whose partition must be set first, `undefined` when the run is over.
   * @throws {Error} when something unsafe happened.
   */
  advance(): number | undefined {
    for (;;) {
      const next = this.#queue[this.#first];
      if (next === undefined || next.atMs > runMsMax || this.#isOver()) return undefined;
      const open = this.#openPlace(next);
      if (open !== undefined) return open;
      this.#first += 1;
      this.nowMs = next.atMs;
      this.#happen(next.index, next.happening);
    }
  }

  #isOver(): boolean {
    for (let index = 0; index < this.keys.length; index += 1)
      if (this.decided[index] === undefined && !this.isTwin(index)) return false;
    return true;
  }

  #openPlace({ index, happening }: Scheduled): number | undefined {
    const place = this.#placeMet(index, happening);
    const isOpen = place !== undefined && place < this.partitions.length;
    return isOpen && this.partitions[place] === undefined ? place : undefined;
  }

  /** Place of the partition that a happening meets; none once the network is one. */
  #placeMet(index: number, happening: Happening): number | undefined {
    if (this.healedMs !== undefined) return undefined;
    switch (happening.kind) {
      case "send":
        return placeOf(this.setup, happening.message);
      case "signed":
        return placeOf(this.setup, happening.effect.claim);
      case "fetch":
        return this.#placeOfFetch(index);
      default:
        return undefined;
    }
  }

  /** Blocks are fetched where round changes pass: it is then that a node is behind. */
  #placeOfFetch(index: number): number {
    const { round } = this.cores[index] as ConsensusState;
    return placeOf(this.setup, { kind: "roundChange", round });
  }

  #happen(index: number, happening: Happening): void {
    switch (happening.kind) {
      case "event":
        this.#feed(index, happening.event);
        return;
      case "send":
        this.#broadcast(index, happening.message);
        return;
      case "signed":
        this.#signed(index, happening.effect);
        return;
      case "append":
        this.#append(index, happening);
        return;
      case "fetch":
        this.#fetch(index);
        return;
      case "timer":
        if (this.#timers[index] === happening.id) this.#feed(index, happening.event);
        return;
      case "resend":
        if (this.#resends[index] === happening.id) this.#tick(index, happening.id);
        return;
    }
  }

  /** The partitions end once everybody sent again, twice, and nothing moved. */
  #tick(index: number, id: number): void {
    const isResting = this.nowMs - this.#movedMs > 2 * limits.resendMs && !this.#isTimerRunning();
    if (isResting) this.healedMs ??= this.nowMs;
    this.#later(index, limits.resendMs, { kind: "resend", id });
    this.#feed(index, { kind: "resend" });
    // Who is behind asks the others for their tips every second, too.
    const isBehind = this.decided[index] === undefined && this.decided.some(Boolean);
    if (isBehind) this.#later(index, delayMs.fetch, { kind: "fetch" });
  }

  #isTimerRunning(): boolean {
    return this.cores.some((core) => core.timer !== undefined);
  }

  #feed(index: number, event: ConsensusEvent): void {
    this.observe?.({ atMs: this.nowMs, index, what: event });
    const before = this.cores[index] as ConsensusState;
    const { state, effects } = step(before, event);
    this.cores[index] = state;
    if (state.phase !== before.phase || state.round !== before.round) this.#movedMs = this.nowMs;
    for (const effect of effects) this.#perform(index, effect);
  }

  #perform(index: number, effect: Effect): void {
    this.observe?.({ atMs: this.nowMs, index, what: effect });
    switch (effect.kind) {
      case "sign":
        this.#sign(index, effect);
        return;
      case "send":
        this.#later(index, 0, { kind: "send", message: effect.message });
        return;
      case "buildBlock":
      case "checkBlock":
        this.#answer(index, effect);
        return;
      case "startTimer":
        this.#startTimer(index, effect);
        return;
      case "stopTimer":
        this.#timers[index] = undefined;
        return;
      case "startResend":
        this.#resends[index] = ++this.#lastId;
        this.#later(index, limits.resendMs, { kind: "resend", id: this.#lastId });
        return;
      case "stopResend":
        this.#resends[index] = undefined;
        return;
      case "decide":
        this.#later(index, delayMs.append, { ...effect, kind: "append" });
        return;
      case "catchUp":
        this.#later(index, delayMs.fetch, { kind: "fetch" });
        return;
      case "forwardTransactions":
        // Each instance has its own pending transactions, which is what makes blocks differ.
        return;
    }
  }

  #sign(index: number, effect: SignEffect): void {
    const before = this.claims[index] as readonly Claim[];
    if (!this.isTwin(index)) checkClaim(before, effect.claim);
    this.claims[index] = [...before, effect.claim];
    this.#movedMs = this.nowMs;
    this.#later(index, delayMs.sign, { kind: "signed", effect });
  }

  #signed(index: number, { claim, attachments }: SignEffect): void {
    const validator = this.keys[index] as string;
    const message = messageOf(claim, attachments, {
      validator,
      signature: fakeSign(claim, validator),
    });
    this.#broadcast(index, message);
    this.#feed(index, { kind: "signed", message });
  }

  #broadcast(from: number, message: ConsensusMessage): void {
    const event = { kind: "message", message } as const;
    for (let to = 0; to < this.keys.length; to += 1)
      if (to !== from && this.#reaches(placeOf(this.setup, message), from, to))
        this.#later(to, delayMs.message, { kind: "event", event });
  }

  #reaches(place: number, from: number, to: number): boolean {
    if (this.healedMs !== undefined || place >= this.partitions.length) return true;
    return passes(this.setup.cut, this.partitions[place] as number, { from, to });
  }

  #answer(index: number, effect: Extract<Effect, { kind: "buildBlock" | "checkBlock" }>): void {
    const { height, round } = effect;
    const core = this.cores[index] as ConsensusState;
    if (effect.kind === "buildBlock") {
      if (height > 1) throw new Error("an idle instance makes a block");
      const block = fakeBlock(core, index, this.#clockMs(index));
      const event = { kind: "built", height, round, block } as const;
      this.#later(index, delayMs.build, { kind: "event", event });
      return;
    }
    const { header, hash } = effect.block;
    const ageMs = this.#clockMs(index) - header.timestampMs;
    const isNow = ageMs <= limits.proposalPastMsMax && -ageMs <= limits.proposalFutureMsMax;
    const valid = header.parentHash === zeroHash && (isNow || !effect.fresh);
    const event = { kind: "checked", height, round, blockHash: hash, valid } as const;
    this.#later(index, delayMs.check, { kind: "event", event });
  }

  #clockMs(index: number): number {
    return clockStartMs + this.nowMs + (clockOffsetsMs[index % clockOffsetsMs.length] as number);
  }

  #startTimer(index: number, effect: Extract<Effect, { kind: "startTimer" }>): void {
    const { height, round, durationMs } = effect;
    const id = ++this.#lastId;
    this.#timers[index] = id;
    this.#later(index, durationMs, {
      kind: "timer",
      id,
      event: { kind: "timeout", height, round },
    });
  }

  #fetch(index: number): void {
    const place = this.#placeOfFetch(index);
    const from = this.decided.findIndex(
      (decided, other) => decided !== undefined && this.#reaches(place, other, index),
    );
    const decided = this.decided[from];
    if (decided !== undefined) this.#append(index, decided);
  }

  #append(index: number, { block, certificate }: Pick<Decided, "block" | "certificate">): void {
    if (this.decided[index] !== undefined) return;
    this.decided[index] = { block, certificate, atMs: this.nowMs };
    if (!this.isTwin(index)) checkDecision(this, index);
    const { validators } = this.cores[index] as ConsensusState;
    const { proposers } = freshSchedule(2, validators, block.header.proposer);
    const tip: Tip = { height: 1, hash: block.hash, proposers };
    this.#feed(index, { kind: "appended", tip, validators });
  }

  #later(index: number, inMs: number, happening: Happening): void {
    const atMs = this.nowMs + inMs;
    // Times mostly ascend, so the place is near the end.
    let place = this.#queue.length;
    while (place > this.#first && (this.#queue[place - 1] as Scheduled).atMs > atMs) place -= 1;
    const scheduled = { atMs, index, happening };
    if (place === this.#queue.length) this.#queue.push(scheduled);
    else this.#queue.splice(place, 0, scheduled);
  }
}

function newCore(setup: TwinsSetup, self: string): ConsensusState {
  const validators = instanceKeys(setup).slice(0, setup.validators);
  const { proposers } = freshSchedule(1, validators, zeroHash);
  return initialState({ self, tip: { height: 0, hash: zeroHash, proposers }, validators });
}

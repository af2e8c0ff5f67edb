/**
 * The shell of the consensus core: feeds it events one at a time and carries out its effects.
 *
 * It keeps the duties that `src/consensus/event.ts` lists. It decides nothing itself.
 *
 * Invariants:
 *
 * (1) `step` never runs twice at once; the effects of one step are performed in order before the
 *     next event is taken (slow ones answer by an event of their own).
 * (2) No signature exists before the record that covers it is on disk.
 * (3) After a node fault nothing is signed any more; `status.halted` says why.
 */
import { LedgerError } from "../base/errors.ts";
import type { Block } from "../base/format/block.ts";
import {
  type Certificate,
  claimMessage,
  decodeMessage,
  encodeMessage,
} from "../base/format/message.ts";
import { encodeSigningRecord, type SigningRecord } from "../base/format/signing-record.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey, Signer, Verifier } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/log.ts";
import type { ConsensusEvent, Effect } from "../consensus/event.ts";
import { isForeignUseOfKey, messageOf } from "../consensus/signing.ts";
import { type ConsensusState, initialState, positions } from "../consensus/state.ts";
import { step } from "../consensus/step.ts";
import { verifyMessage } from "./verify-message.ts";

type SignEffect = Extract<Effect, { kind: "sign" }>;

/** What the driver needs of the ledger. */
export interface ConsensusLedger {
  readonly chainId: Hash;
  readonly tip: { readonly height: number; readonly hash: Hash };
  tipProposer(): PublicKey;
  validators(): readonly PublicKey[];
  hasWork(nowMs: number): boolean;
  buildBlock(options: { proposer: PublicKey; nowMs: number }): Promise<Block | undefined>;
  checkBlock(block: Block, options: { fresh: boolean; nowMs: number }): Promise<void>;
}

/** What the driver is made of. */
export type DriverParts = {
  readonly ledger: ConsensusLedger;
  /** `undefined` for a node that follows without voting. */
  readonly signer: Signer | undefined;
  readonly record: SigningRecord | undefined;
  /** The record is lost: nothing is signed before `resumeSigningAbove`. */
  readonly isRecordLost: boolean;
  writeRecord(bytes: Uint8Array): Promise<void>;
  broadcast(bytes: Uint8Array): void;
  forwardTransactions(validator: PublicKey): void;
  /** Appends a decided block; `appended` must be called when it is on disk. */
  decide(block: Block, certificate: Certificate): Promise<void>;
  catchUp(): void;
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly log: Log;
  readonly blockIntervalMs: number;
};

/** A validator as this node last heard of it. */
export type ValidatorPosition = {
  readonly validator: PublicKey;
  readonly height: number | undefined;
  readonly round: number | undefined;
  readonly lastSeenMs: number | undefined;
};

/** Consensus as the API shows it. */
export type ConsensusStatus = {
  readonly height: number;
  readonly round: number;
  readonly phase: string;
  readonly validators: readonly ValidatorPosition[];
  /** Why this node signs no more, if so. */
  readonly halted: string | undefined;
};

/** How often the driver looks whether there is work that nobody announced (heartbeat). */
const workPollMs = 250;

/** Runs the core against the real world. */
export class ConsensusDriver {
  readonly #parts: DriverParts;
  readonly #events: ConsensusEvent[] = [];
  /** Own messages of the step under way: they come before all that waits. */
  readonly #signed: ConsensusEvent[] = [];
  readonly #lastSeenMs = new Map<PublicKey, number>();
  #state: ConsensusState;
  #draining: Promise<void> | undefined;
  #roundTimer: NodeJS.Timeout | undefined;
  #resendTimer: NodeJS.Timeout | undefined;
  #workTimer: NodeJS.Timeout | undefined;
  #lastAppendMs = 0;
  #halted: string | undefined;
  #stopped = false;

  constructor(parts: DriverParts) {
    this.#parts = parts;
    this.#state = initialState({
      self: parts.signer?.publicKey,
      tip: this.#tip(),
      validators: parts.ledger.validators(),
      abstainThroughHeight: parts.isRecordLost ? Number.MAX_SAFE_INTEGER : -1,
    });
  }

  /** True while nothing is signed because it is not known what was signed before. */
  get isAbstaining(): boolean {
    return this.#state.height <= this.#state.abstainThroughHeight;
  }

  /** True as long as `resumeSigningAbove` is to be called. */
  get awaitsTip(): boolean {
    return this.#state.abstainThroughHeight === Number.MAX_SAFE_INTEGER;
  }

  /** Ends the abstention that a lost record demands: heights above may be signed again. */
  resumeSigningAbove(height: number): void {
    this.#state = { ...this.#state, abstainThroughHeight: height };
    this.#parts.log.warn({ height }, "signing record was lost; this node votes again above height");
  }

  /** Starts with what was signed before the restart. */
  start(): void {
    const { record } = this.#parts;
    if (record !== undefined) this.#feed({ kind: "restored", record });
    this.#workTimer = setInterval(() => this.noteWork(), workPollMs);
    this.noteWork();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#roundTimer);
    clearInterval(this.#resendTimer);
    clearInterval(this.#workTimer);
    await this.#draining;
  }

  get status(): ConsensusStatus {
    const { height, round, phase } = this.#state;
    const validators = positions(this.#state).map(({ validator, position }) => ({
      validator,
      height: position?.height,
      round: position?.round,
      lastSeenMs: this.#lastSeenMs.get(validator),
    }));
    return { height, round, phase, validators, halted: this.#halted };
  }

  /** Takes bytes that a member sent. @throws {LedgerError} when they are malformed. */
  receive(bytes: Uint8Array): void {
    const message = decodeMessage(bytes);
    // Signatures of decided heights are not worth the time of a check; a validator that is still
    // there catches up from peers' status.
    if (message.height < this.#state.height && message.kind !== "roundChange") return;
    const { ledger, verifier } = this.#parts;
    const { chainId } = ledger;
    const context = { chainId, verifier, validators: this.#state.validators };
    if (!verifyMessage(message, context))
      throw new LedgerError("CONSENSUS_SIGNATURE_INVALID", {
        validator: message.validator,
        height: message.height,
      });
    if (isForeignUseOfKey(this.#state, message) && !this.#parts.isRecordLost) {
      this.halt("another process signs with the validator key of this node");
      return;
    }
    this.#lastSeenMs.set(message.validator, this.#parts.clock.nowMs());
    this.#feed({ kind: "message", message });
  }

  /** Looks whether something could be decided now. */
  noteWork(): void {
    if (this.#parts.ledger.hasWork(this.#parts.clock.nowMs()))
      this.#feed({ kind: "work", height: this.#state.height });
  }

  /** Tells the core that the ledger grew, by a decision or by catching up. */
  noteAppended(): void {
    this.#lastAppendMs = performance.now();
    const validators = this.#parts.ledger.validators();
    this.#feed({ kind: "appended", tip: this.#tip(), validators });
    this.noteWork();
  }

  /** Stops signing for good and says why. */
  halt(reason: string): void {
    if (this.#halted !== undefined) return;
    this.#halted = reason;
    this.#parts.log.error({ reason }, "this node votes no more");
  }

  #tip() {
    const { ledger } = this.#parts;
    return { height: ledger.tip.height, hash: ledger.tip.hash, proposer: ledger.tipProposer() };
  }

  #feed(event: ConsensusEvent): void {
    if (this.#stopped || this.#halted !== undefined) return;
    this.#events.push(event);
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = undefined;
    });
  }

  async #drain(): Promise<void> {
    // Yields once, so that `#draining` is set before the first effect may feed again.
    await undefined;
    for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) {
      if (this.#stopped || this.#halted !== undefined) return;
      const { state, effects } = step(this.#state, event);
      this.#state = state;
      await this.#performAll(effects);
    }
  }

  async #performAll(effects: readonly Effect[]): Promise<void> {
    const signs = effects.filter((effect) => effect.kind === "sign");
    // One write covers them all: the last record contains the claims before it.
    const last = signs.at(-1);
    if (last !== undefined && !(await this.#persist(last.record))) return;
    for (const effect of effects) this.#perform(effect);
    this.#events.unshift(...this.#signed.splice(0));
  }

  async #persist(record: SigningRecord): Promise<boolean> {
    try {
      await this.#parts.writeRecord(encodeSigningRecord(record));
      return true;
    } catch (error) {
      this.halt(`the signing record cannot be written: ${String(error)}`);
      return false;
    }
  }

  #perform(effect: Effect): void {
    const parts = this.#parts;
    switch (effect.kind) {
      case "sign":
        this.#sign(effect);
        break;
      case "send":
        parts.broadcast(encodeMessage(effect.message));
        break;
      case "startTimer":
        this.#startTimer(effect);
        break;
      case "stopTimer":
        clearTimeout(this.#roundTimer);
        break;
      case "startResend":
        clearInterval(this.#resendTimer);
        this.#resendTimer = setInterval(() => this.#feed({ kind: "resend" }), limits.resendMs);
        break;
      case "stopResend":
        clearInterval(this.#resendTimer);
        break;
      case "forwardTransactions":
        parts.forwardTransactions(effect.validator);
        break;
      case "catchUp":
        parts.catchUp();
        break;
      case "assist":
        // Nothing to send: a node that is behind asks its peers for their tips every second.
        break;
      default:
        this.#performSlowly(effect);
    }
  }

  #performSlowly(effect: Extract<Effect, { kind: "buildBlock" | "checkBlock" | "decide" }>): void {
    const task =
      effect.kind === "buildBlock"
        ? this.#build(effect)
        : effect.kind === "checkBlock"
          ? this.#check(effect)
          : this.#parts.decide(effect.block, effect.certificate);
    task.catch((error: unknown) => this.halt(String(error)));
  }

  #sign({ claim, attachments }: SignEffect): void {
    const { signer, ledger } = this.#parts;
    if (signer === undefined) return;
    const signature = signer.sign(claimMessage(claim, ledger.chainId));
    const signed = { validator: signer.publicKey, signature };
    const message = messageOf(claim, attachments, signed);
    this.#parts.broadcast(encodeMessage(message));
    this.#signed.push({ kind: "signed", message });
  }

  #startTimer({ height, round, durationMs }: Extract<Effect, { kind: "startTimer" }>): void {
    clearTimeout(this.#roundTimer);
    this.#roundTimer = setTimeout(() => this.#feed({ kind: "timeout", height, round }), durationMs);
  }

  async #build({ height, round }: { height: number; round: number }): Promise<void> {
    const { ledger, signer, clock, blockIntervalMs } = this.#parts;
    if (signer === undefined) return;
    const waitMs = this.#lastAppendMs + blockIntervalMs - performance.now();
    // A short wait lets more transactions share the cost of a block.
    if (round === 0 && waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    if (this.#stopped || height !== ledger.tip.height + 1) return;
    const block = await ledger.buildBlock({ proposer: signer.publicKey, nowMs: clock.nowMs() });
    this.#feed({ kind: "built", height, round, block });
  }

  async #check(effect: Extract<Effect, { kind: "checkBlock" }>): Promise<void> {
    const { height, round, block, fresh } = effect;
    const valid = await this.#isValid(block, fresh);
    this.#feed({ kind: "checked", height, round, blockHash: block.hash, valid });
  }

  async #isValid(block: Block, fresh: boolean): Promise<boolean> {
    const { ledger, clock, log } = this.#parts;
    try {
      await ledger.checkBlock(block, { fresh, nowMs: clock.nowMs() });
      return true;
    } catch (error) {
      if (!(error instanceof LedgerError) || error.code === "CONTRACT_NODE_FAULT") throw error;
      log.warn({ code: error.code, facts: error.facts }, "proposed block is invalid");
      return false;
    }
  }
}

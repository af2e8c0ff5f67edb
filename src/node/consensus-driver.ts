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
 * (4) An event that was fed is taken, whenever it came: none waits for the next one.
 * (5) What waits is bounded for each validator (pending-events.ts).
 * (6) Nothing is done before the start, nor before a peer could be heard for `listenMs`.
 */
import { AssertionError } from "../base/assert.ts";
import { type Certificate, claimMessage, encodeMessage } from "../base/format/message.ts";
import {
  encodeSigningRecord,
  type SigningRecord,
  signingLimit,
} from "../base/format/signing-record.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import { faultyMax } from "../base/proof/certificate.ts";
import type { ConsensusEvent, Effect } from "../consensus/event.ts";
import { messageOf } from "../consensus/signing.ts";
import { type ConsensusState, initialState, positions } from "../consensus/state.ts";
import { step } from "../consensus/step.ts";
import { isBlockValid } from "./block-judgement.ts";
import { surface } from "./crash.ts";
import type { ConsensusStatus, DriverParts } from "./driver-types.ts";
import { isKeyInCertificate } from "./key-guard.ts";
import { MessageReception } from "./message-reception.ts";
import { isOwnFault, isPassing } from "./own-fault.ts";
import { PendingEvents } from "./pending-events.ts";
import { type Cancel, realTimers, type Timers } from "./timers.ts";
import { ValidatorWatch } from "./validator-watch.ts";

const keyUsedElsewhere = "another process signs with the validator key of this node";

type SignEffect = Extract<Effect, { kind: "sign" }>;

/** How often the driver looks whether there is work that nobody announced (heartbeat). */
const workPollMs = 250;

/** Runs the core against the real world. */
export class ConsensusDriver {
  readonly #parts: DriverParts;
  readonly #events = new PendingEvents();
  /** Own messages of the step under way: they come before all that waits. */
  readonly #signed: ConsensusEvent[] = [];
  readonly #watch = new ValidatorWatch();
  readonly #reception: MessageReception;
  /** Slow effects under way. */
  readonly #tasks = new Set<Promise<void>>();
  #state: ConsensusState;
  #draining: Promise<void> | undefined;
  readonly #timers: Timers;
  #stopRoundTimer: Cancel = () => {};
  #stopResending: Cancel = () => {};
  #stopWorkTimer: Cancel = () => {};
  #stopListening: Cancel = () => {};
  #isStarted = false;
  #isListening = true;
  #isHearing = false;
  #isResuming = false;
  #lastAppendMs = 0;
  #workSinceMs: number | undefined;
  #halted: string | undefined;
  #stopped = false;

  constructor(parts: DriverParts) {
    this.#parts = parts;
    this.#timers = parts.timers ?? realTimers;
    this.#reception = new MessageReception(parts, this.#watch, () => this.halt(keyUsedElsewhere));
    this.#state = initialState({
      self: parts.signer?.publicKey,
      tip: this.#tip(),
      validators: parts.ledger.validators(),
      abstainThroughHeight: parts.isRecordLost ? Number.MAX_SAFE_INTEGER : -1,
    });
  }

  /** True while nothing is signed because it is not known what was signed before. */
  get isAbstaining(): boolean {
    const { height, abstainThroughHeight } = this.#state;
    const record = this.#lastRecord;
    const isLimited = record?.claims.length === 0 && height < record.height;
    return height <= abstainThroughHeight || isLimited;
  }

  /** Until the node has listened, the record found at start waits to be restored. */
  get #lastRecord(): SigningRecord | undefined {
    return this.#state.record ?? this.#parts.record;
  }

  /** True as long as `resumeSigningAbove` is to be called. */
  get awaitsTip(): boolean {
    return !this.#isResuming && this.#state.abstainThroughHeight === Number.MAX_SAFE_INTEGER;
  }

  /**
   * Ends the abstention that a lost record demands: heights above may be signed again. That is on
   * disk first, so that it need not be learnt again after a restart.
   */
  resumeSigningAbove(height: number): void {
    this.#isResuming = true;
    this.#track(this.#resume(signingLimit(height + 1)));
  }

  async #resume(limit: SigningRecord): Promise<void> {
    // Damage left an older record whole: where it goes as far, it says more.
    const former = this.#lastRecord;
    const record = former !== undefined && former.height >= limit.height ? former : limit;
    await this.#persist(record);
    if (!this.#isRunning) return;
    const height = limit.height - 1;
    this.#state = { ...this.#state, abstainThroughHeight: height, record };
    this.#parts.log.warn({ height }, "signing record was lost; this node votes again above height");
  }

  /** Starts with what was signed before the restart, once it has listened for a while. */
  start(): void {
    const { record, listenMs } = this.#parts;
    this.#isStarted = true;
    this.#isListening = listenMs > 0;
    if (record !== undefined) this.#feed({ kind: "restored", record });
    this.#stopWorkTimer = this.#timers.every(workPollMs, () => this.noteWork());
    this.noteWork();
  }

  /** A peer can be heard from now on: the time of listening begins, unless it did before. */
  listen(): void {
    if (!this.#isStarted || this.#isHearing) return;
    this.#isHearing = true;
    this.#stopListening = this.#timers.after(this.#parts.listenMs, () => {
      this.#isListening = false;
      this.#wake();
    });
  }

  /** Ends; what is under way has ended, too, when this returns. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopRoundTimer();
    this.#stopListening();
    this.#stopResending();
    this.#stopWorkTimer();
    await this.#draining;
    await Promise.all(this.#tasks);
  }

  get status(): ConsensusStatus {
    const { height, round, phase } = this.#state;
    const record = this.#lastRecord;
    const { ledger } = this.#parts;
    const validators = positions(this.#state).map(({ validator, position }) => ({
      validator,
      height: position?.height,
      round: position?.round,
      ...this.#watch.of(validator),
    }));
    const isAhead = record !== undefined && record.claims.length > 0 && record.height > height;
    return {
      // A halted core stays where it was, but the ledger goes on.
      height: Math.max(height, ledger.tip.height + 1),
      round,
      phase,
      validators,
      halted: this.#halted,
      waitingMs: this.#workSinceMs === undefined ? 0 : this.#timers.nowMs() - this.#workSinceMs,
      clockOffsetMs: this.#watch.offsetMs(faultyMax(validators.length)),
      votesFromHeight: isAhead ? record.height : undefined,
    };
  }

  /** State of the core, for tests that watch it. */
  get core(): ConsensusState {
    return this.#state;
  }

  /** Bytes of messages that wait for their turn, for metrics and tests. */
  get waitingBytes(): number {
    return this.#events.waitingBytes;
  }

  /** Takes bytes that a member sent. @throws {LedgerError} when they are malformed. */
  receive(bytes: Uint8Array): void {
    const message = this.#reception.take(bytes, this.#state);
    if (message === undefined || !this.#isRunning) return;
    if (this.#events.addMessage(message, bytes.length)) this.#wake();
  }

  /** Looks whether something could be decided now. */
  noteWork(): void {
    this.#watch.setClock(this.#state.validators, this.#parts);
    const hasWork = this.#parts.ledger.hasWork(this.#parts.clock.nowMs());
    this.#workSinceMs = hasWork ? (this.#workSinceMs ?? this.#timers.nowMs()) : undefined;
    // The height after a block whose `appended` may wait still, before this, to be taken.
    if (hasWork) this.#feed({ kind: "work", height: this.#parts.ledger.tip.height + 1 });
  }

  /** Looks at who signed an appended block, with the validators of its height. */
  noteCertificate(certificate: Certificate, validators: readonly PublicKey[]): void {
    this.#watch.noteCertificate(certificate, validators);
    if (isKeyInCertificate(this.#state, certificate, { ...this.#parts, validators }))
      this.halt(keyUsedElsewhere);
  }

  /** Tells the core that the ledger grew, by a decision or by catching up. */
  noteAppended(): void {
    this.#lastAppendMs = this.#timers.nowMs();
    this.#workSinceMs = undefined;
    const validators = this.#parts.ledger.validators();
    this.#feed({ kind: "appended", tip: this.#tip(), validators });
    this.noteWork();
  }

  /** Stops signing for good and says why. */
  halt(reason: string): void {
    if (!this.#isRunning) return;
    this.#halted = reason;
    this.#parts.log.error({ reason }, "this node votes no more");
  }

  #tip() {
    const { ledger } = this.#parts;
    return { height: ledger.tip.height, hash: ledger.tip.hash, proposers: ledger.proposers() };
  }

  get #isRunning(): boolean {
    return !this.#stopped && this.#halted === undefined;
  }

  #feed(event: ConsensusEvent): void {
    if (!this.#isRunning) return;
    this.#events.add(event);
    this.#wake();
  }

  #wake(): void {
    if (!this.#isListening && this.#isRunning) this.#draining ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // Yields once, so that `#draining` is set before the first effect may feed again.
    await undefined;
    try {
      while (this.#isRunning) {
        const event = this.#events.take();
        if (event === undefined) return;
        const { state, effects } = step(this.#state, event);
        this.#state = state;
        await this.#performAll(effects);
      }
    } finally {
      // Right after the last look, not a microtask later: what is fed next starts a new drain.
      this.#draining = undefined;
    }
  }

  async #performAll(effects: readonly Effect[]): Promise<void> {
    const signs = effects.filter((effect) => effect.kind === "sign");
    // One write covers them all: the last record contains the claims before it.
    const last = signs.at(-1);
    if (last !== undefined) await this.#persist(last.record);
    // The write takes time, in which a fault may have been found or the node been told to stop.
    if (!this.#isRunning) return;
    for (const effect of effects) this.#perform(effect);
    this.#events.addFirst(this.#signed.splice(0));
  }

  async #persist(record: SigningRecord): Promise<void> {
    try {
      await this.#parts.writeRecord(encodeSigningRecord(record));
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      this.halt(`the signing record cannot be written: ${String(error)}`);
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
        this.#stopRoundTimer();
        break;
      case "startResend":
        this.#stopResending();
        this.#stopResending = this.#timers.every(limits.resendMs, () =>
          this.#feed({ kind: "resend" }),
        );
        break;
      case "stopResend":
        this.#stopResending();
        break;
      case "forwardTransactions":
        parts.forwardTransactions(effect.validator);
        break;
      case "catchUp":
        parts.catchUp();
        break;
      default:
        this.#performSlowly(effect);
    }
  }

  #performSlowly(effect: Extract<Effect, { kind: "buildBlock" | "checkBlock" | "decide" }>): void {
    const work =
      effect.kind === "buildBlock"
        ? this.#build(effect)
        : effect.kind === "checkBlock"
          ? this.#check(effect)
          : this.#decide(effect);
    this.#track(work);
  }

  /** Has the node stop for what such work throws, and wait for it when it ends. */
  #track(work: Promise<void>): void {
    const task = work
      .catch((error: unknown) => {
        if (error instanceof AssertionError) surface(error);
        else if (!isPassing(error)) this.halt(String(error));
        else if (this.#isRunning)
          this.#parts.log.warn({ error: String(error) }, "a step of consensus was not done");
      })
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  async #decide({ block, certificate }: Extract<Effect, { kind: "decide" }>): Promise<void> {
    try {
      await this.#parts.decide(block, certificate);
    } catch (error) {
      if (isOwnFault(error)) throw error;
      // The certificate stands, only the block came to us garbled: the peers have it whole.
      this.#parts.log.warn(
        { error: String(error) },
        "decided block not as certified; asking peers",
      );
      this.#parts.catchUp();
    }
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
    this.#stopRoundTimer();
    this.#stopRoundTimer = this.#timers.after(durationMs, () =>
      this.#feed({ kind: "timeout", height, round }),
    );
  }

  async #build({ height, round }: { height: number; round: number }): Promise<void> {
    const { ledger, signer, clock, blockIntervalMs } = this.#parts;
    if (signer === undefined) return;
    const waitMs = this.#lastAppendMs + blockIntervalMs - this.#timers.nowMs();
    // A short wait lets more transactions share the cost of a block.
    if (round === 0 && waitMs > 0)
      await new Promise<void>((resolve) => this.#timers.after(waitMs, resolve));
    if (this.#stopped || height !== ledger.tip.height + 1) return;
    const block = await ledger.buildBlock({ proposer: signer.publicKey, nowMs: clock.nowMs() });
    // A peer brought the block of this height while this one waited for its turn.
    if (block !== undefined && block.header.height !== height) return;
    this.#feed({ kind: "built", height, round, block });
  }

  async #check(effect: Extract<Effect, { kind: "checkBlock" }>): Promise<void> {
    const { height, round, block, fresh } = effect;
    const valid = await isBlockValid(this.#parts, block, fresh);
    this.#feed({ kind: "checked", height, round, blockHash: block.hash, valid });
  }
}

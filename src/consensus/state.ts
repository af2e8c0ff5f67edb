/**
 * The state of the consensus core: immutable plain data, replaced by every step.
 *
 * Everything in it is bounded: votes by validators x rounds in the window, round changes by one a
 * validator, old blocks by count, messages of the next height by four a validator.
 */
import { assert } from "../base/assert.ts";
import type { Block } from "../base/format/block.ts";
import type { ConsensusMessage, RoundChangeMessage, VoteMessage } from "../base/format/message.ts";
import type { PreparedCertificate, SigningRecord } from "../base/format/signing-record.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Effect, Step, Tip } from "./event.ts";

/**
 * Part of a round. `proposing`: no proposal accepted yet, also while idle. `preparing`: one is.
 * `committing`: a quorum prepared it. `decided`: `decide` went out, `appended` is awaited.
 */
export type Phase = "proposing" | "preparing" | "committing" | "decided";

/** The proposal accepted in the current round: the first justified one. */
type AcceptedProposal = {
  readonly block: Block;
  /** `undefined` while the shell checks it. An invalid one is never prepared. */
  readonly valid: boolean | undefined;
};

/** Votes of one round, the first one of each validator. */
export type RoundVotes = {
  readonly prepares: ReadonlyMap<PublicKey, VoteMessage>;
  readonly commits: ReadonlyMap<PublicKey, VoteMessage>;
};

/** Height and round a validator was last seen at. */
export type Position = { readonly height: number; readonly round: number };

/** The timer that runs, milliseconds from its start. */
export type RoundTimer = Position & { readonly durationMs: number };

/** All the core knows. */
export type ConsensusState = {
  /** This node's validator key; `undefined` for an observer. */
  readonly self: PublicKey | undefined;
  /** Nothing is signed at or below this height (record lost); -1 when there is no such limit. */
  readonly abstainThroughHeight: number;
  readonly tip: Tip;
  /** `tip.height + 1`, the height under decision. */
  readonly height: number;
  /** Validators of `height`, sorted ascending. */
  readonly validators: readonly PublicKey[];
  readonly round: number;
  readonly phase: Phase;
  /** There is something to decide at this height, so the timer runs. */
  readonly work: boolean;
  /** Whether a block was asked for in this round, and whether there was none. */
  readonly build: "none" | "asked" | "empty";
  /** The quorum of round changes that justifies the block asked for. */
  readonly justification: readonly RoundChangeMessage[];
  readonly proposal: AcceptedProposal | undefined;
  /** Highest prepared certificate of this height. */
  readonly prepared: PreparedCertificate | undefined;
  readonly votes: ReadonlyMap<number, RoundVotes>;
  /** Round change of the highest round of each validator, without a limit of distance. */
  readonly roundChanges: ReadonlyMap<PublicKey, RoundChangeMessage>;
  /** Blocks of former rounds, newest first: commits of those rounds may still come. */
  readonly blocks: readonly Block[];
  /** Own messages of the current round, as sent, for sending again. */
  readonly own: readonly ConsensusMessage[];
  /** What was signed last (or handed to the shell for it). */
  readonly record: SigningRecord | undefined;
  readonly seen: ReadonlyMap<PublicKey, Position>;
  /** Messages for `height + 1`, by kind and validator. */
  readonly future: ReadonlyMap<string, ConsensusMessage>;
  readonly timer: RoundTimer | undefined;
  readonly resending: boolean;
  /** Height of the last `catchUp`. */
  readonly catchUpHeight: number;
};

/** What a core starts with. */
export type ConsensusOptions = {
  readonly self: PublicKey | undefined;
  readonly tip: Tip;
  /** Validators of the height after the tip, sorted ascending. */
  readonly validators: readonly PublicKey[];
  /** Set when the signing record is lost: certified tip of a quorum of others, plus 2. */
  readonly abstainThroughHeight?: number;
};

/** Makes the state a node starts with. Feed `restored` next if there is a signing record. */
export function initialState(options: ConsensusOptions): ConsensusState {
  const { self, tip, validators, abstainThroughHeight = -1 } = options;
  checkValidators(validators, tip);
  return {
    self,
    abstainThroughHeight,
    ...heightState(tip, validators),
    record: undefined,
    seen: new Map(),
    future: new Map(),
    timer: undefined,
    resending: false,
    catchUpHeight: 0,
  };
}

/** The part of the state that begins anew with each height. */
export function heightState(tip: Tip, validators: readonly PublicKey[]) {
  return {
    tip,
    height: tip.height + 1,
    validators,
    round: 0,
    phase: "proposing" as const,
    work: false,
    build: "none" as const,
    justification: [],
    proposal: undefined,
    prepared: undefined,
    votes: new Map<number, RoundVotes>(),
    roundChanges: new Map<PublicKey, RoundChangeMessage>(),
    blocks: [],
    own: [],
  };
}

/** Checks what the shell says the validators are. @throws {AssertionError} */
export function checkValidators(validators: readonly PublicKey[], tip: Tip): void {
  assert(validators.length > 0, "there is at least one validator");
  assert(
    validators.every((key, index) => index === 0 || (validators[index - 1] as string) < key),
    "validators are sorted and distinct",
  );
  const proposers = [...tip.proposers].sort();
  assert(
    proposers.length === validators.length &&
      proposers.every((key, index) => key === validators[index]),
    "every validator proposes in its turn",
  );
}

/** A step that changes nothing. */
export function unchanged(state: ConsensusState): Step<ConsensusState> {
  return { state, effects: [] };
}

/** Runs `next` on the outcome of a step and joins the effects. */
export function andThen(
  step: Step<ConsensusState>,
  next: (state: ConsensusState) => Step<ConsensusState>,
): Step<ConsensusState> {
  const { state, effects } = next(step.state);
  return { state, effects: [...step.effects, ...effects] };
}

/** A step with one effect. */
export function withEffect(state: ConsensusState, effect: Effect): Step<ConsensusState> {
  return { state, effects: [effect] };
}

/**
 * Returns where each validator was last seen, for the status table of the API.
 *
 * @returns One row a validator, in their order; `undefined` for one not heard of since start.
 */
export function positions(
  state: ConsensusState,
): readonly { readonly validator: PublicKey; readonly position: Position | undefined }[] {
  const { self, height, round } = state;
  return state.validators.map((validator) => ({
    validator,
    position: validator === self ? { height, round } : state.seen.get(validator),
  }));
}

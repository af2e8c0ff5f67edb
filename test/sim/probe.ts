/**
 * One core driven by hand, and messages of other validators made to measure. Height 1 throughout,
 * so the proposer of round r is the validator of index r modulo the count.
 */
import type { Block } from "../../src/base/format/block.ts";
import type {
  ConsensusMessage,
  ProposalMessage,
  RoundChangeMessage,
  VoteMessage,
} from "../../src/base/format/message.ts";
import type { PreparedCertificate } from "../../src/base/format/signing-record.ts";
import type { ConsensusEvent, Effect } from "../../src/consensus/event.ts";
import { messageOf } from "../../src/consensus/signing.ts";
import {
  type ConsensusOptions,
  type ConsensusState,
  initialState,
} from "../../src/consensus/state.ts";
import { step } from "../../src/consensus/step.ts";
import { claimOnly, keyOf, signedBy } from "./fake-keys.ts";
import { FakeLedger, nextBlock, simStartMs } from "./fake-ledger.ts";

type EffectOf<K extends Effect["kind"]> = Extract<Effect, { kind: K }>;

/** Keys of `count` validators. */
export const keysOf = (count: number) => Array.from({ length: count }, (_, index) => keyOf(index));

/** Who proposes after a block of a validator of four, in order of rounds. */
export const proposersAfter = (index: number) =>
  keysOf(4).map((_, round) => keyOf((index + 1 + round) % 4));

/** The genesis block of `count` validators. */
export const genesisOf = (count: number): Block => new FakeLedger(() => keysOf(count), 1e12).last;

/** A block of height 1. */
export function blockBy(proposer: number, text: string, count = 4): Block {
  const fields = {
    timestampMs: simStartMs + 10,
    proposer: keyOf(proposer),
    validatorsAt: () => keysOf(count),
  };
  return nextBlock(genesisOf(count), [text], fields);
}

/** A vote of a validator. */
export function voteOf(
  kind: "prepare" | "commit",
  validator: number,
  at: { readonly round: number; readonly block: Block; readonly height?: number },
): VoteMessage {
  const { round, block, height = 1 } = at;
  return signedBy(keyOf(validator), { kind, height, round, blockHash: block.hash });
}

/** Prepares of some validators, as a certificate. */
export function preparedBy(
  validators: readonly number[],
  round: number,
  block: Block,
): PreparedCertificate {
  return { round, block, prepares: validators.map((v) => voteOf("prepare", v, { round, block })) };
}

/** A round change of a validator. */
export function roundChangeOf(
  validator: number,
  round: number,
  prepared?: PreparedCertificate,
  height = 1,
): RoundChangeMessage {
  const claim = {
    kind: "roundChange",
    height,
    round,
    prepared: prepared && { round: prepared.round, blockHash: prepared.block.hash },
  } as const;
  const { block: preparedBlock, prepares } = prepared ?? { block: undefined, prepares: [] };
  return { ...signedBy(keyOf(validator), claim), preparedBlock, prepares };
}

/** A proposal of a validator. */
export function proposalOf(
  validator: number,
  round: number,
  block: Block,
  justification: {
    readonly roundChanges?: readonly RoundChangeMessage[];
    readonly prepares?: readonly VoteMessage[];
    readonly height?: number;
  } = {},
): ProposalMessage {
  const { roundChanges = [], prepares = [], height = 1 } = justification;
  const claim = { kind: "proposal", height, round, blockHash: block.hash } as const;
  const signed = signedBy(keyOf(validator), claim);
  return { ...signed, block, roundChanges: roundChanges.map(claimOnly), prepares };
}

/** A core and everything it asked for. */
export class Probe {
  state: ConsensusState;
  /** Effects of all steps. */
  readonly all: Effect[] = [];
  /** Effects of the last step. */
  last: readonly Effect[] = [];

  #answered = 0;

  constructor(count: number, self: number | undefined, options: Partial<ConsensusOptions> = {}) {
    const { hash } = genesisOf(count);
    const tip = { height: 0, hash, proposers: keysOf(count) };
    const key = self === undefined ? undefined : keyOf(self);
    this.state = initialState({ self: key, tip, validators: keysOf(count), ...options });
  }

  feed(event: ConsensusEvent): this {
    const { state, effects } = step(this.state, event);
    this.state = state;
    this.last = effects;
    this.all.push(...effects);
    return this;
  }

  hear(...messages: readonly ConsensusMessage[]): this {
    for (const message of messages) this.feed({ kind: "message", message });
    return this;
  }

  /** Answers the pending check of the accepted proposal. */
  check(valid = true): this {
    const asked = this.all.findLast((effect) => effect.kind === "checkBlock");
    if (asked?.kind !== "checkBlock") throw new Error("no check was asked for");
    const { height, round, block } = asked;
    return this.feed({ kind: "checked", height, round, blockHash: block.hash, valid });
  }

  /** Answers every `sign` not yet answered, and those that follow from the answers. */
  signAll(): this {
    for (let sign = this.#nextSign(); sign !== undefined; sign = this.#nextSign()) {
      this.#answered += 1;
      const { validator, signature } = signedBy(this.state.self as string, sign.claim);
      const message = messageOf(sign.claim, sign.attachments, { validator, signature });
      this.feed({ kind: "signed", message });
    }
    return this;
  }

  timeout(): this {
    const { height, round } = this.state;
    return this.feed({ kind: "timeout", height, round });
  }

  /** Effects of one kind, of all steps. */
  of<K extends Effect["kind"]>(kind: K): EffectOf<K>[] {
    return this.all.filter((effect): effect is EffectOf<K> => effect.kind === kind);
  }

  /** Kinds and rounds of all claims handed out for signing, such as `prepare 0`. */
  signed(): string[] {
    return this.of("sign").map(({ claim }) => `${claim.kind} ${claim.round}`);
  }

  #nextSign(): EffectOf<"sign"> | undefined {
    return this.of("sign")[this.#answered];
  }
}

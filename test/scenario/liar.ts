/**
 * Messages that a script makes up for a validator: signed rightly by its key, with whatever it
 * likes inside. What a proposal or round change needs to be justified is taken from all that the
 * nodes and liars of the scenario signed so far, unless the script says otherwise.
 */
import type { Block } from "../../src/base/format/block.ts";
import type {
  ConsensusMessage,
  ProposalMessage,
  RoundChangeMessage,
  VoteMessage,
} from "../../src/base/format/message.ts";
import type { Hash } from "../../src/base/hash.ts";
import { claimOnly, keyOf, signedBy, simChainId } from "../sim/fake-keys.ts";
import { indexOf } from "./block-names.ts";

/** What a script wants said. */
export type Statement = {
  readonly validator: number;
  readonly kind: string;
  readonly height: number;
  readonly round: number;
  readonly block: Block | undefined;
  readonly prepared: { readonly round: number; readonly block: Block } | undefined;
  /** Validators whose round changes go along; `undefined` for all that are known. */
  readonly changes: readonly number[] | undefined;
  /** Validators whose prepares go along; `undefined` for all that are known. */
  readonly prepares: readonly number[] | undefined;
  readonly chainId: Hash | undefined;
};

/** All that was signed, by anybody. */
export class Sayings {
  readonly #all: ConsensusMessage[] = [];

  /** Notes a message. */
  add(message: ConsensusMessage): void {
    this.#all.push(message);
  }

  /** Finds the last message of a validator in a slot. @throws {Error} when there is none. */
  find(kind: string, at: { height: number; round: number }, validator: number): ConsensusMessage {
    const found = this.#in(at).findLast(
      (message) => message.kind === kind && message.validator === keyOf(validator),
    );
    if (found === undefined)
      throw new Error(`${validator} signed no ${kind} ${at.height}/${at.round}`);
    return found;
  }

  /** Makes the message of a statement, and notes it. */
  say(statement: Statement): ConsensusMessage {
    const message = this.#make(statement);
    this.add(message);
    return message;
  }

  #make(statement: Statement): ConsensusMessage {
    const { kind, height, round, block } = statement;
    if (kind === "roundChange") return this.#roundChange(statement);
    if (block === undefined) throw new Error(`a ${kind} needs a block`);
    const blockHash = block.hash;
    if (kind === "proposal") return this.#proposal(statement, block);
    if (kind !== "prepare" && kind !== "commit") throw new Error(`no message ${kind}`);
    return this.#sign(statement, { kind, height, round, blockHash });
  }

  #roundChange(statement: Statement): RoundChangeMessage {
    const { height, round, prepared } = statement;
    const reported = prepared && { round: prepared.round, blockHash: prepared.block.hash };
    const claim = { kind: "roundChange", height, round, prepared: reported } as const;
    const at = prepared && { height, round: prepared.round };
    const prepares = at ? this.#prepares(at, prepared.block, statement.prepares) : [];
    return { ...this.#sign(statement, claim), preparedBlock: prepared?.block, prepares };
  }

  #proposal(statement: Statement, block: Block): ProposalMessage {
    const { height, round } = statement;
    const claim = { kind: "proposal", height, round, blockHash: block.hash } as const;
    const changes = this.#roundChanges({ height, round }, statement.changes);
    const rounds = changes.flatMap(({ prepared }) => (prepared ? [prepared.round] : []));
    const highest = { height, round: Math.max(...rounds, 0) };
    const isFresh = rounds.length === 0 && statement.prepares === undefined;
    const prepares = isFresh ? [] : this.#prepares(highest, block, statement.prepares);
    const roundChanges = changes.map(claimOnly);
    return { ...this.#sign(statement, claim), block, roundChanges, prepares };
  }

  #roundChanges(
    at: { height: number; round: number },
    wanted: readonly number[] | undefined,
  ): RoundChangeMessage[] {
    const found = this.#in(at).filter(({ kind }) => kind === "roundChange");
    return lastOfEach(found as RoundChangeMessage[], wanted);
  }

  #prepares(
    at: { height: number; round: number },
    block: Block,
    wanted: readonly number[] | undefined,
  ): VoteMessage[] {
    const found = this.#in(at).filter(
      (message) => message.kind === "prepare" && message.blockHash === block.hash,
    );
    return lastOfEach(found as VoteMessage[], wanted);
  }

  #in({ height, round }: { height: number; round: number }): ConsensusMessage[] {
    return this.#all.filter((message) => message.height === height && message.round === round);
  }

  #sign<C extends Parameters<typeof signedBy>[1]>({ validator, chainId }: Statement, claim: C) {
    return signedBy(keyOf(validator), claim, chainId ?? simChainId);
  }
}

/** One message a validator, in the order of their numbers. A number given twice counts twice. */
function lastOfEach<M extends ConsensusMessage>(
  messages: readonly M[],
  wanted: readonly number[] | undefined,
): M[] {
  const last = new Map(messages.map((message) => [indexOf(message.validator), message]));
  const numbers = wanted ?? [...last.keys()].sort((left, right) => left - right);
  return numbers.map((number) => {
    const message = last.get(number);
    if (message === undefined) throw new Error(`${number} signed nothing of this kind`);
    return message;
  });
}

/**
 * Checks that a recorded run of real consensus cores is a behaviour of the model: every claim an
 * honest node signs must be a move that the rules of the model allow, given the messages that this
 * node had received and what it had signed before; every decision must rest on commits that it had
 * received; every appended block on commits that were signed by somebody.
 *
 * Each height is a new instance of the model. What a node forgets in a crash the checker keeps, so
 * it allows a little more than the node could know, and never less. Signing the same claim again
 * is no move. Messages of liars count like all others: whoever signed them.
 */
import type { Block } from "../../src/base/format/block.ts";
import type { Certificate, Claim, ConsensusMessage } from "../../src/base/format/message.ts";
import { firstOrder, nextOrder, type Order } from "./proposer-order.ts";
import { afterClaim, hasCommits, isSamePrepared, whyNot } from "./rules.ts";
import { addClaims } from "./state.ts";
import {
  emptyPool,
  type ModelClaim,
  newOwn,
  type Own,
  type Pool,
  type Protocol,
  protocolOf,
  textOf,
} from "./types.ts";

/** What the checker must know of an appended block. */
type AppendedBlock = {
  readonly hash: string;
  readonly header: { readonly height: number; readonly proposer: string };
};

/** One step of a recorded run; `node` is any name that stays the same over restarts. */
export type TraceEntry =
  /** A message with valid signatures reached the core. */
  | { readonly kind: "receive"; readonly node: number; readonly message: ConsensusMessage }
  /** The core wants a claim signed; with the block, if it has it. */
  | {
      readonly kind: "sign";
      readonly node: number;
      readonly validator: string;
      readonly claim: Claim;
      readonly block: Block | undefined;
    }
  /** An own claim was signed and may be sent. */
  | { readonly kind: "send"; readonly node: number; readonly message: ConsensusMessage }
  | { readonly kind: "decide"; readonly node: number; readonly certificate: Certificate }
  | {
      readonly kind: "append";
      readonly node: number;
      readonly block: AppendedBlock;
      /** Validators of the next height, sorted ascending. */
      readonly validators: readonly string[];
      /** What proves it, if the run tells. */
      readonly certificate?: Certificate;
    };

/** Who took part in a recorded run. */
export type TraceSetting = {
  /** Of height 1, sorted ascending. */
  readonly validators: readonly string[];
  /** Nodes whose claims are not checked. */
  readonly liars?: readonly number[];
  /** Keys of liars: they sign much that nobody records. */
  readonly liarKeys?: readonly string[];
};

/** How much a checked run contained. */
export type TraceCounts = Record<ModelClaim["kind"] | "decide" | "append", number>;

/** Honest nodes do not get there; liars' rounds beyond count as this one. */
const roundMax = 4_096;

/** One height. */
type Instance = {
  readonly order: Order;
  readonly protocol: Protocol;
  /** Block hashes; a value is the place in this list. */
  readonly values: string[];
  readonly authors: Map<number, number>;
  readonly owns: Map<number, Own>;
  /** Claims signed by each node, as text. */
  readonly signed: Map<number, Set<string>>;
  readonly received: Map<number, Pool>;
  /** All that was signed. */
  readonly everything: Pool;
};

/**
 * Checks a run.
 *
 * @returns How much was checked: a run without claims proves nothing.
 * @throws {Error} naming the first step that the model does not allow, and why.
 */
export function checkTrace(setting: TraceSetting, trace: Iterable<TraceEntry>): TraceCounts {
  const checker = new TraceChecker(setting);
  for (const entry of trace) checker.take(entry);
  return checker.counts;
}

/** Checks a run step by step. */
export class TraceChecker {
  readonly counts: TraceCounts = {
    roundChange: 0,
    proposal: 0,
    prepare: 0,
    commit: 0,
    decide: 0,
    append: 0,
  };
  readonly #liars: ReadonlySet<number>;
  readonly #liarKeys: ReadonlySet<string>;
  readonly #instances = new Map<number, Instance>();
  /** Messages of heights whose validators are not known yet. */
  readonly #early = new Map<number, TraceEntry[]>();
  readonly #decided = new Map<number, string>();
  #taken = 0;

  constructor({ validators, liars = [], liarKeys = [] }: TraceSetting) {
    this.#liars = new Set(liars);
    this.#liarKeys = new Set(liarKeys);
    this.#instances.set(1, newInstance(firstOrder(validators)));
  }

  /** Takes the next step. @throws {Error} when the model does not allow it. */
  take(entry: TraceEntry): void {
    this.#taken += 1;
    try {
      this.#dispatch(entry);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`step ${this.#taken}, node ${entry.node}: ${reason}`, { cause: error });
    }
  }

  #dispatch(entry: TraceEntry): void {
    switch (entry.kind) {
      case "receive":
      case "send":
        this.#learn(entry);
        return;
      case "sign":
        if (!this.#liars.has(entry.node)) this.#onSign(entry);
        return;
      case "decide":
        if (!this.#liars.has(entry.node)) this.#onDecide(entry);
        return;
      case "append":
        if (!this.#liars.has(entry.node)) this.#onAppend(entry);
    }
  }

  #learn(entry: Extract<TraceEntry, { kind: "receive" | "send" }>): void {
    const { height } = entry.message;
    const instance = this.#instances.get(height);
    if (instance === undefined) {
      this.#early.set(height, [...(this.#early.get(height) ?? []), entry]);
      return;
    }
    for (const pool of [poolOfNode(instance, entry.node), instance.everything])
      learnMessage(instance, pool, entry.message);
  }

  #onSign({ node, validator, claim, block }: Extract<TraceEntry, { kind: "sign" }>): void {
    const instance = this.#instanceAt(claim.height);
    const { order, protocol } = instance;
    const index = order.validators.indexOf(validator);
    if (index < 0) throw new Error("it signs and is no validator");
    if (claim.round > roundMax) throw new Error(`round ${claim.round} is out of all proportion`);
    if (block !== undefined) learnAuthor(instance, block);
    const modelClaim = modelClaimOf(instance, claim);
    const signed = instance.signed.get(node) ?? new Set();
    instance.signed.set(node, signed);
    const text = textOf(modelClaim);
    if (signed.has(text)) return;
    const own = instance.owns.get(node) ?? newOwn(index);
    const pool = poolOfNode(instance, node);
    const reason = whyNot(protocol, pool, own, modelClaim);
    if (reason !== undefined) throw new Error(`${text} at height ${claim.height}: ${reason}`);
    // A proposer votes for its own proposal at once; its votes count once they may be sent.
    if (claim.kind === "proposal") addClaims(pool, [modelClaim], index);
    signed.add(text);
    instance.owns.set(node, afterClaim(own, modelClaim));
    this.counts[claim.kind] += 1;
  }

  #onDecide({ node, certificate }: Extract<TraceEntry, { kind: "decide" }>): void {
    const { height, round, blockHash, signatures } = certificate;
    const instance = this.#instanceAt(height);
    const value = valueOfHash(instance, blockHash);
    const pool = poolOfNode(instance, node);
    if (!hasCommits(instance.protocol, pool, { round, value }))
      throw new Error(`it decides height ${height} in round ${round} without a quorum of commits`);
    const received = pool.commits[round]?.[value] ?? 0;
    const signers = new Set(signatures.map(({ validatorIndex }) => validatorIndex));
    if (signers.size < instance.protocol.quorum)
      throw new Error(`its certificate of height ${height} has too few signers`);
    for (const signer of signers)
      if ((received & (1 << signer)) === 0)
        throw new Error(`its certificate of height ${height} holds a commit it never had`);
    this.#agree(height, blockHash);
    this.counts.decide += 1;
  }

  #onAppend({ block, validators, certificate }: Extract<TraceEntry, { kind: "append" }>): void {
    const { height, proposer } = block.header;
    const instance = this.#instanceAt(height);
    const value = valueOfHash(instance, block.hash);
    this.#learnLies(instance, value, certificate);
    const rounds = instance.everything.commits.keys();
    const isDecided = [...rounds].some((round) =>
      hasCommits(instance.protocol, instance.everything, { round, value }),
    );
    if (!isDecided) throw new Error(`it appends height ${height}, which no quorum committed`);
    this.#agree(height, block.hash);
    this.counts.append += 1;
    if (this.#instances.has(height + 1)) return;
    const order = nextOrder(instance.order, proposer, validators);
    this.#instances.set(height + 1, newInstance(order));
    for (const early of this.#early.get(height + 1) ?? []) this.#dispatch(early);
    this.#early.delete(height + 1);
  }

  /** Liars may have committed where nobody saw it: in the certificate, or anywhere without one. */
  #learnLies(
    { order, everything }: Instance,
    value: number,
    certificate: Certificate | undefined,
  ): void {
    const rounds = certificate ? [certificate.round] : [...everything.commits.keys()];
    const signers = certificate?.signatures.map(({ validatorIndex }) => validatorIndex);
    for (const [index, key] of order.validators.entries())
      if (this.#liarKeys.has(key) && (signers?.includes(index) ?? true))
        addClaims(
          everything,
          rounds.map((round) => ({ kind: "commit", round, value })),
          index,
        );
  }

  #agree(height: number, blockHash: string): void {
    const former = this.#decided.get(height);
    if (former !== undefined && former !== blockHash) throw new Error(`a fork at height ${height}`);
    this.#decided.set(height, blockHash);
  }

  #instanceAt(height: number): Instance {
    const instance = this.#instances.get(height);
    if (instance === undefined) throw new Error(`nobody has appended height ${height - 1} yet`);
    return instance;
  }
}

function newInstance(order: Order): Instance {
  const authors = new Map<number, number>();
  const { validators } = order;
  return {
    order,
    protocol: protocolOf(validators.length, {
      proposerAt: (round) => validators.indexOf(order.order[round % validators.length] as string),
      authorOf: (value) => authors.get(value),
    }),
    values: [],
    authors,
    owns: new Map(),
    signed: new Map(),
    received: new Map(),
    everything: emptyPool(),
  };
}

function poolOfNode({ received }: Instance, node: number): Pool {
  const pool = received.get(node) ?? emptyPool();
  received.set(node, pool);
  return pool;
}

function valueOfHash({ values }: Instance, blockHash: string): number {
  const value = values.indexOf(blockHash);
  return value >= 0 ? value : values.push(blockHash) - 1;
}

function learnAuthor(instance: Instance, block: Block): void {
  const author = instance.order.validators.indexOf(block.header.proposer);
  instance.authors.set(valueOfHash(instance, block.hash), author);
}

/** Adds a message and all that is embedded in it to a pool. */
function learnMessage(instance: Instance, pool: Pool, message: ConsensusMessage): void {
  learnClaim(instance, pool, message);
  if (message.kind === "proposal") {
    learnAuthor(instance, message.block);
    for (const claim of [...message.roundChanges, ...message.prepares])
      learnClaim(instance, pool, claim);
  }
  if (message.kind === "roundChange") {
    if (message.preparedBlock !== undefined) learnAuthor(instance, message.preparedBlock);
    for (const prepare of message.prepares) learnClaim(instance, pool, prepare);
  }
}

/** Adds one signed claim of this height to a pool. */
function learnClaim(
  instance: Instance,
  pool: Pool,
  claim: Claim & { readonly validator: string },
): void {
  const { validators } = instance.order;
  const from = validators.indexOf(claim.validator);
  if (from < 0 || claim.height !== instance.order.height) return;
  const bounded = modelClaimOf(instance, { ...claim, round: Math.min(claim.round, roundMax) });
  const isKnown =
    bounded.kind === "roundChange" &&
    pool.changes[bounded.round]?.some(
      (change) => change.from === from && isSamePrepared(change.prepared, bounded.prepared),
    );
  if (!isKnown) addClaims(pool, [bounded], from);
}

function modelClaimOf(instance: Instance, claim: Claim): ModelClaim {
  const { kind, round } = claim;
  if (kind !== "roundChange") return { kind, round, value: valueOfHash(instance, claim.blockHash) };
  const { prepared } = claim;
  const value = prepared && valueOfHash(instance, prepared.blockHash);
  return {
    kind,
    round,
    prepared:
      value === undefined || prepared === undefined ? undefined : { round: prepared.round, value },
  };
}

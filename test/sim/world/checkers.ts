/**
 * What must hold of a world, checked apart from the code under test: quorums are counted, messages
 * put together and blocks executed here in ways of their own, written from the rules.
 *
 * | checker | what it finds |
 * |---|---|
 * | agreement | two blocks final at one height |
 * | certificate | too few signers, a signer twice, a signature that is not for that round and chain |
 * | validity | transactions nobody sent, twice, late; empty blocks; times; proposers out of turn |
 * | execution | receipts, totals and roots of a header that do not follow from the transactions |
 * | density | a node that skips a height, or lost one that it had acknowledged |
 * | promise | a transaction that is not where a client was told it is final |
 * | voters | a signature for a height at which its key does not vote |
 * | signing | two claims of one key for one place, or one that is not on disk when it is signed |
 * | blame | an honest node that honest nodes take for a liar |
 * | validators | a header that names other validators than the calls of the system contract lead to |
 * | equivocation | an honest validator on record for having contradicted itself |
 * | halt, memory | a core that votes no more, or keeps more than its bounds (core-watch.ts) |
 * | refusal | "the nonce is used", and it is not (refusals.ts) |
 */
import { isDeepStrictEqual } from "node:util";
import { decode } from "msgpackr";
import type { Block } from "../../../src/base/format/block.ts";
import type { GenesisBlock } from "../../../src/base/format/genesis.ts";
import type { Certificate, Claim } from "../../../src/base/format/message.ts";
import type { Receipt } from "../../../src/base/format/receipt.ts";
import { decodeTransaction, type Transaction } from "../../../src/base/format/transaction.ts";
import { hashOf } from "../../../src/base/hash.ts";
import { ChainState, headerHashOf, wrongListRoot } from "./block-bytes.ts";
import type { SimArgs } from "./chain.ts";
import { HashedState } from "./merkle.ts";
import { expectedOrder, type OrderState, orderAfter, orderAtStart } from "./order.ts";
import type { SetModel } from "./set-model.ts";
import { hashOfSet, isSignedBy, signedBytes } from "./signed-bytes.ts";
import type { ToldBlock } from "./untold.ts";

const noBytes = new Uint8Array();

/** A rule that was broken. */
export class Violation extends Error {
  readonly checker: string;

  constructor(checker: string, message: string) {
    super(`${checker}: ${message}`);
    this.checker = checker;
  }
}

/** A block that is final, with what follows from it. */
export type FinalBlock = {
  readonly block: Block;
  readonly receipts: readonly Receipt[];
  readonly ids: readonly string[];
  readonly round: number;
  /** What the model holds after it. */
  readonly totals: ReadonlyMap<string, number>;
};

/** What a client was told of a final transaction. */
export type Told = {
  readonly height: number;
  readonly index: number;
  readonly receipt?: Receipt;
};

/** The one chain that all honest nodes must have, as they bring it. */
export class Canon {
  readonly blocks: FinalBlock[] = [];
  readonly #genesis: GenesisBlock;
  readonly #sets: SetModel;
  readonly #isHonest: (validator: string) => boolean;
  readonly #heartbeatMs: number;
  /** Signed bytes that clients made, by id. */
  readonly #sent: ReadonlyMap<string, Uint8Array>;
  readonly #used = new Map<string, number>();
  readonly #nonces = new Set<string>();
  readonly #totals = new Map<string, number>();
  /** What clients were told of blocks that nobody has shown yet. */
  readonly #early = new Map<string, Told>();
  /** Of what clients were told that no block can hold it any more. */
  readonly #expired = new Set<string>();
  readonly #state: ChainState;
  #order: OrderState;

  constructor(options: {
    readonly genesis: GenesisBlock;
    readonly sets: SetModel;
    isHonest(validator: string): boolean;
    readonly heartbeatMs: number;
    readonly sent: ReadonlyMap<string, Uint8Array>;
  }) {
    this.#genesis = options.genesis;
    this.#sets = options.sets;
    this.#isHonest = options.isHonest;
    this.#heartbeatMs = options.heartbeatMs;
    this.#sent = options.sent;
    this.#order = orderAtStart(options.sets.at(1));
    this.#state = new ChainState(options.genesis.state);
    const { header } = options.genesis;
    if (this.#state.root() !== header.stateRoot || headerHashOf(header) !== options.genesis.chainId)
      throw new Violation("execution", "the genesis is not what it is hashed from");
  }

  get height(): number {
    return this.blocks.length;
  }

  /** Time of the last block. */
  get timeMs(): number {
    return (this.blocks.at(-1)?.block ?? this.#genesis).header.timestampMs;
  }

  /** Takes in a block that a node appended. @throws {Violation} */
  take({ block, certificate, receipts }: ToldBlock, nowMs: number): void {
    const { height } = block.header;
    this.checkCertificate(block, certificate);
    const known = this.blocks[height - 1];
    if (headerHashOf(block.header) !== block.hash)
      throw new Violation("validity", `${height} has the hash of another header`);
    if (known !== undefined) {
      if (known.block.hash !== block.hash) throw new Violation("agreement", `fork at ${height}`);
      checkSameContent(known, { block, receipts });
      return;
    }
    if (height !== this.height + 1) throw new Violation("density", `${height} comes too early`);
    const transactions = block.transactions.map(decodeTransaction);
    this.#checkHeader(block, certificate.round, nowMs);
    this.#checkTransactions(block, transactions);
    this.#execute(block, transactions, receipts);
    this.#checkRoots(block, transactions, receipts);
    this.#checkSets(block);
    this.#order = orderAfter(this.#order, block.header.proposer, this.#sets.at(height + 1));
    const ids = transactions.map(({ id }) => id);
    const totals = new Map(this.#totals);
    this.blocks.push({ block, receipts, ids, round: certificate.round, totals });
    for (const [id, told] of this.#early) this.checkPromise(id, told);
  }

  /**
   * Checks what a client was told. A node may find a transaction on its disk a moment before it
   * says that it has appended the block; such a promise waits for that.
   *
   * @throws {Violation}
   */
  checkPromise(id: string, told: Told): void {
    const final = this.blocks[told.height - 1];
    if (final === undefined) {
      this.#early.set(id, told);
      return;
    }
    this.#early.delete(id);
    const where = `${id.slice(0, 8)} at ${told.height}/${told.index}`;
    if (final.ids[told.index] !== id) throw new Violation("promise", `${where} is not there`);
    const { receipt } = told;
    if (receipt === undefined) return;
    if (JSON.stringify(receipt) !== JSON.stringify(final.receipts[told.index]))
      throw new Violation("promise", `${where} has another receipt`);
  }

  /**
   * Notes that a client was told of a transaction that no block can hold any more.
   *
   * @param tipMs - Time of the last block of who said so.
   * @throws {Violation}
   */
  noteExpired({ id, expiresAtMs }: Transaction, tipMs: number): void {
    this.#expired.add(id);
    if (this.#used.has(id)) throw new Violation("promise", `${id.slice(0, 8)} is not dropped`);
    if (expiresAtMs > tipMs + 1)
      throw new Violation("promise", `${id.slice(0, 8)} is dropped, and a block could hold it`);
  }

  /** Nonces of a sender that are used. */
  noncesOf(sender: string): ReadonlySet<number> {
    return this.#state.noncesOf(sender);
  }

  /** Checks that all came true of which nodes spoke before others. @throws {Violation} */
  checkNoneEarly(): void {
    for (const [id, { height }] of this.#early)
      throw new Violation("promise", `${id.slice(0, 8)} at ${height} never came`);
  }

  /** Checks the state after the last block. @throws {Violation} */
  checkState(entries: readonly (readonly [key: string, value: string])[]): void {
    const { header } = (this.blocks.at(-1) as FinalBlock).block;
    if (new HashedState(entries).root() !== header.stateRoot)
      throw new Violation("execution", "the state has another root than its header");
    const totals = entries.filter(([key]) => key.startsWith("sim/total/"));
    const expected = [...this.#totals].map(([key, total]) => [`sim/total/${key}`, String(total)]);
    if (JSON.stringify(totals) !== JSON.stringify(expected.sort()))
      throw new Violation("execution", "the totals are not those of the transactions");
    const tables = /^system\/(member|candidate|ready|validators)\//;
    const rows = entries.map(([key]) => key).filter((key) => tables.test(key));
    if (rows.join() !== this.#sets.expectedKeys().join())
      throw new Violation("validators", `the tables of members hold ${rows.join(" ")}`);
  }

  /** Height of the final block that holds a transaction. */
  heightOf(id: string): number | undefined {
    return this.#used.get(id);
  }

  /** Tells whether a transaction is in a final block. */
  isFinal(id: string): boolean {
    return this.#used.has(id);
  }

  #checkRoots(
    block: Block,
    transactions: readonly Transaction[],
    receipts: readonly Receipt[],
  ): void {
    const { height, stateRoot, gasUsed } = block.header;
    const fail = (field: string): never => {
      throw new Violation("execution", `${height}: ${field} does not follow from the block`);
    };
    const wrong = wrongListRoot(block, receipts);
    if (wrong !== undefined) fail(wrong);
    this.#state.apply(transactions, receipts);
    if (this.#state.root() !== stateRoot) fail("stateRoot");
    if (receipts.reduce((sum, receipt) => sum + receipt.gasUsed, 0) !== gasUsed) fail("gasUsed");
  }

  #checkSets({ header }: Block): void {
    const { height, validatorsHash, nextValidatorsHash } = header;
    if (validatorsHash !== hashOfSet(this.#sets.at(height)))
      throw new Violation("validators", `${height} is of other validators`);
    if (nextValidatorsHash !== hashOfSet(this.#sets.at(height + 1)))
      throw new Violation("validators", `${height} leads to other validators`);
    const wronged = this.#sets.reported.find((key) => this.#isHonest(key));
    if (wronged !== undefined)
      throw new Violation("equivocation", `${height}: ${wronged.slice(0, 8)} is honest`);
  }

  /** Counts a certificate, wherever it was kept. @throws {Violation} */
  checkCertificate(block: Pick<Block, "header" | "hash">, certificate: Certificate): void {
    const { height } = block.header;
    const { round, blockHash, signatures } = certificate;
    const fail = (reason: string): never => {
      throw new Violation("certificate", `of ${height}: ${reason}`);
    };
    if (certificate.height !== height || blockHash !== block.hash) fail("it is for another block");
    const validators = this.#sets.at(height);
    const signers = new Set<number>();
    const commit = { kind: "commit", height, round, blockHash } as const;
    const message = signedBytes(this.#genesis.chainId, commit);
    for (const { validatorIndex, signature } of signatures) {
      const key = validators[validatorIndex] ?? "nobody";
      if (!isSignedBy(key, message, signature))
        fail(`the signature of ${validatorIndex} does not hold`);
      signers.add(validatorIndex);
    }
    // ceil(2n/3), which the rules show to be equal to the formula of the product.
    if (3 * signers.size < 2 * validators.length) fail(`only ${signers.size} signers`);
    if (signers.size !== signatures.length) fail("a signer counts twice");
  }

  #checkHeader(block: Block, round: number, nowMs: number): void {
    const { header, transactions } = block;
    const { height, timestampMs, proposer, parentHash } = header;
    const fail = (reason: string): never => {
      throw new Violation("validity", `${height}: ${reason}`);
    };
    const parent = this.blocks.at(-1)?.block ?? {
      hash: this.#genesis.chainId,
      header: this.#genesis.header,
    };
    const gapMs = timestampMs - parent.header.timestampMs;
    if (parentHash !== parent.hash) fail("it has another parent");
    if (header.chainId !== this.#genesis.chainId) fail("it is of another chain");
    if (gapMs <= 0) fail("its time is not above its parent's");
    // Honest clocks are up to 1.2 s off (a jump makes a node faulty), slewing adds some.
    if (timestampMs > nowMs + 8_000) fail("its time is in the future");
    if (transactions.length === 0 && gapMs < this.#heartbeatMs) fail("it is empty");
    const place = expectedOrder(this.#order).indexOf(proposer);
    if (place < 0) fail("its proposer is no validator");
    // Proposed in the round of its proposer's turn, decided in that or a later one.
    if (place > round) fail(`its proposer has its turn in round ${place}, not ${round}`);
  }

  #checkTransactions(block: Block, transactions: readonly Transaction[]): void {
    const { height, timestampMs } = block.header;
    for (const { id, sender, nonce, expiresAtMs, bytes } of transactions) {
      const fail = (reason: string): never => {
        throw new Violation("validity", `${height}: transaction ${id.slice(0, 8)} ${reason}`);
      };
      const sent = this.#sent.get(id);
      if (sent === undefined || !Buffer.from(sent).equals(bytes)) fail("was sent by nobody");
      if (this.#used.has(id)) fail("is executed twice");
      if (this.#nonces.has(`${sender}/${nonce}`)) fail("uses a nonce twice");
      if (expiresAtMs <= timestampMs) fail("has expired");
      if (this.#expired.has(id)) fail("was dropped before");
      this.#used.set(id, height);
      this.#nonces.add(`${sender}/${nonce}`);
    }
  }

  #execute(block: Block, transactions: readonly Transaction[], receipts: readonly Receipt[]): void {
    const { height } = block.header;
    if (receipts.length !== transactions.length)
      throw new Violation("execution", `${height}: a receipt is missing`);
    for (const [index, transaction] of transactions.entries()) {
      const { id, contract, method, argsJson } = transaction;
      if (contract === "system") {
        this.#executeCall(block, transaction, receipts[index] as Receipt);
        continue;
      }
      const { key, amount } = JSON.parse(argsJson) as SimArgs;
      const total = (this.#totals.get(key) ?? 0) + amount;
      if (method === "add") this.#totals.set(key, total);
      if (method === "forget") this.#totals.delete(key);
      const value = method === "add" ? hashOf(Buffer.from(String(total))) : undefined;
      const isOk = method !== "refuse";
      const expected = {
        id,
        outcome: isOk ? "ok" : "SIM_REFUSED",
        changes: isOk ? [[`sim/total/${key}`, value ?? null]] : [],
      };
      const receipt = receipts[index] as Receipt;
      const actual = {
        id: receipt.transactionId,
        outcome: receipt.outcome,
        changes: receipt.changes.map(({ key: of, valueHash }) => [of, valueHash ?? null]),
      };
      if (JSON.stringify(actual) !== JSON.stringify(expected))
        throw new Violation("execution", `${height}: receipt ${index} is another one`);
    }
  }

  #executeCall({ header }: Block, transaction: Transaction, receipt: Receipt): void {
    const { height, timestampMs: timeMs } = header;
    const { id, method, sender } = transaction;
    if (!this.#sets.isSender(sender))
      throw new Violation("validity", `${height}: ${method} by a key that may not send it`);
    const outcome = this.#sets.execute(transaction, { height, timeMs });
    if (receipt.transactionId !== id || receipt.outcome !== outcome)
      throw new Violation("execution", `${height}: ${method}: ${receipt.outcome}, not ${outcome}`);
  }
}

/** Holds what another node has of a height against the first. @throws {Violation} */
function checkSameContent(known: Pick<FinalBlock, "block" | "receipts">, own: typeof known): void {
  const { height } = known.block.header;
  const list = ({ block }: typeof known) => block.transactions;
  const isSame =
    list(known).length === list(own).length &&
    list(known).every((bytes, index) => Buffer.compare(bytes, list(own)[index] ?? noBytes) === 0);
  if (!isSame) throw new Violation("agreement", `two lists of transactions at ${height}`);
  if (!isDeepStrictEqual(known.receipts, own.receipts))
    throw new Violation("execution", `two lists of receipts at ${height}`);
}

/** Returns the state of a reader, all of it. */
export function entriesOfState(state: {
  range(range: {
    from: string;
    to: string;
    reverse: boolean;
    limit: number;
  }): readonly (readonly [string, string])[];
}): readonly (readonly [string, string])[] {
  return state.range({ from: "", to: "~", reverse: false, limit: 100_000 });
}

/** Reads what a claim is signed over back. @throws {Violation} when it is not of that form. */
export function readClaim(message: Uint8Array, chainId: string): Claim {
  const bytes = Buffer.from(message);
  const tag = bytes.subarray(0, bytes.indexOf(0)).toString().replace("loopledger/v0/", "");
  const fields = decode(bytes.subarray(bytes.indexOf(0) + 1)) as unknown[];
  const [, height, round] = fields as [unknown, number, number];
  const hex = (field: unknown) => Buffer.from(field as Uint8Array).toString("hex");
  const kind = tag as "proposal" | "prepare" | "commit";
  const preparedOf = ([, , , preparedRound, blockHash]: readonly unknown[]) =>
    preparedRound === null
      ? undefined
      : { round: preparedRound as number, blockHash: hex(blockHash) };
  const claim: Claim =
    tag === "round-change"
      ? { kind: "roundChange", height, round, prepared: preparedOf(fields) }
      : { kind, height, round, blockHash: hex(fields[3]) };
  if (!signedBytes(chainId, claim).equals(bytes))
    throw new Violation("signing", `a ${tag} is signed over other bytes than the rules say`);
  return claim;
}

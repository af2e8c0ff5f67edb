/**
 * What must hold of a world, checked apart from the code under test: quorums are counted, messages
 * put together and blocks executed here in ways of their own, written from the rules.
 *
 * | checker | what it finds |
 * |---|---|
 * | agreement | two blocks final at one height |
 * | certificate | too few signers, a signer twice, a signature that is not for that round and chain |
 * | validity | transactions nobody sent, twice, late; empty blocks; times; proposers out of turn |
 * | execution | receipts, totals and state root that do not follow from the transactions |
 * | density | a node that skips a height, or lost one that it had acknowledged |
 * | promise | a transaction that is not where a client was told it is final |
 * | signing | two claims of one key for one place, or one that is not on disk when it is signed |
 * | blame | an honest node that honest nodes take for a liar |
 * | memory | a core that keeps more than its bounds |
 */
import { createHash } from "node:crypto";
import { decode } from "msgpackr";
import type { Block } from "../../../src/base/format/block.ts";
import type { GenesisBlock } from "../../../src/base/format/genesis.ts";
import type { Certificate, Claim } from "../../../src/base/format/message.ts";
import type { Receipt } from "../../../src/base/format/receipt.ts";
import { type SigningRecord, sameClaim } from "../../../src/base/format/signing-record.ts";
import { decodeTransaction, type Transaction } from "../../../src/base/format/transaction.ts";
import { hashOf } from "../../../src/base/hash.ts";
import { stateRootOf } from "../../../src/base/proof/state-proof.ts";
import type { ConsensusState } from "../../../src/consensus/state.ts";
import type { Appended } from "../../../src/ledger/ledger-types.ts";
import { checkSigning } from "../checkers.ts";
import type { SimArgs } from "./chain.ts";
import { validatorKey } from "./chain.ts";
import { expectedOrder, type OrderState, orderAfter, orderAtStart } from "./order.ts";

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
  readonly #count: number;
  readonly #heartbeatMs: number;
  /** Signed bytes that clients made, by id. */
  readonly #sent: ReadonlyMap<string, Uint8Array>;
  readonly #used = new Map<string, number>();
  readonly #nonces = new Set<string>();
  readonly #totals = new Map<string, number>();
  /** What clients were told of blocks that nobody has shown yet. */
  readonly #early = new Map<string, Told>();
  #order: OrderState;

  constructor(options: {
    readonly genesis: GenesisBlock;
    readonly count: number;
    readonly heartbeatMs: number;
    readonly sent: ReadonlyMap<string, Uint8Array>;
  }) {
    this.#genesis = options.genesis;
    this.#count = options.count;
    this.#heartbeatMs = options.heartbeatMs;
    this.#sent = options.sent;
    this.#order = orderAtStart(this.#validators());
  }

  get height(): number {
    return this.blocks.length;
  }

  /** Takes in a block that a node appended. @throws {Violation} */
  take({ block, certificate, receipts }: Appended, nowMs: number): void {
    const { height } = block.header;
    this.#checkCertificate(block, certificate);
    const known = this.blocks[height - 1];
    if (known !== undefined) {
      if (known.block.hash !== block.hash) throw new Violation("agreement", `fork at ${height}`);
      return;
    }
    if (height !== this.height + 1) throw new Violation("density", `${height} comes too early`);
    const transactions = block.transactions.map(decodeTransaction);
    this.#checkHeader(block, certificate.round, nowMs);
    this.#checkTransactions(block, transactions);
    this.#execute(block, transactions, receipts);
    this.#order = orderAfter(this.#order, block.header.proposer);
    const ids = transactions.map(({ id }) => id);
    this.blocks.push({ block, receipts, ids, round: certificate.round });
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

  /** Checks that nobody was told of a block that never came. @throws {Violation} */
  checkNoneEarly(): void {
    for (const [id, { height }] of this.#early)
      throw new Violation("promise", `${id.slice(0, 8)} at ${height} never came`);
  }

  /** Checks the state after the last block. @throws {Violation} */
  checkState(entries: readonly (readonly [key: string, value: string])[]): void {
    const { header } = (this.blocks.at(-1) as FinalBlock).block;
    if (stateRootOf(entries) !== header.stateRoot)
      throw new Violation("execution", "the state has another root than its header");
    const totals = entries.filter(([key]) => key.startsWith("sim/total/"));
    const expected = [...this.#totals].map(([key, total]) => [`sim/total/${key}`, String(total)]);
    if (JSON.stringify(totals) !== JSON.stringify(expected.sort()))
      throw new Violation("execution", "the totals are not those of the transactions");
  }

  #validators(): string[] {
    return Array.from({ length: this.#count }, (_, index) => validatorKey(index)).sort();
  }

  #checkCertificate(block: Block, certificate: Certificate): void {
    const { height } = block.header;
    const { round, blockHash, signatures } = certificate;
    const fail = (reason: string): never => {
      throw new Violation("certificate", `of ${height}: ${reason}`);
    };
    if (certificate.height !== height || blockHash !== block.hash) fail("it is for another block");
    const validators = this.#validators();
    const signers = new Set<number>();
    const message = commitBytes(this.#genesis.chainId, height, { round, blockHash });
    for (const { validatorIndex, signature } of signatures) {
      const key = validators[validatorIndex] ?? "nobody";
      const digest = createHash("sha512").update(key).update(message).digest();
      if (!digest.equals(signature)) fail(`the signature of ${validatorIndex} does not hold`);
      signers.add(validatorIndex);
    }
    // ceil(2n/3), which the rules show to be equal to the formula of the product.
    if (3 * signers.size < 2 * this.#count) fail(`only ${signers.size} signers`);
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
      this.#used.set(id, height);
      this.#nonces.add(`${sender}/${nonce}`);
    }
  }

  #execute(block: Block, transactions: readonly Transaction[], receipts: readonly Receipt[]): void {
    const { height } = block.header;
    if (receipts.length !== transactions.length)
      throw new Violation("execution", `${height}: a receipt is missing`);
    for (const [index, { id, method, argsJson }] of transactions.entries()) {
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
}

/** Watches what each key signs, over all its lives. */
export class SigningWatch {
  readonly #signed = new Map<string, Claim[]>();
  readonly #chainId: string;

  constructor(chainId: string) {
    this.#chainId = chainId;
  }

  /**
   * Sees a signature come into being.
   *
   * @param record - What is on disk at that moment.
   * @throws {Violation}
   */
  note(key: string, message: Uint8Array, record: SigningRecord | undefined): void {
    const claim = readClaim(message, this.#chainId);
    const slot = `${claim.kind} ${claim.height}/${claim.round}`;
    if (record === undefined || !covers(record, claim))
      throw new Violation("signing", `${slot} is not on disk when signed`);
    const before = this.#signed.get(key) ?? [];
    try {
      checkSigning(before, claim);
    } catch (error) {
      throw new Violation("signing", (error as Error).message);
    }
    this.#signed.set(key, [...before.slice(-16), claim]);
  }
}

/** A record holds the claim, or is of a later round and with it forbids any other in this one. */
function covers({ height, round, claims, prepared }: SigningRecord, claim: Claim): boolean {
  if (height !== claim.height) return false;
  if (round === claim.round) return claims.some((each) => sameClaim(each, claim));
  return round > claim.round && (claim.kind !== "commit" || (prepared?.round ?? -1) >= claim.round);
}

/** Checks the bounds of what a core keeps. @throws {Violation} */
export function checkMemory(core: ConsensusState): void {
  const { validators, votes, roundChanges, blocks, future, own, record } = core;
  const count = validators.length;
  const fail = (what: string, size: number): never => {
    throw new Violation("memory", `a core keeps ${size} ${what}`);
  };
  // Rounds 16 above and below the own one.
  if (votes.size > 33) fail("rounds of votes", votes.size);
  for (const { prepares, commits } of votes.values())
    if (prepares.size > count || commits.size > count) fail("votes of a round", prepares.size);
  if (roundChanges.size > count) fail("round changes", roundChanges.size);
  if (blocks.length > 4) fail("former blocks", blocks.length);
  if (future.size > 4 * count) fail("messages of the next height", future.size);
  if (own.length > 4) fail("own messages", own.length);
  if ((record?.claims.length ?? 0) > 4) fail("claims of a round", record?.claims.length ?? 0);
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

/** Bytes that a claim is signed over, put together from docs/DATA_FORMAT.md. */
function signedBytes(chainId: string, claim: Claim): Buffer {
  const { height, round } = claim;
  const head = [packHash(chainId), packInteger(height), packInteger(round)];
  if (claim.kind !== "roundChange")
    return taggedArray(claim.kind, [...head, packHash(claim.blockHash)]);
  const { prepared } = claim;
  const nil = Buffer.of(0xc0);
  const rest = prepared ? [packInteger(prepared.round), packHash(prepared.blockHash)] : [nil, nil];
  return taggedArray("round-change", [...head, ...rest]);
}

function commitBytes(
  chainId: string,
  height: number,
  { round, blockHash }: { round: number; blockHash: string },
): Buffer {
  return signedBytes(chainId, { kind: "commit", height, round, blockHash });
}

function taggedArray(tag: string, items: readonly Buffer[]): Buffer {
  const head = Buffer.of(0x90 + items.length);
  return Buffer.concat([Buffer.from(`loopledger/v0/${tag}\0`), head, ...items]);
}

function packHash(hash: string): Buffer {
  return Buffer.concat([Buffer.of(0xc4, 32), Buffer.from(hash, "hex")]);
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

/** The shortest MessagePack form of an unsigned integer. */
function packInteger(value: number): Buffer {
  if (value < 0x80) return Buffer.of(value);
  if (value < 0x100) return Buffer.of(0xcc, value);
  const bytes = Buffer.alloc(9);
  if (value < 0x10000) {
    bytes[0] = 0xcd;
    bytes.writeUInt16BE(value, 1);
    return bytes.subarray(0, 3);
  }
  if (value < 0x100000000) {
    bytes[0] = 0xce;
    bytes.writeUInt32BE(value, 1);
    return bytes.subarray(0, 5);
  }
  bytes[0] = 0xcf;
  bytes.writeBigUInt64BE(BigInt(value), 1);
  return bytes;
}

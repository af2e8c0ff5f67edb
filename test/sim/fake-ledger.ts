/**
 * The simulator's ledger: an array of blocks whose transactions are texts. It keeps the shell's
 * promises to the core: builds and checks blocks with real time rules, verifies certificates with
 * the real verification, and never appends twice.
 */
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { type Block, blockOf, type Header, validatorsHash } from "../../src/base/format/block.ts";
import type { Certificate } from "../../src/base/format/message.ts";
import { hashOf, zeroHash } from "../../src/base/hash.ts";
import type { PublicKey } from "../../src/base/keys.ts";
import { limits } from "../../src/base/limits.ts";
import { verifyCertificate } from "../../src/base/proof/certificate.ts";
import {
  freshSchedule,
  nextSchedule,
  type ProposerSchedule,
} from "../../src/base/proposer-schedule.ts";
import type { Tip } from "../../src/consensus/event.ts";
import { fakeVerifier, simChainId } from "./fake-keys.ts";

/** Validators by height, sorted. */
export type ValidatorsAt = (height: number) => readonly PublicKey[];

/** A decided block as stored and synced. */
export type Decided = { readonly block: Block; readonly certificate: Certificate };

/** Virtual time begins here. */
export const simStartMs = 1_700_000_000_000;

/** A text as long as a transaction must be. */
function transactionOf(text: string): Uint8Array {
  return utf8(text.padEnd(limits.transactionBytesMin));
}

/** Returns the text of a transaction. */
export function textOf(bytes: Uint8Array): string {
  return utf8Text(bytes).trimEnd();
}

/** Returns the header of the next block over some transactions. */
export function nextHeader(
  parent: Block,
  transactions: readonly string[],
  fields: Pick<Header, "timestampMs" | "proposer"> & { readonly validatorsAt: ValidatorsAt },
): Header {
  const { timestampMs, proposer, validatorsAt } = fields;
  const transactionsRoot = hashOf(utf8(transactions.join()));
  const height = parent.header.height + 1;
  return {
    chainId: simChainId,
    height,
    parentHash: parent.hash,
    timestampMs,
    proposer,
    transactionsRoot,
    receiptsRoot: transactionsRoot,
    stateRoot: hashOf(utf8(parent.header.stateRoot + transactionsRoot)),
    validatorsHash: validatorsHash(validatorsAt(height)),
    nextValidatorsHash: validatorsHash(validatorsAt(height + 1)),
    gasUsed: 0,
  };
}

/** Makes a block. */
export function nextBlock(
  parent: Block,
  transactions: readonly string[],
  fields: Parameters<typeof nextHeader>[2],
): Block {
  return blockOf(nextHeader(parent, transactions, fields), transactions.map(transactionOf));
}

/** One node's ledger. */
export class FakeLedger {
  readonly decided: Decided[] = [];
  readonly pending = new Set<string>();
  readonly #genesis: Block;
  #schedule: ProposerSchedule;
  readonly #validatorsAt: ValidatorsAt;
  readonly #heartbeatMs: number;

  constructor(validatorsAt: ValidatorsAt, heartbeatMs: number) {
    this.#validatorsAt = validatorsAt;
    this.#heartbeatMs = heartbeatMs;
    const fields = { timestampMs: simStartMs, proposer: zeroHash, validatorsAt };
    const origin = { hash: zeroHash, header: { height: -1, stateRoot: zeroHash } } as Block;
    this.#genesis = nextBlock(origin, [], fields);
    this.#schedule = freshSchedule(1, validatorsAt(1), zeroHash);
  }

  get last(): Block {
    return this.decided.at(-1)?.block ?? this.#genesis;
  }

  get tip(): Tip {
    const { hash, header } = this.last;
    return { height: header.height, hash, proposers: this.#schedule.proposers };
  }

  get nextValidators(): readonly PublicKey[] {
    return this.#validatorsAt(this.tip.height + 1);
  }

  /** Transactions of all blocks, in order. */
  get transactions(): string[] {
    return this.decided.flatMap(({ block }) => block.transactions.map(textOf));
  }

  hasWork(nowMs: number): boolean {
    return this.pending.size > 0 || nowMs - this.last.header.timestampMs >= this.#heartbeatMs;
  }

  build(nowMs: number, proposer: PublicKey): Block | undefined {
    if (!this.hasWork(nowMs)) return undefined;
    const timestampMs = Math.max(nowMs, this.last.header.timestampMs + 1);
    const fields = { timestampMs, proposer, validatorsAt: this.#validatorsAt };
    return nextBlock(this.last, [...this.pending].sort(), fields);
  }

  /** A text that begins with "bad" stands for a transaction whose signature does not hold. */
  check(block: Block, fresh: boolean, nowMs: number): boolean {
    const { timestampMs, proposer } = block.header;
    const transactions = block.transactions.map(textOf);
    const fields = { timestampMs, proposer, validatorsAt: this.#validatorsAt };
    if (nextBlock(this.last, transactions, fields).hash !== block.hash) return false;
    if (transactions.some((text) => text.startsWith("bad"))) return false;
    if (timestampMs <= this.last.header.timestampMs) return false;
    const ageMs = nowMs - timestampMs;
    return !fresh || (ageMs <= limits.proposalPastMsMax && -ageMs <= limits.proposalFutureMsMax);
  }

  /** Appends the next block, with its certificate verified. Lower heights are there already. */
  append({ block, certificate }: Decided): void {
    const { height } = block.header;
    if (height <= this.tip.height) return;
    const validators = this.#validatorsAt(height);
    const context = { chainId: simChainId, validators, verifier: fakeVerifier };
    verifyCertificate(certificate, block.header, context);
    // Execution with the roots compared: a certified block that differs would stop the node (D2).
    if (!this.check(block, false, 0)) throw new Error("a certified block does not execute");
    this.#schedule = nextSchedule(this.#schedule, block.header, this.#validatorsAt(height + 1));
    this.decided.push({ block, certificate });
    for (const text of block.transactions.map(textOf)) this.pending.delete(text);
  }
}

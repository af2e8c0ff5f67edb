/**
 * A chain for the tests of the checkers: blocks that are as they must be, and the same with one
 * thing made wrong and all that follows from it put right again, up to the certificate. So what is
 * found is the one thing, and not something that came with it.
 */
import {
  type Block,
  blockOf,
  type Header,
  validatorsHash,
} from "../../../src/base/format/block.ts";
import { didOf } from "../../../src/base/format/did.ts";
import type { Certificate } from "../../../src/base/format/message.ts";
import { encodeReceipt, type Receipt } from "../../../src/base/format/receipt.ts";
import {
  decodeTransaction,
  signTransaction,
  type Transaction,
} from "../../../src/base/format/transaction.ts";
import { limits } from "../../../src/base/limits.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import { windowTextOf } from "../../e2e/perturb/reference.ts";
import { fakeSign, signedBy } from "../fake-keys.ts";
import { ChainState } from "./block-bytes.ts";
import {
  administratorKey,
  fakeSigner,
  peerKey,
  senderKey,
  validatorKey,
  worldGenesis,
  worldStartMs,
} from "./chain.ts";
import { Canon } from "./checkers.ts";
import { valueHash } from "./merkle.ts";
import type { Plan } from "./plan.ts";
import { SetModel } from "./set-model.ts";
import { readyBytes } from "./signed-bytes.ts";
import type { ToldBlock } from "./untold.ts";

/** Four validators, one administrator, nothing that goes wrong. */
export const quietPlan: Plan = {
  seed: 1,
  count: 4,
  liars: [],
  rates: { loss: 0, duplicate: 0, replay: 0, late: 0, delayMsMin: 1, delayMsMax: 3 },
  blockIntervalMs: 100,
  heartbeatMs: 10_000,
  writeMsMax: 2,
  callMsMax: 0,
  submitEveryMs: 100,
  clockOffsetsMs: [0, 0, 0, 0],
  startDelaysMs: [0, 0, 0, 0],
  actions: [],
  safetyMs: 1_000,
  leftFaulty: 0,
  sets: { initial: [0, 1, 2, 3], administrators: 1, steps: [], strays: 0 },
};

const genesis = worldGenesis(quietPlan);
const { chainId } = genesis;
const gasUsed = 1_000;

/** Hashes of blocks that nobody made. */
export const twoHashes = ["ab".repeat(32), "cd".repeat(32)] as const;

/** Virtual time of a block of the chain, as nodes and clients see it. */
export const timeOf = (height: number) => worldStartMs + 1_000 * height;

/** A call of the contract `sim` that a client signs. */
export function simCall(
  nonce: number,
  fields: { sender?: number; method?: string; key?: string; expiresAtMs?: number } = {},
): Transaction {
  const { sender = 0, method = "add", key = "k0", expiresAtMs = timeOf(3_600) } = fields;
  const argsJson = JSON.stringify({ key, amount: 5 });
  const body = { chainId, nonce, expiresAtMs, contract: "sim", method, argsJson };
  return signTransaction({ ...body, gasLimit: limits.callGasMin }, fakeSigner(senderKey(sender)));
}

/** A call of the contract `system`; by default the administrator's. */
export function systemCall(
  nonce: number,
  method: string,
  args: unknown,
  sender = administratorKey(0),
): Transaction {
  const argsJson = JSON.stringify(args);
  const body = { chainId, nonce, expiresAtMs: timeOf(3_600), contract: "system", method, argsJson };
  return signTransaction({ ...body, gasLimit: limits.callGasMin }, fakeSigner(sender));
}

/** A report of two votes of a validator for one place. */
export function reportOf(index: number, height: number, hashes: readonly string[] = twoHashes) {
  const claims = hashes.map((hash) => {
    const claim = { kind: "prepare", height, round: 0, blockHash: hash } as const;
    const { signature } = signedBy(validatorKey(index), claim, chainId);
    return { blockHash: hash, signature: Buffer.from(signature).toString("hex") };
  });
  return { height, round: 0, kind: "prepare", validator: didOf(validatorKey(index)), claims };
}

/** A candidate's word that it follows. */
export function readyOf(
  index: number,
  height: number,
  hash: string = twoHashes[0],
  chain = chainId,
) {
  const said = { height, blockHash: hash, peerKey: peerKey(index) };
  const bytes = fakeSign(readyBytes(chain, said), validatorKey(index));
  return { height, blockHash: hash, signature: Buffer.from(bytes).toString("hex") };
}

/** What may be made wrong in a block. */
export type Wrong = {
  readonly header?: Partial<Header>;
  /** Receipts that the header's root covers. */
  readonly receipts?: (right: readonly Receipt[]) => readonly Receipt[];
  readonly round?: number;
  readonly signers?: readonly number[];
};

/** Builds a chain block by block. */
export class SmallChain {
  readonly genesis = genesis;
  readonly sets: SetModel;
  readonly canon: Canon;
  /** Bytes that somebody signed, by id. */
  readonly sent = new Map<string, Uint8Array>();
  readonly told: ToldBlock[] = [];
  readonly #totals = new Map<string, number>();

  /** @param honest - Whose reports count as wrong. */
  constructor(honest: (key: string) => boolean = () => true) {
    this.sets = new SetModel({ chainId, initial: [0, 1, 2, 3], administrators: 1 });
    this.canon = new Canon({
      ...{ genesis, sets: this.sets, sent: this.sent, isHonest: honest },
      heartbeatMs: quietPlan.heartbeatMs,
    });
  }

  /** Makes the next block, with something wrong in it or not. */
  next(transactions: readonly Transaction[], wrong: Wrong = {}): ToldBlock {
    for (const { id, bytes } of transactions) this.sent.set(id, bytes);
    const height = this.told.length + 1;
    const totals = new Map(this.#totals);
    const right = transactions.map((transaction) => receiptOf(transaction, totals));
    const receipts = wrong.receipts?.(right) ?? right;
    const bytes = transactions.map((transaction) => transaction.bytes);
    const former = this.told.at(-1)?.block ?? { hash: chainId, header: genesis.header };
    const header: Header = {
      chainId,
      height,
      parentHash: former.hash,
      timestampMs: timeOf(height),
      proposer: validatorKey((height - 1) % 4),
      transactionsRoot: merkleRoot(bytes),
      receiptsRoot: merkleRoot(receipts.map(encodeReceipt)),
      stateRoot: this.#stateRootWith(transactions, receipts),
      validatorsHash: validatorsHash(this.sets.at(height)),
      nextValidatorsHash: validatorsHash(this.sets.at(height)),
      gasUsed: receipts.reduce((sum, receipt) => sum + receipt.gasUsed, 0),
      ...wrong.header,
    };
    const block = blockOf(header, bytes);
    return { block, certificate: certificateOf(block, wrong), receipts };
  }

  /** Appends a block that is right. */
  add(...transactions: readonly Transaction[]): this {
    return this.addWrong(transactions);
  }

  /** Appends a block with something in it that only the end shows. */
  addWrong(transactions: readonly Transaction[], wrong: Wrong = {}): this {
    const told = this.next(transactions, wrong);
    this.canon.take(told, timeOf(told.block.header.height));
    for (const transaction of transactions) receiptOf(transaction, this.#totals);
    this.told.push(told);
    return this;
  }

  /** The state after the blocks, in order; `wrongKey`: this total is 7. */
  entries(wrongKey?: string): [key: string, value: string][] {
    const totals = [...this.#totals].map(([key, total]): [string, string] => {
      return [`sim/total/${key}`, key === wrongKey ? "7" : String(total)];
    });
    const senders = this.told.flatMap(({ block }) =>
      block.transactions.map((bytes) => decodeTransaction(bytes).sender),
    );
    const windows = [...new Set(senders)].map((sender): [string, string] => {
      return [`system/window/${didOf(sender)}`, windowTextOf(this.canon.noncesOf(sender))];
    });
    const entries = [...genesis.state, ...totals, ...windows] as [string, string][];
    return entries.sort(([left], [right]) => (left < right ? -1 : 1));
  }

  /** The genesis and all that the blocks and some more transactions lead to. */
  #stateRootWith(transactions: readonly Transaction[], receipts: readonly Receipt[]): string {
    const state = new ChainState(genesis.state);
    for (const { block, receipts: of } of this.told)
      state.apply(block.transactions.map(decodeTransaction), of);
    state.apply(transactions, receipts);
    return state.root();
  }
}

/** A certificate of a block by all validators, or by these. */
export function certificateOf(
  { hash: blockHash, header: { height } }: Block,
  { round = 0, signers = [0, 1, 2, 3] }: { round?: number; signers?: readonly number[] } = {},
): Certificate {
  const claim = { kind: "commit", height, round, blockHash } as const;
  const signatures = signers.map((validatorIndex) => {
    const { signature } = signedBy(validatorKey(validatorIndex), claim, chainId);
    return { validatorIndex, signature };
  });
  return { height, round, blockHash, signatures };
}

/** What a call must lead to; totals move on. */
function receiptOf(
  { id, contract, method, argsJson }: Transaction,
  totals: Map<string, number>,
): Receipt {
  const done = { transactionId: id, outcome: "ok", gasUsed, events: [], changes: [] };
  if (contract === "system") return done;
  const { key, amount } = JSON.parse(argsJson) as { key: string; amount: number };
  if (method === "refuse") return { ...done, outcome: "SIM_REFUSED" };
  const total = (totals.get(key) ?? 0) + amount;
  if (method === "add") totals.set(key, total);
  else totals.delete(key);
  const hash = method === "add" ? valueHash(String(total)) : undefined;
  return { ...done, changes: [{ key: `sim/total/${key}`, valueHash: hash }] };
}

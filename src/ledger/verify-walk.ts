/**
 * The walk of an offline verification: block after block from the genesis on, each checked as a
 * validator would and executed on a state in memory; what is on disk besides must be what follows.
 *
 * The walk ends at the first block that does not hold, since nothing above it can be executed.
 * Records that follow from blocks (receipts, index, history, undo, state) do not end it: they are
 * compared byte by byte with what execution gives, and named when they differ.
 *
 * Validators do not change in this version, so the genesis names those of every height.
 */
import { LedgerError } from "../base/errors.ts";
import type { Block, Header } from "../base/format/block.ts";
import { decodeTransaction, verifyTransaction } from "../base/format/transaction.ts";
import { type Hash, valueHashOf } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import { verifyCertificate } from "../base/proof/certificate.ts";
import { merkleRoot } from "../base/proof/merkle.ts";
import { BlockStore, blockOfGenesis, receiptOperations, type StoredBlock } from "./block-store.ts";
import type { Database, Operation } from "./database.ts";
import { historyOperations } from "./history.ts";
import { type Family, putRecord, recordKeys } from "./records.ts";
import { encodeStateValue, encodeUndo } from "./state-store.ts";
import { StateTree } from "./state-tree.ts";
import type { Executed, KeyRange, StateChange, StateReader } from "./types.ts";
import {
  type ProblemList,
  type RecordScan,
  reasonOf,
  type VerifyOptions,
  type WalkResult,
} from "./verify-types.ts";

type Context = Omit<VerifyOptions, "directory" | "database"> & { readonly database: Database };

/** Says what is wrong with a block. */
class BlockProblem extends Error {
  readonly what: string;

  constructor(what: string, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.what = what;
  }
}

/** Walks over all blocks, then compares what else is stored. */
export async function walkChain(
  context: Context,
  scan: RecordScan,
  problems: ProblemList,
): Promise<WalkResult> {
  const end = Math.max(scan.greatest, scan.tip?.height ?? 0);
  const walk = new Walk(context, end, problems);
  for (let height = 0; height <= end; height += 1) {
    if (height % 16 === 0) context.onProgress?.({ stage: "blocks", done: height, total: end + 1 });
    try {
      await walk.step(height);
    } catch (error) {
      if (!(error instanceof BlockProblem)) throw error;
      problems.add(error.what, error.message, height);
      return walk.result;
    }
  }
  const { tip } = scan;
  if (tip !== undefined && (tip.height !== end || tip.hash !== walk.result.hashes[end]))
    problems.add("tip", `the tip record names another block than the last one, ${end}`);
  if (tip !== undefined && tip.chainId !== context.genesis.chainId)
    problems.add("tip", "the tip record names another chain");
  walk.compareRest(scan);
  return walk.result;
}

class Walk {
  readonly #context: Context;
  readonly #blocks: BlockStore;
  readonly #problems: ProblemList;
  /** Last height of the chain, as far as the store says. */
  readonly #end: number;
  readonly #state = new MemoryState();
  readonly #hashes: Hash[] = [];
  readonly #counts = new Map<Family, number>();
  #parent: Block | undefined;
  #transactionCount = 0;

  constructor(context: Context, end: number, problems: ProblemList) {
    this.#context = context;
    this.#blocks = new BlockStore(context.database);
    this.#problems = problems;
    this.#end = end;
  }

  get result(): WalkResult {
    const transactionCount = this.#transactionCount;
    return { validHeight: this.#hashes.length - 1, hashes: this.#hashes, transactionCount };
  }

  /** Checks and executes the block of the next height. @throws {BlockProblem} */
  async step(height: number): Promise<void> {
    const stored = await this.#read(height);
    const { block } = stored;
    const executed = height === 0 ? this.#found(block) : await this.#execute(stored);
    const { changes } = executed;
    const before = this.#state.tree;
    this.#state.apply(changes, height);
    checkRoot("state", block.header.stateRoot, this.#state.tree.root);
    this.#count("b", 1);
    this.#count("c", height === 0 ? 0 : 1);
    this.#compare(height, [
      ...receiptOperations(height, executed.receipts, executed.transactionIds),
      ...historyOperations(height, changes),
      ...(height > this.#end - limits.stateHistoryBlocks
        ? [putRecord(recordKeys.undo(height), encodeUndo(before, changes))]
        : []),
    ]);
    this.#hashes.push(block.hash);
    this.#parent = block;
    this.#transactionCount += block.transactions.length;
  }

  /** Compares the current state, and that there is nothing besides what follows from the blocks. */
  compareRest(scan: RecordScan): void {
    this.#compare(this.#end, this.#state.operations());
    for (const [family, expected] of this.#counts) {
      const found = scan.counts.get(family) ?? 0;
      if (found > expected)
        this.#problems.add("record", `${found - expected} too many below ${family}/`);
    }
  }

  async #read(height: number): Promise<StoredBlock> {
    const stored = await this.#blocks.read(height).catch((cause: unknown) => {
      const isHole = cause instanceof LedgerError && cause.code === "LEDGER_HOLE";
      if (isHole) throw new BlockProblem("block", "block or certificate is missing", { cause });
      throw new BlockProblem("block", `cannot be read: ${reasonOf(cause)}`, { cause });
    });
    if (stored === undefined) throw new BlockProblem("block", "it is missing");
    return stored;
  }

  #found(block: Block): Executed {
    const { genesis } = this.#context;
    if (block.hash !== blockOfGenesis(genesis).hash || block.transactions.length > 0)
      throw new BlockProblem("block", "the genesis is not that of the genesis file");
    return { receipts: [], transactionIds: [], changes: genesis.state, gasUsed: 0 };
  }

  async #execute({ block, certificate }: StoredBlock): Promise<Executed> {
    const { header, transactions } = block;
    this.#checkHeader(header);
    this.#checkCertificate(header, certificate);
    const ids = transactions.map((bytes, index) => this.#checkTransaction(bytes, index));
    checkRoot("transactions", header.transactionsRoot, merkleRoot(transactions));
    const executed = await this.#executeTransactions(block);
    checkRoot("receipts", header.receiptsRoot, merkleRoot(executed.receipts));
    if (executed.gasUsed !== header.gasUsed)
      throw new BlockProblem("gas", `${executed.gasUsed} used, ${header.gasUsed} stated`);
    return { ...executed, transactionIds: ids };
  }

  #checkHeader(header: Header): void {
    const { chainId, validators, header: founding } = this.#context.genesis;
    const parent = this.#parent as Block;
    const rules: readonly (readonly [string, boolean])[] = [
      ["it is of another chain", header.chainId === chainId],
      ["it has another height", header.height === parent.header.height + 1],
      ["it does not follow the block below", header.parentHash === parent.hash],
      ["it is not later than the block below", header.timestampMs > parent.header.timestampMs],
      ["its proposer is no validator", validators.includes(header.proposer)],
      ["it names other validators", header.validatorsHash === founding.validatorsHash],
      ["it names other next validators", header.nextValidatorsHash === founding.validatorsHash],
    ];
    for (const [problem, holds] of rules) if (!holds) throw new BlockProblem("header", problem);
  }

  #checkCertificate(header: Header, certificate: StoredBlock["certificate"]): void {
    const { genesis, verifier } = this.#context;
    const { chainId, validators } = genesis;
    if (certificate === undefined) throw new BlockProblem("certificate", "it is missing");
    try {
      verifyCertificate(certificate, header, { chainId, validators, verifier });
    } catch (cause) {
      throw new BlockProblem("certificate", reasonOf(cause), { cause });
    }
  }

  /** @returns The id of the transaction. */
  #checkTransaction(bytes: Uint8Array, index: number): Hash {
    const { genesis, verifier } = this.#context;
    try {
      const transaction = decodeTransaction(bytes);
      if (!verifyTransaction(transaction, verifier))
        throw new BlockProblem("signature", `transaction ${index} is not signed by its sender`);
      if (transaction.chainId !== genesis.chainId)
        throw new BlockProblem("transaction", `transaction ${index} is of another chain`);
      return transaction.id;
    } catch (cause) {
      if (!(cause instanceof LedgerError)) throw cause;
      throw new BlockProblem("transaction", `transaction ${index}: ${cause.message}`, { cause });
    }
  }

  async #executeTransactions({ header, transactions }: Block): Promise<Executed> {
    try {
      return await this.#context.execute({ header, transactions, state: this.#state });
    } catch (cause) {
      // A fault of this machine says nothing about the chain.
      if (!(cause instanceof LedgerError) || cause.code.endsWith("_NODE_FAULT")) throw cause;
      throw new BlockProblem("execution", cause.message, { cause });
    }
  }

  /** Compares records with what they must be. */
  #compare(height: number, operations: readonly Operation[]): void {
    for (const operation of operations) {
      if (operation.type === "del") continue;
      const { key, value } = operation;
      this.#count(key.slice(0, 1) as Family, 1);
      const problem = this.#problemOfRecord(key, value);
      if (problem !== undefined)
        this.#problems.add("record", `${JSON.stringify(key)} ${problem}`, height);
    }
  }

  #problemOfRecord(key: string, expected: Uint8Array): string | undefined {
    try {
      const found = this.#context.database.getSync(key);
      if (found === undefined) return "is missing";
      return Buffer.compare(found, expected) === 0 ? undefined : "is not what the blocks lead to";
    } catch (error) {
      return `cannot be read: ${reasonOf(error)}`;
    }
  }

  #count(family: Family, records: number): void {
    this.#counts.set(family, (this.#counts.get(family) ?? 0) + records);
  }
}

/** The state of the walk, in memory. */
class MemoryState implements StateReader {
  readonly #entries = new Map<string, { readonly value: string; readonly writtenAt: number }>();
  #tree = StateTree.empty();

  get tree(): StateTree {
    return this.#tree;
  }

  get(key: string): string | undefined {
    return this.#entries.get(key)?.value;
  }

  range(range: KeyRange): [key: string, value: string][] {
    return this.#tree.keys(range).map((key) => [key, this.get(key) as string]);
  }

  apply(changes: readonly StateChange[], writtenAt: number): void {
    this.#tree = this.#tree.apply(
      changes.map(([key, value]) => [key, value === undefined ? value : valueHashOf(value)]),
    );
    for (const [key, value] of changes)
      if (value === undefined) this.#entries.delete(key);
      else this.#entries.set(key, { value, writtenAt });
  }

  /** The writes that would make the records of the current state. */
  operations(): Operation[] {
    return [...this.#entries].map(([key, { value, writtenAt }]) =>
      putRecord(recordKeys.state(key), encodeStateValue(value, writtenAt)),
    );
  }
}

function checkRoot(name: string, expected: Hash, actual: Hash): void {
  if (actual !== expected)
    throw new BlockProblem("root", `${name} root ${actual} differs from ${expected} in the header`);
}

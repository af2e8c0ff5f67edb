/**
 * The walk of an offline verification: block after block from the genesis on, each checked as a
 * validator would and executed on a state in memory; what is on disk besides must be what follows.
 *
 * The walk ends at the first block that does not hold, since nothing above it can be executed.
 * Records that follow from blocks (receipts, index, history, undo, state) do not end it: they are
 * compared byte by byte with what execution gives, and named when they differ.
 *
 * A store with a base has no blocks up to there (pruning.ts, snapshot-writer.ts). Then the walk
 * begins with the state at the base, once its root and certificate are checked.
 */
import { LedgerError } from "../base/errors.ts";
import { type Block, type Header, headerHash, validatorsHash } from "../base/format/block.ts";
import { decodeTransaction, verifyTransaction } from "../base/format/transaction.ts";
import { type Hash, valueHashOf } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import { verifyCertificate } from "../base/proof/certificate.ts";
import { merkleRoot } from "../base/proof/merkle.ts";
import { type Base, readBaseHeader } from "./base-record.ts";
import { type BaseEntry, checkBase, readBaseState } from "./base-state.ts";
import { BlockStore, blockOfGenesis, receiptOperations, type StoredBlock } from "./block-store.ts";
import type { Database, Operation } from "./database.ts";
import { historyOperations } from "./history.ts";
import { type Family, putRecord, recordKeys } from "./records.ts";
import { encodeStateValue, undoBlocksOf } from "./state-store.ts";
import { StateTree } from "./state-tree.ts";
import { encodeUndo } from "./state-undo.ts";
import { memberPrefix, readValidators } from "./system-entries.ts";
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
  const { base } = scan;
  const end = Math.max(scan.greatest, scan.tip?.height ?? 0, base?.height ?? 0);
  const walk = new Walk(context, end, problems);
  if (base === undefined || (await walk.begin(base, scan))) await walk.steps();
  if (!walk.isAtEnd) return walk.result;
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
  #parent: { readonly header: Header; readonly hash: Hash } | undefined;
  /** Validators of the next height. */
  #validators: readonly PublicKey[] = [];
  #transactionCount = 0;
  #next = 0;

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

  /** Whether every block up to the end holds. */
  get isAtEnd(): boolean {
    return this.#next > this.#end;
  }

  /**
   * Begins with the state at the base instead of the genesis.
   *
   * @returns Whether the base holds, so that the walk can go on above it.
   */
  async begin(base: Base, { isPruning }: RecordScan): Promise<boolean> {
    const { database } = this.#context;
    try {
      await this.#checkGenesis();
      const entries = await readBaseState(database, base);
      this.#state.begin(entries);
      const kept = await checkBase(database, base, { ...this.#context, state: this.#state });
      for (const { header } of kept) this.#hashes[header.height] = headerHash(header);
      const { header } = await readBaseHeader(database, base);
      this.#parent = { header, hash: base.hash };
      this.#validators = readValidators(this.#state);
      this.#next = base.height + 1;
      this.#count("k", kept.length);
      // What a pruning has not come to yet is not counted by the scan either.
      this.#count("h", isPruning ? 0 : entries.length);
      return true;
    } catch (error) {
      this.#hashes.length = 0;
      this.#problems.add("base", reasonOf(error), base.height);
      return false;
    }
  }

  /** Checks and executes block after block, up to the first one that does not hold. */
  async steps(): Promise<void> {
    const total = this.#end + 1;
    for (; this.#next <= this.#end; this.#next += 1) {
      const height = this.#next;
      if (height % 16 === 0) this.#context.onProgress?.({ stage: "blocks", done: height, total });
      try {
        await this.#step(height);
      } catch (error) {
        if (!(error instanceof BlockProblem)) throw error;
        this.#problems.add(error.what, error.message, height);
        return;
      }
    }
  }

  /** Checks and executes the block of the next height. @throws {BlockProblem} */
  async #step(height: number): Promise<void> {
    const stored = await this.#read(height);
    const { block } = stored;
    const executed = height === 0 ? this.#found(block) : await this.#execute(stored);
    const { changes } = executed;
    const before = this.#state.tree;
    this.#state.apply(changes, height);
    checkRoot("state", block.header.stateRoot, this.#state.tree.root);
    if (changes.some(([key]) => key.startsWith(memberPrefix)))
      this.#validators = readValidators(this.#state);
    if (block.header.nextValidatorsHash !== validatorsHash(this.#validators))
      throw new BlockProblem("header", "it names other next validators");
    this.#count("b", 1);
    this.#count("c", height === 0 ? 0 : 1);
    this.#compare(height, [
      ...receiptOperations(height, executed.receipts, executed.transactionIds),
      ...historyOperations(height, changes),
      ...(height > this.#end - undoBlocksOf(this.#state)
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
    for (const [family, found] of scan.counts) {
      const expected = family === "m" ? found : (this.#counts.get(family) ?? 0);
      if (found > expected)
        this.#problems.add("record", `${found - expected} too many below ${family}/`);
    }
  }

  /** The genesis block is there also when those above it are not. */
  async #checkGenesis(): Promise<void> {
    const { block } = await this.#read(0);
    this.#found(block);
    this.#count("b", 1);
    this.#compare(0, receiptOperations(0, [], []));
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
    const { chainId } = this.#context.genesis;
    const validators = this.#validators;
    const parent = this.#parent as { readonly header: Header; readonly hash: Hash };
    const rules: readonly (readonly [string, boolean])[] = [
      ["it is of another chain", header.chainId === chainId],
      ["it has another height", header.height === parent.header.height + 1],
      ["it does not follow the block below", header.parentHash === parent.hash],
      ["it is not later than the block below", header.timestampMs > parent.header.timestampMs],
      ["its proposer is no validator", validators.includes(header.proposer)],
      ["it names other validators", header.validatorsHash === validatorsHash(validators)],
    ];
    for (const [problem, holds] of rules) if (!holds) throw new BlockProblem("header", problem);
  }

  #checkCertificate(header: Header, certificate: StoredBlock["certificate"]): void {
    const { genesis, verifier } = this.#context;
    const { chainId } = genesis;
    const validators = this.#validators;
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

  /** Begins with the state at a base. */
  begin(entries: readonly BaseEntry[]): void {
    for (const { key, value, writtenAt } of entries) this.#entries.set(key, { value, writtenAt });
    this.#tree = StateTree.fromSorted(entries.map(({ key, value }) => [key, valueHashOf(value)]));
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

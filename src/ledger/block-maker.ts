/**
 * Builds blocks and checks the blocks of others, each executed once: what came out is kept by block
 * hash until the height is decided. It appends nothing.
 *
 * Invariants:
 *
 * (1) Whatever `build` returns passes `check` on every node at the same tip.
 * (2) The clock may decide how many transactions a built block takes, never what comes out of them.
 */
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { type Block, blockOf, type Header, validatorsHash } from "../base/format/block.ts";
import type { Transaction } from "../base/format/transaction.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/log.ts";
import { merkleRoot } from "../base/proof/merkle.ts";
import {
  binBytes,
  blockHeadBytesMax,
  blockInvalid,
  checkContent,
  checkFresh,
  checkPlace,
  type Difference,
  differenceOf,
  isHeartbeatDue,
} from "./block-rules.ts";
import {
  BlockExecution,
  type ExecutedBlock,
  type ExecutionContext,
  executeBlock,
} from "./executor.ts";
import type { Head } from "./head.ts";
import { nextTimeMs } from "./intake.ts";
import type { Mempool } from "./mempool.ts";
import { checkTransactions } from "./replay.ts";
import type { StateTree } from "./state-tree.ts";
import type { SystemEntries } from "./system-entries.ts";
import type { ContractCaller } from "./types.ts";
import type { VerifiedTransactions } from "./verified-transactions.ts";

/** An executed block with the state tree after it. */
export type Outcome = {
  readonly executed: ExecutedBlock;
  readonly stateTree: StateTree;
  /** Set when the header claims other results. */
  readonly difference: Difference | undefined;
};

type Parts = {
  readonly caller: ContractCaller;
  readonly entries: SystemEntries;
  readonly verified: VerifiedTransactions;
  readonly clock: Clock;
  readonly log: Log;
};

/** Calls that may fail on this node in a block that it builds; then it offers what it has. */
const buildFaultsMax = 3;

/** Makes and judges candidates for the next block. */
export class BlockMaker {
  readonly #parts: Parts;
  readonly #outcomes = new Map<Hash, Outcome>();
  /** Blocks whose transactions were compared with their header. */
  readonly #contentChecked = new WeakSet<Block>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Builds the next block from pending transactions. Calls that fail on this node are left out.
   *
   * @returns `undefined` when nothing is includable and no heartbeat is due.
   */
  async build(
    head: Head,
    mempool: Mempool,
    options: { readonly proposer: PublicKey; readonly nowMs: number },
  ): Promise<Block | undefined> {
    const { proposer, nowMs } = options;
    const { parent, validators, chainId } = head;
    const timestampMs = nextTimeMs(head, nowMs);
    const execution = new BlockExecution(this.#contextOf(head, timestampMs));
    await this.#fill(execution, mempool);
    if (execution.count === 0 && !isHeartbeatDue(head, timestampMs)) return undefined;
    const executed = execution.finish();
    const stateTree = head.state.tree.apply(executed.hashes);
    const transactions = executed.transactions.map(({ bytes }) => bytes);
    const header: Header = {
      chainId,
      height: parent.height + 1,
      parentHash: parent.hash,
      timestampMs,
      proposer,
      transactionsRoot: merkleRoot(transactions),
      receiptsRoot: executed.receiptsRoot,
      stateRoot: stateTree.root,
      validatorsHash: validatorsHash(validators),
      nextValidatorsHash: validatorsHash(executed.nextValidators),
      gasUsed: executed.gasUsed,
    };
    const block = blockOf(header, transactions);
    this.#contentChecked.add(block);
    this.#keep(block.hash, { executed, stateTree, difference: undefined });
    return block;
  }

  /**
   * Checks every rule of a block but its certificate.
   *
   * @param options - `fresh` for a first proposal, whose time is held against `nowMs`.
   * @throws {LedgerError} BLOCK_INVALID; what the caller rejects with on a node fault.
   */
  async check(
    head: Head,
    block: Block,
    options: { readonly fresh: boolean; readonly nowMs: number },
  ): Promise<void> {
    this.checkContent(block);
    checkPlace(block, head);
    if (options.fresh) checkFresh(block.header, options.nowMs);
    const { difference } = await this.outcomeOf(head, block);
    if (difference === undefined) return;
    const { field, own, certified } = difference;
    throw blockInvalid(block.header.height, `${field} is ${certified}, own result ${own}`);
  }

  /** Checks content once an object. @throws {LedgerError} BLOCK_INVALID */
  checkContent(block: Block): void {
    if (this.#contentChecked.has(block)) return;
    checkContent(block);
    this.#contentChecked.add(block);
  }

  /**
   * Returns what executing a block gives, from memory when it was executed before. Its content must
   * have been checked: the memory goes by hash.
   *
   * @throws {LedgerError} BLOCK_INVALID when a transaction is not admissible.
   */
  async outcomeOf(head: Head, block: Block): Promise<Outcome> {
    const known = this.#outcomes.get(block.hash);
    if (known !== undefined) return known;
    const { header } = block;
    const { verified } = this.#parts;
    const transactions = await checkTransactions(verified, block.transactions, header.height);
    const executed = await executeBlock(this.#contextOf(head, header.timestampMs), transactions);
    for (const transaction of transactions) verified.remember(transaction);
    const stateTree = head.state.tree.apply(executed.hashes);
    const difference = differenceOf(header, executed, stateTree.root);
    const outcome = { executed, stateTree, difference };
    this.#keep(block.hash, outcome);
    return outcome;
  }

  /**
   * Returns what executing a certified block gives.
   *
   * @throws {LedgerError} LEDGER_DIVERGENCE when this node finds it invalid or other results: a
   *   quorum says otherwise, so this node must stop (D2).
   */
  async certifiedOutcomeOf(head: Head, block: Block): Promise<Outcome> {
    const { height } = block.header;
    try {
      checkPlace(block, head);
      const outcome = await this.outcomeOf(head, block);
      if (outcome.difference === undefined) return outcome;
      throw new LedgerError("LEDGER_DIVERGENCE", { height, ...outcome.difference });
    } catch (cause) {
      if (!isLedgerError(cause, "BLOCK_INVALID")) throw cause;
      const own = String(cause.facts.reason);
      const facts = { height, field: "validity", own, certified: block.hash };
      throw new LedgerError("LEDGER_DIVERGENCE", facts, { cause });
    }
  }

  /** Returns the outcome of a candidate executed before, for a report. */
  known(hash: Hash): Outcome | undefined {
    return this.#outcomes.get(hash);
  }

  /** Forgets all candidates, once a height is decided. */
  clear(): void {
    this.#outcomes.clear();
  }

  async #fill(execution: BlockExecution, mempool: Mempool): Promise<void> {
    const { clock, log } = this.#parts;
    const deadlineMs = clock.nowMs() + limits.blockBuildMsMax;
    const selection = mempool.select();
    let bytesLeft = execution.parameters.blockBytesMax - blockHeadBytesMax;
    let faults = 0;
    while (execution.count < limits.blockTransactionsMax && clock.nowMs() < deadlineMs) {
      const transaction = selection.next();
      if (transaction === undefined) return;
      if (execution.refusalOf(transaction) !== undefined) continue;
      const bytes = binBytes(transaction.bytes.length);
      if (bytes > bytesLeft || !execution.hasGasFor(transaction)) {
        selection.leaveSender();
        continue;
      }
      if (await this.#executed(execution, mempool, transaction)) {
        bytesLeft -= bytes;
        continue;
      }
      selection.leaveSender();
      faults += 1;
      if (faults <= buildFaultsMax || execution.count === 0) continue;
      log.error({ faults, count: execution.count }, "block not filled: calls go on failing here");
      return;
    }
  }

  /**
   * Executes a transaction unless this node cannot: that leaves it out, or one transaction that no
   * sandbox survives would keep every proposer from ever making a block. It never ends the node,
   * however often it happens: who finds such a call may send as many as there are proposers. A node
   * that can run nothing finds out when a block is decided.
   *
   * @returns Whether the block holds it.
   */
  async #executed(
    execution: BlockExecution,
    mempool: Mempool,
    transaction: Transaction,
  ): Promise<boolean> {
    try {
      await execution.execute(transaction);
      return true;
    } catch (error) {
      if (!isLedgerError(error, "CONTRACT_NODE_FAULT")) throw error;
      const { id, sender } = transaction;
      mempool.drop(id, error.code);
      // A failing call may take all the time there is for a block: the next one begins with others.
      mempool.putLast(sender);
      this.#parts.log.error({ ...error.facts, id }, "left out: the call failed");
      return false;
    }
  }

  #contextOf(head: Head, timeMs: number): ExecutionContext {
    const { caller, entries } = this.#parts;
    const { state, parameters, validators, parent } = head;
    return { state, caller, entries, parameters, validators, height: parent.height + 1, timeMs };
  }

  #keep(hash: Hash, outcome: Outcome): void {
    if (this.#outcomes.size >= limits.executedBlocksMax) {
      const [oldest] = this.#outcomes.keys();
      this.#outcomes.delete(oldest as Hash);
    }
    this.#outcomes.set(hash, outcome);
  }
}

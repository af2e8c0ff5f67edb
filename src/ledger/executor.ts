/**
 * Executes the transactions of one block in order. What comes out depends on the state before, the
 * block's height, time and transactions, and nothing else: no clock, no random, no locale. State
 * roots are not made here: the tree of the state before takes `hashes`.
 *
 * Invariants:
 *
 * (1) Every executed transaction was admissible on the state its predecessors left.
 * (2) A failed call leaves no trace but its receipt and its nonce.
 * (3) A transaction is in a block only if the gas used before it plus its limit is at most
 *     `blockGasMax`, so the sum of gas used never exceeds that.
 * (4) A node fault (`caller` rejects) is never a receipt: it ends the execution.
 *
 * Replay windows are written once, at the end of the block: contracts see those of the block
 * before, admission sees the present ones.
 */
import { setImmediate } from "node:timers/promises";
import { assert } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import type { LedgerParameters } from "../base/format/genesis.ts";
import { encodeReceipt, type Receipt } from "../base/format/receipt.ts";
import {
  decodeWindow,
  encodeWindow,
  type ReplayWindow,
  useNonce,
  windowKey,
} from "../base/format/replay-window.ts";
import type { Transaction } from "../base/format/transaction.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import { merkleRoot } from "../base/proof/merkle.ts";
import { stateRefusal } from "./admission.ts";
import { StateOverlay } from "./state-overlay.ts";
import {
  readParameters,
  readValidators,
  rolesOfMethod,
  type SenderEntry,
  type SystemEntries,
} from "./system-entries.ts";
import type { CallOutcome, ContractCaller, StateChange, StateReader } from "./types.ts";

/** What a block is executed on. */
export type ExecutionContext = {
  /** State before the block; must not change until the execution is finished. */
  readonly state: StateReader;
  readonly caller: ContractCaller;
  readonly entries: SystemEntries;
  /** Those that hold for this block, read from the state before it. */
  readonly parameters: LedgerParameters;
  readonly validators: readonly PublicKey[];
  readonly height: number;
  /** Time of the block, UTC milliseconds. */
  readonly timeMs: number;
};

/** All that follows from a block's transactions. */
export type ExecutedBlock = {
  readonly transactions: readonly Transaction[];
  readonly receipts: readonly Receipt[];
  readonly receiptBytes: readonly Uint8Array[];
  /** Net changes, replay windows included, ascending by key bytes. */
  readonly changes: readonly StateChange[];
  /** The same keys with the hashes of their values, for the state tree. */
  readonly hashes: readonly (readonly [key: string, valueHash: Hash | undefined])[];
  readonly gasUsed: number;
  /** What failed calls said, for people; by transaction id, never hashed. */
  readonly details: ReadonlyMap<Hash, string>;
  readonly receiptsRoot: Hash;
  readonly nextValidators: readonly PublicKey[];
  readonly nextParameters: LedgerParameters;
};

/** Calls that run before the event loop gets a turn: a long block must not delay a vote. */
const callsPerTurn = 32;
const gasPerTurn = 10_000_000;

/** The execution of one block, transaction by transaction. */
export class BlockExecution {
  readonly parameters: LedgerParameters;
  readonly #context: ExecutionContext;
  readonly #overlay: StateOverlay;
  readonly #windows = new Map<PublicKey, ReplayWindow>();
  readonly #details = new Map<Hash, string>();
  readonly #usedWindows = new Set<PublicKey>();
  readonly #senders = new Map<PublicKey, SenderEntry | undefined>();
  readonly #transactions: Transaction[] = [];
  readonly #receipts: Receipt[] = [];
  #gasUsed = 0;
  #gasAtTurn = 0;
  #systemChanged = false;

  constructor(context: ExecutionContext) {
    this.#context = context;
    this.#overlay = new StateOverlay(context.state);
    this.parameters = context.parameters;
  }

  /** Number of transactions executed. */
  get count(): number {
    return this.#transactions.length;
  }

  /** Tells whether the gas limit of a transaction still fits the block (invariant 3). */
  hasGasFor(transaction: Transaction): boolean {
    return this.#gasUsed + transaction.gasLimit <= this.parameters.blockGasMax;
  }

  /** Returns why the transaction is not admissible as the next one, if so. */
  refusalOf(transaction: Transaction): LedgerError | undefined {
    return stateRefusal(transaction, {
      parameters: this.parameters,
      timeMs: this.#context.timeMs,
      sender: this.#senderOf(transaction.sender),
      contract: this.#context.entries.contract(this.#overlay, transaction.contract),
      window: this.#windowOf(transaction.sender),
    });
  }

  /**
   * Executes a transaction that has no refusal and whose gas fits.
   *
   * @throws {LedgerError} What the caller rejects with: a node fault.
   */
  async execute(transaction: Transaction): Promise<void> {
    const { sender, nonce, gasLimit, id } = transaction;
    const outcome = await this.#call(transaction);
    this.#windows.set(sender, useNonce(this.#windowOf(sender), nonce));
    this.#usedWindows.add(sender);
    // A call may notice that its gas is spent a few units late; it still pays its limit only.
    const gasUsed = Math.min(outcome.gasUsed, gasLimit);
    const isOk = outcome.outcome === "ok";
    const changes = isOk ? this.#applyChanges(transaction.contract, outcome.changes) : [];
    const events = isOk ? outcome.events : [];
    const receipt = { transactionId: id, outcome: outcome.outcome, gasUsed, events, changes };
    if (outcome.detail !== undefined) this.#details.set(id, outcome.detail);
    this.#receipts.push(receipt);
    this.#transactions.push(transaction);
    this.#gasUsed += gasUsed;
    await this.#takeTurns();
  }

  /** Ends the block. @returns Receipts, net changes and roots. */
  finish(): ExecutedBlock {
    for (const sender of this.#usedWindows) {
      const key = windowKey(this.#context.entries.didOf(sender));
      this.#overlay.set(key, encodeWindow(this.#windowOf(sender)));
    }
    const isChanged = this.#systemChanged;
    const { changes, hashes } = this.#overlay.netChanges();
    const receiptBytes = this.#receipts.map(encodeReceipt);
    return {
      transactions: this.#transactions,
      receipts: this.#receipts,
      receiptBytes,
      changes,
      hashes,
      gasUsed: this.#gasUsed,
      details: this.#details,
      receiptsRoot: merkleRoot(receiptBytes),
      nextValidators: isChanged ? readValidators(this.#overlay) : this.#context.validators,
      nextParameters: isChanged ? readParameters(this.#overlay) : this.parameters,
    };
  }

  async #call(transaction: Transaction): Promise<CallOutcome> {
    const { contract, method, argsJson, gasLimit, sender } = transaction;
    const { entries, caller, height, timeMs } = this.#context;
    const installed = entries.contract(this.#overlay, contract);
    if (installed === undefined) return refused("CONTRACT_UNKNOWN");
    if (rolesOfMethod(installed, method) === undefined) return refused("CONTRACT_METHOD_UNKNOWN");
    const entry = this.#senderOf(sender);
    assert(entry !== undefined, "an admitted sender is enrolled");
    const { did, roles } = entry;
    const call = { contract, method, argsJson, gasLimit, height, timeMs, roles };
    return caller.call({ ...call, kind: "method", sender: did }, this.#overlay);
  }

  #applyChanges(contract: string, changes: readonly StateChange[]) {
    return changes.map(([key, value]) => {
      assert(key.startsWith(`${contract}/`), "a contract changes only its own keys");
      if (key.startsWith("system/")) this.#onSystemChange();
      return { key, valueHash: this.#overlay.set(key, value) };
    });
  }

  #onSystemChange(): void {
    this.#systemChanged = true;
    this.#senders.clear();
  }

  #senderOf(publicKey: PublicKey): SenderEntry | undefined {
    if (this.#senders.has(publicKey)) return this.#senders.get(publicKey);
    const { entries } = this.#context;
    const entry = entries.sender(this.#overlay, entries.didOf(publicKey));
    this.#senders.set(publicKey, entry);
    return entry;
  }

  #windowOf(publicKey: PublicKey): ReplayWindow {
    let window = this.#windows.get(publicKey);
    if (window === undefined) {
      const key = windowKey(this.#context.entries.didOf(publicKey));
      window = decodeWindow(this.#context.state.get(key));
      this.#windows.set(publicKey, window);
    }
    return window;
  }

  async #takeTurns(): Promise<void> {
    const isDue = this.#gasUsed - this.#gasAtTurn >= gasPerTurn;
    if (!isDue && this.#receipts.length % callsPerTurn !== 0) return;
    this.#gasAtTurn = this.#gasUsed;
    await setImmediate();
  }
}

/**
 * Executes a whole block that others made.
 *
 * @throws {LedgerError} BLOCK_INVALID when a transaction is not admissible where it stands or the
 *   gas does not fit; what the caller rejects with on a node fault.
 */
export async function executeBlock(
  context: ExecutionContext,
  transactions: readonly Transaction[],
): Promise<ExecutedBlock> {
  const { height } = context;
  const execution = new BlockExecution(context);
  for (const [index, transaction] of transactions.entries()) {
    const refusal = execution.refusalOf(transaction);
    if (refusal !== undefined) {
      const reason = `transaction ${index}: ${refusal.code}`;
      throw new LedgerError("BLOCK_INVALID", { height, reason }, { cause: refusal });
    }
    if (!execution.hasGasFor(transaction)) {
      const reason = `transaction ${index}: its gas limit does not fit the block`;
      throw new LedgerError("BLOCK_INVALID", { height, reason });
    }
    await execution.execute(transaction);
  }
  return execution.finish();
}

/** A call that fails before any contract runs; it uses no gas. */
function refused(outcome: string): CallOutcome {
  return { outcome, gasUsed: 0, changes: [], events: [] };
}

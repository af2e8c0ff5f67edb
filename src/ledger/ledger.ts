/**
 * The ledger of one node: admission, mempool, candidate blocks, append, and reading. The
 * composition root drives it; it knows nothing of consensus messages, network or HTTP.
 *
 * Invariants:
 *
 * (1) Only a block with a valid certificate whose roots this node computed itself is appended.
 * (2) After a divergence (D2) nothing is built, checked or appended any more.
 * (3) A block is executed, a transaction decoded and verified, once.
 * (4) Listeners hear of every appended block once, in order, after it is on disk.
 */
import { AssertionError, assert } from "../base/assert.ts";
import { isLedgerError } from "../base/errors.ts";
import type { Block } from "../base/format/block.ts";
import type { GenesisBlock, LedgerParameters } from "../base/format/genesis.ts";
import { canonicalJson } from "../base/format/json.ts";
import type { Certificate } from "../base/format/message.ts";
import type { Receipt } from "../base/format/receipt.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey, Verifier } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/log.ts";
import { verifyCertificate } from "../base/proof/certificate.ts";
import type { ProposerSchedule } from "../base/proposer-schedule.ts";
import { BlockMaker, type Outcome } from "./block-maker.ts";
import { blockInvalid, isHeartbeatDue } from "./block-rules.ts";
import { CallDetails } from "./call-details.ts";
import { ChainReader, eventsOf } from "./chain-reader.ts";
import { checkCheckpoint, compareCheckpoint } from "./checkpoint.ts";
import { FinalWaiters, type WaitOptions } from "./final-waiters.ts";
import { type Head, nextHead, readHead } from "./head.ts";
import { Intake, nextTimeMs } from "./intake.ts";
import type {
  Appended,
  CheckPayer,
  Divergence,
  EventPage,
  SenderInfo,
  StateProof,
  Submission,
  Tip,
  TransactionProof,
  TransactionStatus,
  ViewRequest,
} from "./ledger-types.ts";
import { Lock } from "./lock.ts";
import { Mempool } from "./mempool.ts";
import type { Checkpoint } from "./snapshot-verify.ts";
import type { StateView } from "./state-store.ts";
import type { LedgerStore } from "./store.ts";
import { withSystemContract } from "./system/system-caller.ts";
import { isSystemChange, SystemEntries } from "./system-entries.ts";
import type { CallOutcome, ContractCaller } from "./types.ts";
import { VerifiedTransactions } from "./verified-transactions.ts";

/** What a ledger is made of. The store stays the caller's to close. */
export type LedgerOptions = {
  readonly store: LedgerStore;
  readonly genesis: GenesisBlock;
  readonly verifier: Verifier;
  readonly caller: ContractCaller;
  readonly clock: Clock;
  readonly log: Log;
  /** A block that must be on the chain. */
  readonly checkpoint?: Checkpoint | undefined;
};

/** The facade of src/ledger. */
export class Ledger {
  readonly chainId: Hash;
  readonly #store: LedgerStore;
  readonly #verifier: Verifier;
  readonly #caller: ContractCaller;
  readonly #log: Log;
  readonly #entries = new SystemEntries();
  readonly #waiters = new FinalWaiters();
  readonly #mempool: Mempool;
  readonly #intake: Intake;
  readonly #maker: BlockMaker;
  readonly #reader: ChainReader;
  readonly #lock = new Lock();
  readonly #details = new CallDetails();
  readonly #listeners = new Set<(appended: Appended) => void>();
  readonly #checkpoint: Checkpoint | undefined;
  #head: Head;
  #divergence: Divergence | undefined;

  private constructor(options: LedgerOptions, head: Head) {
    const { store, genesis, verifier, caller, clock, log } = options;
    this.chainId = genesis.chainId;
    this.#store = store;
    this.#verifier = verifier;
    this.#caller = caller;
    this.#log = log;
    this.#checkpoint = options.checkpoint;
    this.#mempool = new Mempool({
      onDropped: (id, code) => this.#waiters.resolve(id, { status: "dropped", code }),
    });
    this.#head = head;
    this.#reader = new ChainReader(store);
    const verified = new VerifiedTransactions({ chainId: genesis.chainId, verifier });
    const callers = withSystemContract(caller, { chainId: genesis.chainId, verifier });
    const parts = { caller: callers, clock, log, entries: this.#entries, verified };
    this.#maker = new BlockMaker(parts);
    this.#intake = new Intake({
      ...parts,
      mempool: this.#mempool,
      head: () => this.#head,
      findFinal: (id) => this.#reader.findFinal(id),
    });
  }

  /** Makes the ledger of an open store. */
  static async open(options: LedgerOptions): Promise<Ledger> {
    assert(options.store.chainId === options.genesis.chainId, "the store is of the genesis' chain");
    await checkCheckpoint(options.store, options.checkpoint);
    return new Ledger(options, await readHead(options.store));
  }

  /** The last appended block. */
  get tip(): Tip {
    return this.#head.parent;
  }

  /** Who proposes the next block, and who is passed over. */
  get schedule(): ProposerSchedule {
    return this.#head.schedule;
  }

  /** The state after the tip, a fixed view: take it anew for each use. */
  get state(): StateView {
    return this.#head.state;
  }

  /** Why this node stopped taking part, if it did (invariant 2). */
  get divergence(): Divergence | undefined {
    return this.#divergence;
  }

  /** Pending transactions and the bytes they hold, for metrics. */
  get mempool(): { readonly count: number; readonly bytes: number } {
    return { count: this.#mempool.count, bytes: this.#mempool.bytes };
  }

  /** Returns the validators of the next height, sorted ascending. */
  validators(): readonly PublicKey[] {
    return this.#head.validators;
  }

  /** Returns the parameters that hold for the next block. */
  parameters(): LedgerParameters {
    return this.#head.parameters;
  }

  /**
   * Admits signed bytes. The same transaction again gives its status, not an error.
   *
   * @throws {LedgerError} Why it is refused; `admissionClass(code)` says whether the bytes blame
   *   whoever passed them on.
   */
  submit(bytes: Uint8Array): Promise<Submission> {
    return this.#intake.submit(bytes);
  }

  /** Admits many, at a peer's cost; refusals come back in their places. */
  submitAll(list: readonly Uint8Array[], payer?: CheckPayer) {
    return this.#intake.submitAll(list, payer);
  }

  /** Tells whether the next block has something to hold: a transaction, or a due heartbeat. */
  hasWork(nowMs: number): boolean {
    const timestampMs = nextTimeMs(this.#head, nowMs);
    return this.#mempool.holdsFor(timestampMs) || isHeartbeatDue(this.#head, timestampMs);
  }

  /**
   * Returns signed bytes of pending transactions to pass on, fairly chosen.
   *
   * @param bytesMax - Bound on their sum; default a block's worth.
   */
  pendingTransactions(bytesMax: number = limits.blockBytesMax): Uint8Array[] {
    const selection = this.#mempool.select();
    const list: Uint8Array[] = [];
    let bytesLeft = bytesMax;
    for (;;) {
      const bytes = selection.next()?.bytes;
      if (bytes === undefined || bytes.length > bytesLeft) return list;
      list.push(bytes);
      bytesLeft -= bytes.length;
    }
  }

  /**
   * Builds the next block, executed.
   *
   * @returns `undefined` when there is no work.
   * @throws {LedgerError} LEDGER_DIVERGENCE.
   */
  buildBlock(options: {
    readonly proposer: PublicKey;
    readonly nowMs: number;
  }): Promise<Block | undefined> {
    return this.#lock.run(async () => {
      this.#checkTakesPart();
      return this.#maker.build(this.#head, this.#mempool, options);
    });
  }

  /**
   * Checks a proposed block by every rule but its certificate, execution included.
   *
   * @param options - `fresh`: a first proposal, whose time is held against `nowMs`.
   * @throws {LedgerError} BLOCK_INVALID; LEDGER_DIVERGENCE, or a node fault: then abstain.
   */
  checkBlock(
    block: Block,
    options: { readonly fresh: boolean; readonly nowMs: number },
  ): Promise<void> {
    return this.#lock.run(async () => {
      this.#checkTakesPart();
      await this.#maker.check(this.#head, block, options);
    });
  }

  /**
   * Appends a decided block. One that is appended already changes nothing.
   *
   * @throws {LedgerError} LEDGER_CHECKPOINT_DIFFERS; BLOCK_INVALID or CERTIFICATE_INVALID when whoever sent it is at fault;
   *   LEDGER_DIVERGENCE when this node is (D2); a node fault; what the store's append throws.
   */
  append(block: Block, certificate: Certificate): Promise<void> {
    return this.#lock.run(async () => {
      this.#checkTakesPart();
      const { height } = block.header;
      const { parent, validators } = this.#head;
      if (height <= parent.height) return this.#checkAppended(block);
      if (height > parent.height + 1) throw blockInvalid(height, "the block before it is missing");
      this.#maker.checkContent(block);
      const context = { chainId: this.chainId, validators, verifier: this.#verifier };
      verifyCertificate(certificate, block.header, context);
      compareCheckpoint(this.#checkpoint, block);
      const outcome = await this.#certifiedOutcome(block, certificate);
      const { executed, stateTree } = outcome;
      const transactionIds = executed.transactions.map(({ id }) => id);
      const { receiptBytes: receipts, changes } = executed;
      const input = { block, certificate, receipts, transactionIds, changes, stateTree };
      await this.#store.append(input);
      this.#onAppended(block, certificate, outcome);
    });
  }

  /** Returns what the node knows of a transaction. */
  async status(id: Hash): Promise<TransactionStatus> {
    if (this.#mempool.get(id) !== undefined) return { status: "pending" };
    const final = await this.#reader.findFinal(id);
    if (final !== undefined) return this.#details.added(id, final);
    const code = this.#mempool.droppedCode(id);
    if (code !== undefined) return { status: "dropped", code };
    const { baseHeight } = this.#store;
    return baseHeight > 0 ? { status: "pruned", baseHeight } : { status: "unknown" };
  }

  /** Waits until a transaction is final or dropped. @returns Its status when time is up, too. */
  async waitFinal(id: Hash, options: WaitOptions): Promise<TransactionStatus> {
    const settled = await this.#waiters.wait(id, options, () => this.status(id));
    return settled ?? this.status(id);
  }

  /** Returns what a sender needs to know before it signs. */
  senderInfo(sender: PublicKey): SenderInfo {
    return this.#intake.senderInfo(sender);
  }

  /** Height up to which there are no blocks here, 0 when there are all. */
  get baseHeight(): number {
    return this.#store.baseHeight;
  }

  /** See LedgerStore.readBlock. */
  readBlock(height: number): ReturnType<LedgerStore["readBlock"]> {
    return this.#store.readBlock(height);
  }

  /** See LedgerStore.readBlockBytes. */
  readBlockBytes(height: number): ReturnType<LedgerStore["readBlockBytes"]> {
    return this.#store.readBlockBytes(height);
  }

  /** See LedgerStore.readReceipts. */
  readReceipts(height: number): Promise<Uint8Array[]> {
    return this.#store.readReceipts(height);
  }

  /** See ChainReader.proveTransaction. */
  proveTransaction(id: Hash): Promise<TransactionProof | undefined> {
    return this.#reader.proveTransaction(id);
  }

  /** See ChainReader.proveState. */
  proveState(key: string, height?: number): Promise<StateProof> {
    return this.#reader.proveState(key, height);
  }

  /** See LedgerStore.history. */
  history(key: string, query?: { from?: number; limit?: number }) {
    return this.#store.history(key, query);
  }

  /** See ChainReader.events. */
  events(query: { fromHeight: number; fromIndex: number; limit: number }): Promise<EventPage> {
    return this.#reader.events(query);
  }

  /**
   * Asks a contract's view on the state after the tip. What the contract refuses is in the outcome.
   *
   * @throws {LedgerError} JSON_INVALID for the arguments; a node fault.
   */
  async view(request: ViewRequest): Promise<CallOutcome> {
    const { contract, method, sender = "" } = request;
    const argsJson = canonicalJson(request.argsJson);
    const { state, parent, parameters } = this.#head;
    const installed = this.#entries.contract(state, contract);
    const failed = { gasUsed: 0, changes: [], events: [] };
    if (installed === undefined) return { outcome: "CONTRACT_UNKNOWN", ...failed };
    if (!installed.views.includes(method)) return { outcome: "CONTRACT_METHOD_UNKNOWN", ...failed };
    const roles = sender === "" ? [] : (this.#entries.sender(state, sender)?.roles ?? []);
    const gasLimit = Math.min(parameters.callGasMax, limits.callGasMax);
    const { height, timestampMs: timeMs } = parent;
    const call = { contract, method, argsJson, sender, roles, gasLimit, height, timeMs };
    return this.#caller.call({ ...call, kind: "view" }, state);
  }

  /** Calls the listener after each append, in order. @returns What ends that. */
  onAppend(listener: (appended: Appended) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #checkTakesPart(): void {
    if (this.#divergence !== undefined) throw this.#divergence.error;
  }

  async #checkAppended({ header, hash }: Block): Promise<void> {
    const { height } = header;
    const { parent } = this.#head;
    const isTip = height === parent.height;
    // There is nothing to compare it with, and nothing that it could change.
    if (!isTip && height <= this.#store.baseHeight) return;
    const own = isTip ? parent.hash : (await this.#store.readBlock(height))?.block.hash;
    if (own !== hash) throw blockInvalid(height, "another block is final at this height");
  }

  async #certifiedOutcome(block: Block, certificate: Certificate): Promise<Outcome> {
    try {
      return await this.#maker.certifiedOutcomeOf(this.#head, block);
    } catch (error) {
      if (isLedgerError(error, "LEDGER_DIVERGENCE")) {
        const executed = this.#maker.known(block.hash)?.executed;
        this.#divergence = { error, block, certificate, executed };
        this.#log.error({ ...error.facts, hash: block.hash }, "own result differs; stopped");
      }
      throw error;
    }
  }

  #onAppended(block: Block, certificate: Certificate, { executed }: Outcome): void {
    const { transactions, receipts, receiptBytes, changes } = executed;
    const { height } = block.header;
    const bytes = receiptBytes.reduce((sum, each) => sum + each.length, 0);
    const events = eventsOf(block.header, receipts);
    const { validators } = this.#head;
    this.#head = nextHead(this.#store, this.#head);
    this.#maker.clear();
    this.#reader.remember(height, { receipts, events, bytes });
    this.#details.remember(executed.details);
    this.#intake.onAppended(transactions, changes.some(isSystemChange));
    for (const [index, { id }] of transactions.entries()) {
      if (!this.#waiters.has(id)) continue;
      const receipt = receipts[index] as Receipt;
      this.#waiters.resolve(
        id,
        this.#details.added(id, { status: "final", height, index, receipt }),
      );
    }
    for (const listener of this.#listeners)
      this.#notify(listener, { block, certificate, validators, receipts, events });
  }

  #notify(listener: (appended: Appended) => void, appended: Appended): void {
    try {
      listener(appended);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      // The block is on disk whatever a listener makes of it.
      this.#log.error({ error, height: appended.block.header.height }, "a listener failed");
    }
  }
}

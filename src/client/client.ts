/**
 * The client of a Loopledger node: for gateways, command lines, auditors and browsers. It signs,
 * sends, follows and reads over HTTP, from any node of a list, and verifies what is final itself.
 *
 * What it does not do: keep anything. A gateway that must not lose readings has an outbox; this
 * client only has the calls such an outbox needs (`submit`, `transaction`, `final`).
 *
 * @example
 * const client = new LedgerClient({ nodes: ["http://127.0.0.1:7501", "http://127.0.0.1:7502"] });
 * const trust = trustOf(parseGenesis(genesisText), portableVerifier);
 * const call = { contract: "billing", method: "makeBill", args: { meter: "m-1", month: "2019-01" } };
 * const { receipt } = await client.submitAndWait(call, { signer, trust });
 */
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { type Did, didOf } from "../base/format/did.ts";
import { encodeJson, type JsonValue } from "../base/format/json.ts";
import { signTransaction, type Transaction } from "../base/format/transaction.ts";
import type { Hash } from "../base/hash.ts";
import type { Signer } from "../base/keys.ts";
import { type Cursor, type FollowOptions, followEvents, pause } from "./event-stream.ts";
import {
  type FinalTransaction,
  type ProvenState,
  type Trust,
  verifyFinal,
  verifyState,
} from "./finality.ts";
import {
  Account,
  Block,
  Blocks,
  Contracts,
  EventPage,
  FinalityProof,
  type LedgerEvent,
  Members,
  StateHistory,
  StateValue,
  Status,
  TransactionStatus,
  ValidatorChanges,
  Validators,
  ViewResult,
} from "./schemas.ts";
import { type NodeHealth, Transport, type TransportOptions } from "./transport.ts";

/** A method call as a person writes it. */
export type CallInput = {
  readonly contract: string;
  readonly method: string;
  readonly args: JsonValue;
};

/** How to sign a call. */
export type SignOptions = {
  readonly signer: Signer;
  readonly chainId: Hash;
  readonly nonce: number;
  /** UTC milliseconds; default 10 minutes from now by this machine's clock. */
  readonly expiresAtMs?: number | undefined;
  readonly gasLimit: number;
};

/** How to wait. */
export type WaitOptions = {
  /** In all, whatever the number of nodes; default 30 s. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
};

/** How to submit and wait. */
export type SubmitOptions = WaitOptions & {
  readonly signer: Signer;
  readonly trust: Trust;
  readonly expiresAtMs?: number | undefined;
  /** Default: the most that the ledger permits. */
  readonly gasLimit?: number | undefined;
};

const waitMsDefault = 30_000;
/** One long poll; shorter than what proxies cut. */
const pollMsMax = 20_000;
const expiryMsDefault = 600_000;
/** Another process with the same key may take the nonce first; more often is not chance. */
const nonceAttemptsMax = 5;

/** Signs a call. Touches no network. */
export function signCall(call: CallInput, options: SignOptions): Transaction {
  const { signer, chainId, nonce, gasLimit } = options;
  const { contract, method } = call;
  const argsJson = encodeJson(call.args);
  const expiresAtMs = options.expiresAtMs ?? Date.now() + expiryMsDefault;
  return signTransaction(
    { chainId, nonce, expiresAtMs, contract, method, argsJson, gasLimit },
    signer,
  );
}

/** Speaks to the nodes of one ledger. Every method throws the node's errors, or CLIENT_*. */
export class LedgerClient {
  readonly #transport: Transport;

  constructor(options: TransportOptions) {
    this.#transport = new Transport(options);
  }

  /** The nodes with what is known of them. */
  get nodes(): readonly NodeHealth[] {
    return this.#transport.nodes;
  }

  /** Returns the status of the node that answers first. */
  status(): Promise<Status> {
    return this.#transport.json(Status, { path: "/v1/status" });
  }

  /** Returns the genesis file as a node shows it. Trust it only if the chain id is the known one. */
  genesis(): Promise<string> {
    return this.#transport.text({ path: "/v1/genesis" });
  }

  /** Returns what a sender needs to know before it signs. */
  account(did: Did): Promise<Account> {
    return this.#transport.json(Account, { path: `/v1/accounts/${encodeURIComponent(did)}` });
  }

  /** Lists the installed contracts. */
  async contracts(): Promise<Contracts["contracts"]> {
    return (await this.#transport.json(Contracts, { path: "/v1/contracts" })).contracts;
  }

  /**
   * Sends signed bytes. May be repeated, and with the same bytes: the node then tells the status.
   *
   * @returns `pending` means "held in memory"; `final` is a claim until it is verified.
   */
  submit(bytes: Uint8Array, options?: { signal?: AbortSignal }): Promise<TransactionStatus> {
    const request = { path: "/v1/transactions", body: bytes, signal: options?.signal };
    return this.#transport.json(TransactionStatus, request);
  }

  /**
   * Looks a transaction up; with `waitMs` the node holds the answer until it is final or dropped.
   *
   * @returns `undefined` when the node that answered knows no such transaction.
   */
  async transaction(
    id: Hash,
    options: {
      readonly waitMs?: number | undefined;
      readonly withCall?: boolean | undefined;
      readonly signal?: AbortSignal | undefined;
    } = {},
  ): Promise<TransactionStatus | undefined> {
    const { waitMs = 0, withCall = false, signal } = options;
    const query = new URLSearchParams();
    if (waitMs > 0) query.set("wait", "final");
    if (waitMs > 0) query.set("timeoutMs", `${Math.ceil(waitMs)}`);
    if (withCall) query.set("call", "1");
    const path = `/v1/transactions/${id}${query.size > 0 ? `?${query}` : ""}`;
    const timeoutMs = waitMs > 0 ? waitMs + 5_000 : undefined;
    try {
      return await this.#transport.json(TransactionStatus, { path, timeoutMs, signal });
    } catch (error) {
      if (isLedgerError(error, "API_TRANSACTION_UNKNOWN")) return undefined;
      throw error;
    }
  }

  /** Returns the proof of a final transaction, not yet verified. */
  proof(id: Hash): Promise<FinalityProof> {
    return this.#transport.json(FinalityProof, { path: `/v1/transactions/${id}/proof` });
  }

  /**
   * Fetches the proof of a final transaction and verifies it; a node that presents a proof that
   * does not hold is passed over.
   *
   * @param expected - Id or, better, the exact signed bytes with it.
   * @throws {LedgerError} CLIENT_PROOF_INVALID when no node presents one that holds.
   */
  final(id: Hash, trust: Trust, expected: Hash | Uint8Array = id): Promise<FinalTransaction> {
    const request = { path: `/v1/transactions/${id}/proof` };
    return this.#withSets(trust, () =>
      this.#transport.verified(FinalityProof, request, (proof) =>
        verifyFinal(proof, trust, expected),
      ),
    );
  }

  /**
   * Waits until a transaction is final and verifies that it is. Asks other nodes when one is lost.
   *
   * @throws {LedgerError} CLIENT_WAIT_TIMEOUT, CLIENT_TRANSACTION_DROPPED, CLIENT_PROOF_INVALID.
   */
  async waitFinal(id: Hash, trust: Trust, options: WaitOptions = {}): Promise<FinalTransaction> {
    const { timeoutMs = waitMsDefault, signal } = options;
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) throw new LedgerError("CLIENT_WAIT_TIMEOUT", { id, timeoutMs });
      const status = await this.#poll(id, Math.min(leftMs, pollMsMax), signal);
      if (status?.status === "final") return this.final(id, trust);
      if (status?.status === "dropped")
        throw new LedgerError("CLIENT_TRANSACTION_DROPPED", { id, dropped: status.code });
      // A node that was asked after a fail-over may not know it yet, and answers at once.
      if (status?.status !== "pending") await pause(Math.min(200, leftMs), signal);
    }
  }

  /**
   * Signs a call with the next nonce, sends it, waits until it is final, and verifies that.
   *
   * @returns The proven receipt; look at its `outcome`, which is `ok` or a contract's code.
   * @throws {LedgerError} The code of admission, or what `waitFinal` throws.
   */
  async submitAndWait(call: CallInput, options: SubmitOptions): Promise<FinalTransaction> {
    const { id } = await this.submitCall(call, options);
    return this.waitFinal(id, options.trust, options);
  }

  /** Signs a call with the next nonce and sends it. @returns The admitted transaction. */
  async submitCall(call: CallInput, options: SubmitOptions): Promise<Transaction> {
    const { signer, trust, expiresAtMs, signal } = options;
    const { chainId } = trust;
    for (let attempt = 1; ; attempt += 1) {
      const account = await this.account(didOf(signer.publicKey));
      const nonce = Math.max(account.nonceHighest, account.pendingNonceHighest) + 1;
      const gasLimit = options.gasLimit ?? account.gasLimitMax;
      const transaction = signCall(call, { signer, chainId, nonce, expiresAtMs, gasLimit });
      try {
        await this.submit(transaction.bytes, signal === undefined ? {} : { signal });
        return transaction;
      } catch (error) {
        const isTaken =
          isLedgerError(error, "TRANSACTION_NONCE_CONFLICT") ||
          isLedgerError(error, "TRANSACTION_NONCE_USED");
        if (!isTaken || attempt === nonceAttemptsMax) throw error;
      }
    }
  }

  /**
   * Asks a contract's view. The answer is one node's word.
   *
   * @throws {LedgerError} API_VIEW_REFUSED with the contract's own code as `outcome`.
   */
  view(contract: string, view: string, args: JsonValue = {}): Promise<ViewResult> {
    const query = new URLSearchParams({ args: encodeJson(args) });
    const path = `/v1/contracts/${encodeURIComponent(contract)}/views/${encodeURIComponent(view)}`;
    return this.#transport.json(ViewResult, { path: `${path}?${query}` });
  }

  /** Reads a state value, by default after the tip. The answer is one node's word. */
  state(key: string, options: { readonly height?: number } = {}): Promise<StateValue> {
    return this.#transport.json(StateValue, { path: statePath(key, options.height, false) });
  }

  /** Reads a state value of a recent height with its proof, and verifies it. */
  provenState(
    key: string,
    trust: Trust,
    options: { readonly height?: number } = {},
  ): Promise<ProvenState> {
    const request = { path: statePath(key, options.height, true) };
    return this.#withSets(trust, () =>
      this.#transport.verified(StateValue, request, (answer) => verifyState(answer, trust, key)),
    );
  }

  /** Lists what a state key was given, from a height on. */
  stateHistory(
    key: string,
    options: { readonly from?: number; readonly limit?: number } = {},
  ): Promise<StateHistory> {
    const query = new URLSearchParams({ key });
    for (const [name, value] of Object.entries(options)) query.set(name, `${value}`);
    return this.#transport.json(StateHistory, { path: `/v1/state-history?${query}` });
  }

  /** Returns a block. */
  block(height: number | "latest"): Promise<Block> {
    return this.#transport.json(Block, { path: `/v1/blocks/${height}` });
  }

  /** Returns a page of blocks, ascending from a height. */
  blocks(options: { readonly from?: number; readonly limit?: number } = {}): Promise<Blocks> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options)) query.set(name, `${value}`);
    return this.#transport.json(Blocks, { path: `/v1/blocks?${query}` });
  }

  /** Returns a page of events; go on at `next`. */
  eventPage(options: { readonly from?: Cursor; readonly limit?: number } = {}): Promise<EventPage> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options)) query.set(name, `${value}`);
    return this.#transport.json(EventPage, { path: `/v1/events?${query}` });
  }

  /**
   * Follows events from a cursor on, first those that were, then those that come, across breaks.
   * Keep `next` of the last event handled: it is where to go on after a restart.
   */
  events(options: FollowOptions = {}): AsyncGenerator<LedgerEvent & { readonly next: Cursor }> {
    return followEvents(this.#transport, options);
  }

  /**
   * Returns the text of a bill's evidence bundle. Verify it with `verifyEvidence` of base/proof.
   *
   * @param billId - `METER/MONTH/N`.
   */
  evidence(billId: string): Promise<string> {
    const segments = billId.split("/").map(encodeURIComponent).join("/");
    return this.#transport.text({ path: `/v1/evidence/bills/${segments}` });
  }

  /** Returns the members, the candidates and the changes that wait. The answer is one node's word. */
  members(): Promise<Members> {
    return this.#transport.json(Members, { path: "/v1/members" });
  }

  /** Returns the validators of a height, by default the next one. One node's word. */
  validators(height?: number): Promise<Validators> {
    const query = height === undefined ? "" : `?height=${height}`;
    return this.#transport.json(Validators, { path: `/v1/validators${query}` });
  }

  /** Follows what is proven of later validator sets. @returns How many were news. */
  async followValidators(trust: Trust): Promise<number> {
    const { sets } = trust;
    for (let news = 0; ; ) {
      const request = { path: `/v1/validator-changes?from=${sets.lastFrom}` };
      const found = await this.#transport.verified(ValidatorChanges, request, ({ changes }) =>
        sets.follow(changes),
      );
      if (found === 0) return news;
      news += found;
    }
  }

  /** What does not hold under the known validators may hold under a set not known yet. */
  async #withSets<T>(trust: Trust, verify: () => Promise<T>): Promise<T> {
    try {
      return await verify();
    } catch (error) {
      if (!isLedgerError(error, "CLIENT_PROOF_INVALID")) throw error;
      const news = await this.followValidators(trust).catch(() => 0);
      if (news === 0) throw error;
      return verify();
    }
  }

  /** A node that is lost while it holds the answer is replaced by the next one. */
  async #poll(
    id: Hash,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<TransactionStatus | undefined> {
    try {
      return await this.transaction(id, { waitMs, signal });
    } catch (error) {
      const isLost =
        isLedgerError(error, "CLIENT_UNREACHABLE") || isLedgerError(error, "LEDGER_PRUNED");
      if (!isLost) throw error;
      await pause(Math.min(200, waitMs), signal);
      return undefined;
    }
  }
}

function statePath(key: string, height: number | undefined, proof: boolean): string {
  const query = new URLSearchParams({ key });
  if (height !== undefined) query.set("height", `${height}`);
  if (proof) query.set("proof", "1");
  return `/v1/state?${query}`;
}

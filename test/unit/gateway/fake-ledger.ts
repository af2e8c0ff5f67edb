/**
 * A ledger in memory with real signatures, certificates and proofs, and nodes in front of it that
 * can be away or lie. It remembers in how many successful transactions each reading was.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { bytesToHex } from "../../../src/base/bytes.ts";
import {
  type ErrorCode,
  errorTable,
  isLedgerError,
  LedgerError,
} from "../../../src/base/errors.ts";
import { blockOf, encodeHeader, type Header } from "../../../src/base/format/block.ts";
import { didOf } from "../../../src/base/format/did.ts";
import { evidenceTransactionOf } from "../../../src/base/format/evidence.ts";
import { genesisBlock } from "../../../src/base/format/genesis.ts";
import { encodeCertificate } from "../../../src/base/format/message.ts";
import { encodeReceipt } from "../../../src/base/format/receipt.ts";
import {
  checkNonce,
  decodeWindow,
  encodeWindow,
  type ReplayWindow,
  useNonce,
  windowKey,
} from "../../../src/base/format/replay-window.ts";
import { decodeTransaction, type Transaction } from "../../../src/base/format/transaction.ts";
import { valueHashOf } from "../../../src/base/hash.ts";
import { merklePath, merkleRoot } from "../../../src/base/proof/merkle.ts";
import { stateRootOf } from "../../../src/base/proof/state-proof.ts";
import type { Reading } from "../../../src/gateway/source-csv.ts";
import { certify, genesis, signerOf } from "../../helpers/evidence-chain.ts";

export { genesis };

/** The gateway's key. */
export const gatewaySigner = signerOf(101);
const { chainId, header: genesisHeader } = genesisBlock(genesis);
const stateKey = windowKey(didOf(gatewaySigner.publicKey));
/** All the state there is before the first transaction. */
const otherEntry = ["system/chain/info", "{}"] as const;

type Answer = { readonly status: number; readonly json: unknown };

/** One request to a node. */
export type FakeRequest = {
  readonly method: string;
  readonly url: URL;
  readonly body: Uint8Array;
  readonly signal?: AbortSignal | undefined;
};

/** Makes the i-th of a row of readings. */
export function readingOf(index: number, meter = "m1"): Reading {
  return [meter, 1_500_000_000_000 + index * 3_600_000, index * 10, index, index * 70, index * 30];
}

/** A chain with one sender. `signerCount` below 3 makes certificates that prove nothing. */
export class FakeLedger {
  /** Block time, UTC milliseconds. */
  timeMs = Date.now();
  /** Decides by itself soon after a submission. */
  isDeciding = true;
  /** The outcome of a reading; `ok` by default. */
  judge: (reading: Reading) => string = () => "ok";
  /** Successful transactions by reading. */
  readonly applied = new Map<string, number>();
  /** Transactions that were ever final, in order. */
  readonly finalOnes: Transaction[] = [];
  readonly pending = new Map<string, Transaction>();
  readonly #signerCount: number;
  readonly #final = new Map<string, object>();
  readonly #dropped = new Map<string, string>();
  readonly #waiters = new Set<() => void>();
  #window: ReplayWindow = decodeWindow(undefined);
  #tip: Header = genesisHeader;
  #timer: NodeJS.Timeout | undefined;

  constructor(signerCount = 3) {
    this.#signerCount = signerCount;
    this.decide();
  }

  /** Total of readings that were in exactly one successful transaction. */
  get once(): number {
    return [...this.applied.values()].filter((count) => count === 1).length;
  }

  submit(bytes: Uint8Array): object {
    const transaction = decodeTransaction(bytes);
    const { id, nonce, sender, expiresAtMs } = transaction;
    if (this.pending.has(id)) return { id, status: "pending" };
    if (this.#final.has(id)) return this.look(id);
    if (transaction.chainId !== chainId)
      throw new LedgerError("TRANSACTION_CHAIN_MISMATCH", { chainId, expected: chainId });
    if (sender !== gatewaySigner.publicKey)
      throw new LedgerError("TRANSACTION_SENDER_UNKNOWN", { sender });
    if (expiresAtMs <= this.timeMs)
      throw new LedgerError("TRANSACTION_EXPIRED", { expiresAtMs, timeMs: this.timeMs });
    const expiresAtMsMax = this.timeMs + 7 * 86_400_000;
    if (expiresAtMs > expiresAtMsMax)
      throw new LedgerError("TRANSACTION_EXPIRY_TOO_FAR", { expiresAtMs, expiresAtMsMax });
    const verdict = checkNonce(this.#window, nonce);
    if (verdict === "used") throw new LedgerError("TRANSACTION_NONCE_USED", { sender, nonce });
    if (verdict === "tooOld")
      throw new LedgerError("TRANSACTION_NONCE_TOO_OLD", { sender, nonce, nonceMin: 0 });
    if (verdict === "tooFar")
      throw new LedgerError("TRANSACTION_NONCE_TOO_FAR", { sender, nonce, nonceMax: 0 });
    for (const other of this.pending.values())
      if (other.nonce === nonce)
        throw new LedgerError("TRANSACTION_NONCE_CONFLICT", {
          sender,
          nonce,
          pendingId: other.id,
        });
    this.pending.set(id, transaction);
    if (this.isDeciding) this.#timer ??= setTimeout(() => this.decide(), 2);
    return { id, status: "pending" };
  }

  look(id: string): object {
    if (this.pending.has(id)) return { id, status: "pending" };
    const { receipt } = (this.#final.get(id) ?? {}) as { receipt?: object };
    if (receipt !== undefined) return { id, status: "final", height: 1, index: 0, receipt };
    const code = this.#dropped.get(id);
    if (code !== undefined) return { id, status: "dropped", code };
    throw new LedgerError("API_TRANSACTION_UNKNOWN", { id });
  }

  /** Looks until it is final or dropped, or time is up. */
  async wait(id: string, timeoutMs: number, signal?: AbortSignal): Promise<object> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const found = this.look(id) as { status: string };
      const leftMs = endMs - performance.now();
      if (found.status !== "pending" || leftMs <= 0 || signal?.aborted) return found;
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          this.#waiters.delete(done);
          resolve();
        };
        const timer = setTimeout(done, leftMs);
        this.#waiters.add(done);
        signal?.addEventListener("abort", done, { once: true });
      });
    }
  }

  proof(id: string): object {
    const { proof } = (this.#final.get(id) ?? {}) as { proof?: object };
    if (proof === undefined) throw new LedgerError("API_TRANSACTION_UNKNOWN", { id });
    return proof;
  }

  /** The gateway's window at the tip, with its proof. */
  provenState(key: string): object {
    const [[ownKey, text]] = this.#entries() as [readonly [string, string]];
    const isThere = key === ownKey;
    const proof = {
      header: bytesToHex(encodeHeader(this.#tip)),
      certificate: bytesToHex(encodeCertificate(this.#certify(this.#tip, []))),
      ...(isThere
        ? { inclusion: { path: [] } }
        : { absence: { leaf: { key: ownKey, valueHash: valueHashOf(text) }, path: [] } }),
    };
    const value = isThere ? JSON.parse(text) : null;
    return { key, height: this.#tip.height, text: isThere ? text : null, value, proof };
  }

  /** Makes a block of all that is pending. */
  decide(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.timeMs += 1;
    const all = [...this.pending.values()].sort((left, right) => left.nonce - right.nonce);
    this.pending.clear();
    for (const { id, expiresAtMs } of all)
      if (expiresAtMs <= this.timeMs) this.#dropped.set(id, "TRANSACTION_EXPIRED");
    const transactions = all.filter(({ expiresAtMs }) => expiresAtMs > this.timeMs);
    const outcomes = transactions.map((transaction) => this.#execute(transaction));
    const receipts = transactions.map(({ id: transactionId }, index) =>
      encodeReceipt({
        transactionId,
        outcome: outcomes[index] as string,
        gasUsed: 7,
        events: [],
        changes: [],
      }),
    );
    const bytes = transactions.map((transaction) => transaction.bytes);
    this.#tip = {
      ...this.#tip,
      chainId,
      height: this.#tip.height + 1,
      parentHash: blockOf(this.#tip, []).hash,
      timestampMs: this.timeMs,
      transactionsRoot: merkleRoot(bytes),
      receiptsRoot: merkleRoot(receipts),
      stateRoot: stateRootOf(this.#entries()),
    };
    const certificate = this.#certify(this.#tip, bytes);
    for (const [index, transaction] of transactions.entries()) {
      const proof = evidenceTransactionOf({
        transaction,
        receiptBytes: receipts[index] as Uint8Array,
        header: this.#tip,
        certificate,
        index,
        size: bytes.length,
        transactionPath: merklePath(bytes, index),
        receiptPath: merklePath(receipts, index),
      });
      const receipt = { outcome: outcomes[index], gasUsed: 7, events: [], changes: [] };
      this.#final.set(transaction.id, { proof, receipt });
      this.finalOnes.push(transaction);
    }
    for (const done of [...this.#waiters]) done();
  }

  /** Another holder of the key uses nonces, ever further ahead. */
  useElsewhere(...nonces: readonly number[]): void {
    for (const nonce of nonces) this.#window = useNonce(this.#window, nonce);
    for (const { id, nonce } of this.pending.values())
      if (checkNonce(this.#window, nonce) !== "fresh") {
        this.pending.delete(id);
        this.#dropped.set(id, "TRANSACTION_NONCE_USED");
      }
    this.decide();
  }

  /** Forgets what is pending, as nodes that are all killed do. */
  forgetPending(): void {
    this.pending.clear();
    for (const done of [...this.#waiters]) done();
  }

  #execute({ nonce, argsJson }: Transaction): string {
    this.#window = useNonce(this.#window, nonce);
    const { readings } = JSON.parse(argsJson) as { readings: Reading[] };
    const outcome = readings.map((one) => this.judge(one)).find((code) => code !== "ok") ?? "ok";
    if (outcome === "ok")
      for (const reading of readings.map((one) => JSON.stringify(one)))
        this.applied.set(reading, (this.applied.get(reading) ?? 0) + 1);
    return outcome;
  }

  #entries(): (readonly [string, string])[] {
    if (this.#window.highest === 0) return [otherEntry];
    return [[stateKey, encodeWindow(this.#window)]];
  }

  #certify(header: Header, transactions: readonly Uint8Array[]) {
    return certify(blockOf(header, transactions), this.#signerCount);
  }
}

/** A node's HTTP API as far as a gateway uses it. */
export class FakeNode {
  readonly ledger: FakeLedger;
  /** Requests seen, as `METHOD path`. */
  readonly requests: string[] = [];
  /** Refuses connections. */
  isAway = false;
  /** Answers instead of the node; `undefined` lets the node answer. */
  intercept: (request: FakeRequest) => Answer | undefined | Promise<Answer | undefined> = () =>
    undefined;
  onRequest: () => void = () => {};

  constructor(ledger: FakeLedger) {
    this.ledger = ledger;
  }

  /** `fetch` that reaches this node alone. */
  readonly fetch: typeof fetch = async (input, init) => {
    if (this.isAway) throw new TypeError("fetch failed");
    const signal = init?.signal ?? undefined;
    signal?.throwIfAborted();
    const body = (init?.body ?? new Uint8Array()) as Uint8Array;
    const request = { method: init?.method ?? "GET", url: new URL(String(input)), body, signal };
    const { status, json } = await unlessAborted(this.#answer(request), signal);
    if (this.isAway) throw new TypeError("fetch failed");
    return new Response(JSON.stringify(json), { status });
  };

  /** Serves on a free port. */
  async listen(): Promise<{ readonly url: string; readonly server: Server }> {
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { method = "GET", url } = request;
      const body = new Uint8Array(Buffer.concat(chunks));
      const answer = await this.#answer({ method, url: new URL(`http://node${url}`), body });
      response.statusCode = answer.status;
      response.end(JSON.stringify(answer.json));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
  }

  async #answer(request: FakeRequest): Promise<Answer> {
    this.requests.push(`${request.method} ${request.url.pathname}`);
    this.onRequest();
    try {
      return (await this.intercept(request)) ?? { status: 200, json: await this.#honest(request) };
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      return problem(error.code, error.facts);
    }
  }

  async #honest({ method, url, body, signal }: FakeRequest): Promise<object> {
    const { pathname, searchParams } = url;
    if (method === "POST") return this.ledger.submit(body);
    if (pathname === "/v1/state") return this.ledger.provenState(searchParams.get("key") ?? "");
    const [, , , id = "", part] = pathname.split("/");
    if (part === "proof") return this.ledger.proof(id);
    return this.ledger.wait(id, Number(searchParams.get("timeoutMs") ?? 0), signal);
  }
}

/** A node's refusal. */
export function problem(code: ErrorCode, facts: object = {}): Answer {
  return { status: errorTable[code].httpStatus, json: { code, facts } };
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return Promise.race([
    promise,
    new Promise<never>((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    }),
  ]);
}

/**
 * Metrics for operators in the Prometheus text format. What the node knows anyway is read when it
 * is asked for; only requests, refusals and times to finality are counted as they happen.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import type { ApiAppended, ApiNode } from "./api-node.ts";

/** One answered request. */
export type AnsweredRequest = {
  readonly method: string;
  /** Path of the route, not of the request: its parameters would make endless series. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
};

/** The metrics of one node. */
export class Metrics {
  readonly #node: ApiNode;
  readonly #eventClients: () => number;
  readonly #registry = new Registry();
  readonly #gauges: ReturnType<typeof gaugesOf>;
  readonly #requests: Histogram<"method" | "route" | "status">;
  readonly #finality: Histogram;
  readonly #finalTransactions: Counter<"outcome">;
  readonly #refusedHttp = new Map<string, number>();
  readonly #submittedMs = new Map<Hash, number>();
  readonly #unlisten: () => void;

  constructor(node: ApiNode, eventClients: () => number) {
    this.#node = node;
    this.#eventClients = eventClients;
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#gauges = gaugesOf(registers);
    this.#requests = new Histogram({
      name: "loopledger_http_request_seconds",
      help: "Time to answer HTTP requests, held ones included",
      labelNames: ["method", "route", "status"],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
      registers,
    });
    this.#finality = new Histogram({
      name: "loopledger_finality_seconds",
      help: "Time from admission over HTTP here until the transaction is final here",
      buckets: [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30],
      registers,
    });
    this.#finalTransactions = new Counter({
      name: "loopledger_transactions_final_total",
      help: "Transactions that became final since start, by success",
      labelNames: ["outcome"],
      registers,
    });
    this.#unlisten = node.ledger.onAppend((appended) => this.#onAppended(appended));
  }

  /** Counts an answered request. */
  onRequest({ method, route, status, seconds }: AnsweredRequest): void {
    this.#requests.observe({ method, route, status }, seconds);
  }

  /** Counts a transaction that admission refused. */
  onRefused(code: string): void {
    this.#refusedHttp.set(code, (this.#refusedHttp.get(code) ?? 0) + 1);
  }

  /** Notes that a transaction was about to be submitted at a time of `performance.now()`. */
  onSubmitted(id: Hash, atMs: number): void {
    const { apiTimedTransactionsMax: max } = limits;
    if (this.#submittedMs.size < max && !this.#submittedMs.has(id)) this.#submittedMs.set(id, atMs);
  }

  /** Returns all metrics as text, and their media type. */
  async text(): Promise<{ readonly text: string; readonly type: string }> {
    this.#read();
    return { text: await this.#registry.metrics(), type: this.#registry.contentType };
  }

  /** Stops counting. */
  close(): void {
    this.#unlisten();
    this.#registry.clear();
  }

  #read(): void {
    const { ledger } = this.#node;
    const status = this.#node.status();
    const gauges = this.#gauges;
    gauges.height.set(ledger.tip.height);
    gauges.baseHeight.set(ledger.baseHeight);
    gauges.ledgerBytes.set(status.ledgerBytes ?? 0);
    gauges.fetchingSnapshot.set(status.snapshot === undefined ? 0 : 1);
    gauges.snapshotChunks.set(status.snapshot?.chunks ?? 0);
    gauges.blockTime.set(ledger.tip.timestampMs / 1_000);
    gauges.round.set(status.round);
    gauges.peers.set(status.peers.length);
    gauges.catchingUp.set(status.catchingUp ? 1 : 0);
    gauges.canWrite.set(status.canWrite === false ? 0 : 1);
    gauges.ready.set(status.notReady.length === 0 ? 1 : 0);
    gauges.mempoolTransactions.set(ledger.mempool.count);
    gauges.mempoolBytes.set(ledger.mempool.bytes);
    gauges.eventClients.set(this.#eventClients());
    for (const { name, height } of status.validators)
      if (height !== undefined) gauges.validatorHeight.set({ validator: name }, height);
    for (const [name, value] of Object.entries(status.network ?? {}))
      gauges.network.set({ name }, value);
    gauges.refused.reset();
    const refused = { peer: Object.entries(status.refused ?? {}), http: this.#refusedHttp };
    for (const [source, counts] of Object.entries(refused))
      for (const [code, count] of counts) gauges.refused.inc({ source, code }, count);
  }

  #onAppended({ receipts }: ApiAppended): void {
    const now = performance.now();
    for (const { transactionId, outcome } of receipts) {
      // Codes are the contracts' own and unbounded, so they are no label.
      this.#finalTransactions.inc({ outcome: outcome === "ok" ? "ok" : "failed" });
      const submittedMs = this.#submittedMs.get(transactionId);
      if (submittedMs === undefined) continue;
      this.#submittedMs.delete(transactionId);
      this.#finality.observe((now - submittedMs) / 1_000);
    }
    this.#forgetOld(now);
  }

  /** What is not final after a minute was dropped, and would keep others from being timed. */
  #forgetOld(now: number): void {
    for (const [id, submittedMs] of this.#submittedMs) {
      if (now - submittedMs < limits.apiWaitMsMax) return;
      this.#submittedMs.delete(id);
    }
  }
}

function gaugesOf(registers: Registry[]) {
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `loopledger_${name}`, help, registers });
  return {
    height: gauge("height", "Height of the last appended block"),
    baseHeight: gauge("base_height", "Height up to which this node has no blocks, 0: it has all"),
    ledgerBytes: gauge(
      "ledger_bytes",
      "Bytes of the ledger on disk a minute ago or less, 0: not known",
    ),
    fetchingSnapshot: gauge(
      "fetching_snapshot",
      "1 while a snapshot is fetched, so that there is no ledger yet",
    ),
    snapshotChunks: gauge("snapshot_chunks", "Chunks that are here of the snapshot being fetched"),
    blockTime: gauge("block_time_seconds", "Time in the header of the last appended block"),
    round: gauge("round", "Round of the height that consensus is at"),
    peers: gauge("peers", "Connected peers"),
    catchingUp: gauge("catching_up", "1 while blocks that others have are fetched"),
    canWrite: gauge(
      "can_write",
      "0 while the disk takes no writes, so that the node takes no part",
    ),
    ready: gauge("ready", "1 when clients may use this node"),
    mempoolTransactions: gauge("mempool_transactions", "Pending transactions"),
    mempoolBytes: gauge("mempool_bytes", "Bytes that pending transactions hold"),
    eventClients: gauge("event_clients", "Clients that follow events"),
    validatorHeight: new Gauge({
      name: "loopledger_validator_height",
      help: "Height each validator was last heard at",
      labelNames: ["validator"],
      registers,
    }),
    network: new Gauge({
      name: "loopledger_network",
      help: "What the peer-to-peer network counts since start and holds now",
      labelNames: ["name"],
      registers,
    }),
    refused: new Counter({
      name: "loopledger_transactions_refused_total",
      help: "Transactions that admission refused since start, by source and code",
      labelNames: ["source", "code"],
      registers,
    }),
  };
}

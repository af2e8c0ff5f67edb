/**
 * The gateway: composition root of the device side. It replays a CSV source through a durable
 * outbox; killed at any moment and started again, it goes on where it was.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { didOf } from "./base/format/did.ts";
import type { Genesis } from "./base/format/genesis.ts";
import type { Signer, Verifier } from "./base/keys.ts";
import { LedgerClient } from "./client/client.ts";
import { trustOf } from "./client/finality.ts";
import { Outbox } from "./gateway/outbox.ts";
import { Sender } from "./gateway/sender.ts";
import { fileHash, type Reading, readCsv } from "./gateway/source-csv.ts";
import { writeStatus } from "./gateway/status-file.ts";

export { readStatus } from "./gateway/status-file.ts";

/** What a replay is made of. */
export type ReplayOptions = {
  /** Addresses of nodes, in order of preference. */
  readonly nodes: readonly string[];
  readonly genesis: Genesis;
  readonly signer: Signer;
  readonly verifier: Verifier;
  /** Holds the outbox and the status file. */
  readonly directory: string;
  readonly csvFile: string;
  readonly meter: string;
  /** Readings in one transaction. */
  readonly batchCount: number;
  /** Transactions on their way at once; default 12. */
  readonly windowCount?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ReplayProgress) => void) | undefined;
};

/** How far a replay is. */
export type ReplayProgress = { readonly accepted: number; readonly final: number };

/** What a replay did in this run. */
export type ReplaySummary = {
  readonly readings: number;
  readonly refused: number;
  readonly seconds: number;
  readonly readingsPerSecond: number;
  /** False when it was stopped; start it again to go on. */
  readonly isComplete: boolean;
};

/** Readings taken into the outbox with one sync. */
const chunkCount = 500;
/** The source waits while this many readings are queued, so that memory and disk stay small. */
const queuedMax = 5_000;
const statusMs = 500;
const windowCountDefault = 12;

/**
 * Replays a CSV file and returns when all its readings are final or refused, or when stopped.
 *
 * @throws {LedgerError} GATEWAY_CSV_INVALID, GATEWAY_SENDER_REFUSED, GATEWAY_OUTBOX_UNREADABLE.
 */
export async function runGatewayReplay(options: ReplayOptions): Promise<ReplaySummary> {
  const { directory, signal } = options;
  mkdirSync(directory, { recursive: true });
  const outbox = await Outbox.open(join(directory, "outbox"));
  const startMs = performance.now();
  const before = outbox.counts;
  const client = new LedgerClient({ nodes: options.nodes });
  const sender = new Sender({
    outbox,
    client,
    trust: trustOf(options.genesis, options.verifier),
    signer: options.signer,
    clock: { nowMs: () => Date.now() },
    batchCount: options.batchCount,
    windowCount: options.windowCount ?? windowCountDefault,
  });
  const parts = { options, outbox, client, sender };
  const timer = setInterval(() => void report(parts, "running"), statusMs);
  const stop = () => sender.stop();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    await Promise.all([report(parts, "running"), replay(parts)]);
    const isComplete = signal?.aborted !== true;
    await report(parts, isComplete ? "complete" : "stopped");
    return { ...summaryOf(outbox, before, startMs), isComplete };
  } catch (error) {
    await report(parts, `stopped: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", stop);
    await outbox.close();
  }
}

type Parts = {
  readonly options: ReplayOptions;
  readonly outbox: Outbox;
  readonly client: LedgerClient;
  readonly sender: Sender;
};

/** Fills the outbox and empties it at the same time; whichever fails ends the other. */
async function replay({ options, outbox, sender }: Parts): Promise<void> {
  const source = { isAtEnd: false };
  // A source that fails half-way still gets its earlier readings onto the ledger before it says so.
  const filling = fill(options, outbox, sender).finally(() => {
    source.isAtEnd = true;
    sender.notify();
  });
  const [filled, sent] = await Promise.allSettled([filling, sender.run(() => source.isAtEnd)]);
  if (sent.status === "rejected") throw sent.reason;
  if (filled.status === "rejected") throw filled.reason;
}

async function fill(options: ReplayOptions, outbox: Outbox, sender: Sender): Promise<void> {
  const source = `${await fileHash(options.csvFile)}:${options.meter}`;
  // The same file goes on behind the rows the outbox took; another file begins at its first row.
  const taken = outbox.position.source === source ? outbox.position.rows : 0;
  let rows = 0;
  let chunk: Reading[] = [];
  const flush = async () => {
    if (chunk.length === 0) return;
    await outbox.accept(chunk, { source, rows });
    chunk = [];
    options.onProgress?.({ accepted: rows, final: outbox.counts.final });
    sender.notify();
  };
  for await (const reading of readCsv(options.csvFile, options.meter)) {
    if (sender.isStopped) return;
    rows += 1;
    if (rows <= taken) continue;
    chunk.push(reading);
    if (chunk.length < chunkCount) continue;
    await flush();
    while (outbox.counts.queued > queuedMax && !sender.isStopped) await pause(20);
  }
  await flush();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function summaryOf(outbox: Outbox, before: Outbox["counts"], startMs: number) {
  const seconds = (performance.now() - startMs) / 1_000;
  const readings = outbox.counts.final - before.final;
  const refused = outbox.counts.refused - before.refused;
  return { readings, refused, seconds, readingsPerSecond: readings / seconds };
}

async function report({ options, outbox, client, sender }: Parts, state: string): Promise<void> {
  options.onProgress?.({ accepted: outbox.position.rows, final: outbox.counts.final });
  const refusals = await outbox.refused(20);
  writeStatus(options.directory, {
    gateway: didOf(options.signer.publicKey),
    meter: options.meter,
    state,
    processId: process.pid,
    updatedAtMs: Date.now(),
    ...outbox.counts,
    refusals: refusals.map(({ reading, code }) => ({ reading: [...reading], code })),
    lastError: sender.lastError ?? null,
    nodes: client.nodes.map(({ url, failures, lastError }) => ({
      url,
      failures,
      lastError: lastError ?? null,
    })),
  });
}

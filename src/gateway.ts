/**
 * The gateway: composition root of the device side. It replays a CSV source through a durable
 * outbox; killed at any moment and started again, it goes on where it was.
 */
import { join } from "node:path";
import { assert } from "./base/assert.ts";
import { didOf } from "./base/format/did.ts";
import type { Genesis } from "./base/format/genesis.ts";
import type { Signer, Verifier } from "./base/keys.ts";
import { LedgerClient } from "./client/client.ts";
import { trustOf } from "./client/finality.ts";
import { Outbox } from "./gateway/outbox.ts";
import { Sender } from "./gateway/sender.ts";
import { fileHash, type Reading, readCsv } from "./gateway/source-csv.ts";
import { StatusWriter } from "./gateway/status-file.ts";

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
  /** Readings in one transaction, 1 to 1,000. */
  readonly batchCount: number;
  /** Transactions on their way at once; default 12. */
  readonly windowCount?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ReplayProgress) => void) | undefined;
};

/** How far a replay is: rows of the file taken, readings final since the outbox was made. */
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
/** What `metering.report` takes at once. */
const batchCountMax = 1_000;
const refusalsShown = 20;

/**
 * Replays a CSV file and returns when all its readings are final or refused, or when stopped.
 *
 * @throws {LedgerError} GATEWAY_CSV_INVALID, FILE_UNREADABLE, after the readings before the fault
 *   are final; GATEWAY_SENDER_REFUSED, GATEWAY_OUTBOX_UNREADABLE, GATEWAY_OUTBOX_WRITE_FAILED.
 */
export async function runGatewayReplay(options: ReplayOptions): Promise<ReplaySummary> {
  const { directory, signal } = options;
  const { batchCount, windowCount = windowCountDefault } = options;
  assert(isCount(batchCount) && batchCount <= batchCountMax, "a batch is 1 to 1,000 readings");
  assert(isCount(windowCount), "the window is a count of transactions");
  // All that can throw comes before the outbox is open, or its lock would stay.
  const clients = options.nodes.map((node) => new LedgerClient({ nodes: [node] }));
  assert(clients.length > 0, "at least one node is given");
  const trust = trustOf(options.genesis, options.verifier);
  const { callGasMax, blockGasMax } = options.genesis.parameters;
  const outbox = await Outbox.open(join(directory, "outbox"));
  const sender = new Sender({
    outbox,
    clients,
    trust,
    signer: options.signer,
    clock: { nowMs: () => Date.now() },
    batchCount,
    windowCount,
    gasLimitMax: Math.min(callGasMax, blockGasMax),
  });
  const parts = { options, outbox, clients, sender, source: { rows: 0, isAtEnd: false } };
  const stop = () => sender.stop();
  signal?.addEventListener("abort", stop, { once: true });
  // A signal that was aborted before tells nobody.
  if (signal?.aborted) stop();
  try {
    return await reported(parts);
  } finally {
    signal?.removeEventListener("abort", stop);
    await outbox.close();
  }
}

type Parts = {
  readonly options: ReplayOptions;
  readonly outbox: Outbox;
  readonly clients: readonly LedgerClient[];
  readonly sender: Sender;
  /** How far the source was read in this run. */
  readonly source: { rows: number; isAtEnd: boolean };
};

/** Replays with a status file beside it. */
async function reported(parts: Parts): Promise<ReplaySummary> {
  const { options, outbox, source } = parts;
  const startMs = performance.now();
  const before = outbox.counts;
  const status = new StatusWriter(options.directory, () => statusOf(parts));
  const tell = () => options.onProgress?.({ accepted: source.rows, final: outbox.counts.final });
  const timer = setInterval(() => {
    tell();
    void status.write("running");
  }, statusMs);
  try {
    await status.write("running");
    await replay(parts);
    const { queued, inFlight } = outbox.counts;
    const isComplete = source.isAtEnd && queued + inFlight === 0;
    tell();
    await status.write(isComplete ? "complete" : "stopped");
    return { ...summaryOf(outbox, before, startMs), isComplete };
  } catch (error) {
    await status.write(`stopped: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** Fills the outbox and empties it at the same time; whichever fails ends the other. */
async function replay(parts: Parts): Promise<void> {
  const { sender } = parts;
  let isFilled = false;
  // A source that fails half-way still gets its earlier readings onto the ledger before it says so.
  const filling = fill(parts).finally(() => {
    isFilled = true;
    sender.notify();
  });
  const [filled, sent] = await Promise.allSettled([filling, sender.run(() => isFilled)]);
  if (sent.status === "rejected") throw sent.reason;
  if (filled.status === "rejected") throw filled.reason;
}

/** Reads the source into the outbox, behind the rows that the outbox took before. */
async function fill({ options, outbox, sender, source }: Parts): Promise<void> {
  const { csvFile, meter } = options;
  // By content: a corrected file begins anew, and what it repeats has no effect on the ledger.
  const name = `${await fileHash(csvFile)}:${meter}`;
  const taken = await outbox.rowsTaken(name);
  let chunk: Reading[] = [];
  const flush = async () => {
    if (chunk.length === 0) return;
    const readings = chunk;
    chunk = [];
    await outbox.accept(readings, { source: name, rows: source.rows }, Date.now());
    sender.notify();
  };
  try {
    for await (const reading of readCsv(csvFile, meter)) {
      if (sender.isStopped) return;
      source.rows += 1;
      if (source.rows <= taken) continue;
      chunk.push(reading);
      if (chunk.length < chunkCount) continue;
      await flush();
      while (outbox.counts.queued > queuedMax && !sender.isStopped) await pause(20);
    }
    source.isAtEnd = true;
  } finally {
    // Also when a later line is wrong, or on a stop: what was read is worth keeping.
    await flush();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}

function summaryOf(outbox: Outbox, before: Outbox["counts"], startMs: number) {
  const seconds = (performance.now() - startMs) / 1_000;
  const readings = outbox.counts.final - before.final;
  const refused = outbox.counts.refused - before.refused;
  return { readings, refused, seconds, readingsPerSecond: readings / seconds };
}

async function statusOf({ options, outbox, clients, sender }: Parts) {
  const refusals = await outbox.refused(refusalsShown);
  const oldestAcceptedAtMs = (await outbox.oldestAcceptedAtMs()) ?? null;
  return {
    gateway: didOf(options.signer.publicKey),
    meter: options.meter,
    ...outbox.counts,
    oldestAcceptedAtMs,
    refusals: refusals.map(({ reading, code }) => ({ reading: [...reading], code })),
    lastError: sender.lastError ?? null,
    nodes: clients
      .flatMap(({ nodes }) => nodes)
      .map(({ url, failures, lastError }) => ({ url, failures, lastError: lastError ?? null })),
  };
}

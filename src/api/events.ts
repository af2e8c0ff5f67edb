/**
 * Follows events for clients over server-sent events. A client reads from the ledger at its own
 * pace, by its own cursor; an append only wakes it. So nothing is queued for anybody but the bytes
 * that its connection has not taken yet, and those are bounded.
 *
 * Invariants:
 *
 * (1) A client gets every event from its cursor on, once, in order, or it is cut off. Never is an
 *     event left out.
 * (2) `id` of a message is the cursor to go on at, so a browser's own reconnect loses nothing.
 * (3) A client that takes nothing for `stallMsMax` is cut off, whatever waits for it.
 */
import type { ServerResponse } from "node:http";
import { AssertionError } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { ApiCursor, ApiEvent, ApiLedger } from "./api-node.ts";
import { eventJson } from "./render.ts";

/** Bounds; tests choose smaller ones. */
export type StreamLimits = {
  readonly clientsMax: number;
  readonly bufferBytesMax: number;
  readonly stallMsMax: number;
  readonly pingMs: number;
};

/** The bounds of a node. */
export const streamLimits: StreamLimits = {
  clientsMax: limits.apiEventClientsMax,
  bufferBytesMax: limits.apiEventBufferBytesMax,
  stallMsMax: limits.apiEventStallMsMax,
  pingMs: limits.apiEventPingMs,
};

/** All clients that follow events. */
export class EventStreams {
  readonly #ledger: ApiLedger;
  readonly #log: Log;
  readonly #bounds: StreamLimits;
  readonly #clients = new Map<Client, Promise<void>>();
  readonly #unlisten: () => void;

  constructor(ledger: ApiLedger, log: Log, bounds: StreamLimits = streamLimits) {
    this.#ledger = ledger;
    this.#log = log;
    this.#bounds = bounds;
    this.#unlisten = ledger.onAppend(() => {
      for (const client of this.#clients.keys()) client.wake();
    });
  }

  /** Clients at this moment. */
  get count(): number {
    return this.#clients.size;
  }

  /**
   * Takes a client in.
   *
   * @param from - Where it begins; `undefined`: with the next block.
   * @returns What takes over the response.
   * @throws {LedgerError} API_EVENT_CLIENTS_FULL; LEDGER_PRUNED when events from there on are gone.
   */
  open(from: ApiCursor | undefined): (response: ServerResponse) => void {
    const { clientsMax } = this.#bounds;
    if (this.#clients.size >= clientsMax)
      throw new LedgerError("API_EVENT_CLIENTS_FULL", { clientsMax });
    const { tip, baseHeight } = this.#ledger;
    const cursor = from ?? { height: tip.height + 1, index: 0 };
    if (baseHeight > 0 && cursor.height <= baseHeight)
      throw new LedgerError("LEDGER_PRUNED", { height: cursor.height, baseHeight });
    return (response) => {
      const client = new Client(response, this.#bounds);
      const served = this.#serve(client, cursor)
        .catch((error: unknown) => this.#onFailure(error))
        .finally(() => {
          this.#clients.delete(client);
          client.cut();
        });
      this.#clients.set(client, served);
    };
  }

  /** Cuts all clients off; returns when nothing reads for them any more. */
  async close(): Promise<void> {
    this.#unlisten();
    for (const client of this.#clients.keys()) client.cut();
    await Promise.all(this.#clients.values());
  }

  async #serve(client: Client, from: ApiCursor): Promise<void> {
    let cursor = from;
    client.begin(cursor);
    while (client.isOpen) {
      const isAsleep = client.prepareSleep();
      const page = await this.#ledger.events({
        fromHeight: cursor.height,
        fromIndex: cursor.index,
        limit: limits.apiEventRowsMax,
      });
      for (const event of page.events) {
        if (!(await client.flushedTo(this.#bounds.bufferBytesMax))) return this.#onStall(cursor);
        client.write(eventFrame(event));
      }
      cursor = page.next;
      if (cursor.height <= this.#ledger.tip.height) continue;
      if (!(await client.flushedTo(0))) return this.#onStall(cursor);
      if (!(await isAsleep())) client.write(`: ping\nid: ${cursorText(cursor)}\n\n`);
    }
  }

  #onStall(cursor: ApiCursor): void {
    this.#log.info({ cursor: cursorText(cursor) }, "an event client took nothing; cut off");
  }

  #onFailure(error: unknown): void {
    if (error instanceof AssertionError) failLater(error);
    this.#log.error({ error: String(error) }, "following events failed; client cut off");
  }
}

/** One connection. */
class Client {
  readonly #response: ServerResponse;
  readonly #bounds: StreamLimits;
  #unsentBytes = 0;
  #onChange = () => {};
  #isWoken = false;

  constructor(response: ServerResponse, bounds: StreamLimits) {
    this.#response = response;
    this.#bounds = bounds;
    response.once("close", () => this.wake());
    response.on("error", () => this.wake());
  }

  get isOpen(): boolean {
    return !this.#response.destroyed && !this.#response.closed;
  }

  begin(cursor: ApiCursor): void {
    this.#response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    this.write(`retry: 1000\nid: ${cursorText(cursor)}\n\n`);
  }

  write(text: string): void {
    if (!this.isOpen) return;
    const bytes = Buffer.from(text);
    this.#unsentBytes += bytes.length;
    this.#response.write(bytes, () => {
      this.#unsentBytes -= bytes.length;
      this.#onChange();
    });
  }

  /**
   * Waits until at most so many bytes are unsent.
   *
   * @returns False when nothing at all was taken for `stallMsMax`; appends meanwhile do not count.
   */
  async flushedTo(bytesMax: number): Promise<boolean> {
    const { stallMsMax } = this.#bounds;
    let sinceMs = performance.now();
    while (this.isOpen && this.#unsentBytes > bytesMax) {
      const leftMs = sinceMs + stallMsMax - performance.now();
      if (leftMs <= 0) return false;
      const before = this.#unsentBytes;
      await this.#change(leftMs);
      if (this.#unsentBytes < before) sinceMs = performance.now();
    }
    return true;
  }

  wake(): void {
    this.#isWoken = true;
    this.#onChange();
  }

  /**
   * From this call on an append is noticed, so what is read after it misses nothing.
   *
   * @returns What waits for the next append. It gives true when woken, false when a ping is due.
   */
  prepareSleep(): () => Promise<boolean> {
    this.#isWoken = false;
    return async () => {
      if (!this.#isWoken) await this.#change(this.#bounds.pingMs);
      return this.#isWoken || !this.isOpen;
    };
  }

  cut(): void {
    this.#response.destroy();
    this.wake();
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onChange = () => {
        clearTimeout(timer);
        this.#onChange = () => {};
        resolve();
      };
    });
  }
}

/** Returns a cursor as text, `height:index`. */
export function cursorText({ height, index }: ApiCursor): string {
  return `${height}:${index}`;
}

/**
 * Reads a cursor's text. Absent: the beginning. `latest`: undefined, after the tip.
 *
 * @throws {LedgerError} API_INPUT_INVALID
 */
export function parseCursor(text: string | undefined, place: string): ApiCursor | undefined {
  if (text === undefined) return { height: 1, index: 0 };
  if (text === "latest") return undefined;
  const [, height, index] = /^(\d{1,15}):(\d{1,15})$/.exec(text) ?? [];
  if (height === undefined || index === undefined) {
    const reason = 'expected HEIGHT:INDEX such as 17:0, or "latest"';
    throw new LedgerError("API_INPUT_INVALID", { place, reason });
  }
  // The genesis has no events.
  if (Number(height) === 0) return { height: 1, index: 0 };
  return { height: Number(height), index: Number(index) };
}

/** Lets a broken invariant end the process, where nothing catches it (house rule). */
export function failLater(error: AssertionError): void {
  setImmediate(() => {
    throw error;
  });
}

function eventFrame(event: ApiEvent): string {
  const next = cursorText({ height: event.height, index: event.index + 1 });
  return `id: ${next}\ndata: ${JSON.stringify(eventJson(event))}\n\n`;
}

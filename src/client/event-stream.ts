/**
 * Follows events over server-sent events, across nodes and broken connections, without a gap and
 * without repetition: the cursor is kept here, and the stream is only a way to advance it.
 *
 * Invariants:
 *
 * (1) Events are yielded in strictly ascending order of (height, index).
 * (2) After a break, reading goes on at the cursor after the last event yielded.
 *
 * It proves nothing: whoever acts on an event that matters verifies its transaction (finality.ts).
 */
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { LedgerEvent } from "./schemas.ts";
import { chunksOf, type Transport } from "./transport.ts";

/** Where to go on reading: the first event at or after it is the next one. */
export type Cursor = string;

/** How to follow. */
export type FollowOptions = {
  /** `height:index`, `latest`, or absent for the very beginning. */
  readonly from?: Cursor | undefined;
  /** Ends the following; the generator then returns. */
  readonly signal?: AbortSignal | undefined;
  /** A connection without a sign of life for this long is given up. */
  readonly silenceMsMax?: number | undefined;
  /** First pause after a break; doubles up to 5 s. */
  readonly retryMs?: number | undefined;
};

/** One message of a stream: the cursor to go on at, and the data if it is an event. */
export type StreamMessage = { readonly id: string | undefined; readonly data: string | undefined };

const retryMsMax = 5_000;

/** Yields events for ever; throws only what a node refuses, such as a malformed cursor. */
export async function* followEvents(
  transport: Transport,
  options: FollowOptions = {},
): AsyncGenerator<LedgerEvent & { readonly next: Cursor }> {
  const { signal, retryMs = 200 } = options;
  let from = options.from ?? "0:0";
  let pauseMs = retryMs;
  while (!signal?.aborted) {
    let url: string | undefined;
    try {
      const opened = await transport.open({
        path: `/v1/events/stream?from=${encodeURIComponent(from)}`,
        signal,
      });
      url = opened.url;
      for await (const { id, data } of messagesOf(opened.response, options)) {
        pauseMs = retryMs;
        const event = data === undefined ? undefined : eventOf(data, url);
        if (event !== undefined && isBefore(event, from)) throw repeated(url, event);
        if (id !== undefined) from = id;
        if (event !== undefined) yield { ...event, next: from };
      }
      throw new Error("the node ended the stream");
    } catch (error) {
      if (signal?.aborted) return;
      if (isLedgerError(error) && !isTransient(error)) throw error;
      if (url !== undefined) transport.blame(url, error);
      await pause(pauseMs, signal);
      pauseMs = Math.min(2 * pauseMs, retryMsMax);
    }
  }
}

function isTransient(error: LedgerError): boolean {
  const codes = ["CLIENT_UNREACHABLE", "CLIENT_RESPONSE_INVALID", "API_EVENT_CLIENTS_FULL"];
  return [...codes, "NODE_NOT_READY", "API_INTERNAL"].includes(error.code);
}

function eventOf(data: string, url: string): LedgerEvent {
  try {
    return LedgerEvent.parse(JSON.parse(data));
  } catch (cause) {
    const reason = "an event does not have its form";
    throw new LedgerError("CLIENT_RESPONSE_INVALID", { url, reason }, { cause });
  }
}

function repeated(url: string, { height, index }: LedgerEvent): LedgerError {
  const reason = `event ${height}:${index} came after a later one`;
  return new LedgerError("CLIENT_RESPONSE_INVALID", { url, reason });
}

/** `latest` is before nothing. */
function isBefore(event: LedgerEvent, cursor: Cursor): boolean {
  const [height, index] = cursor.split(":").map(Number);
  if (height === undefined || index === undefined) return false;
  return event.height < height || (event.height === height && event.index < index);
}

async function* messagesOf(
  response: Response,
  options: FollowOptions,
): AsyncGenerator<StreamMessage> {
  const { signal, silenceMsMax = 3 * limits.apiEventPingMs } = options;
  const parser = new StreamParser();
  const chunks = chunksOf(response);
  try {
    for (;;) {
      const { done, value } = await within(chunks.next(), silenceMsMax, signal);
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    // Not awaited: a read that hangs would hold up the generator that is being left.
    chunks.return(undefined).catch(() => {});
    response.body?.cancel().catch(() => {});
  }
}

/** Cuts a stream of server-sent events into messages (HTML standard, section 9.2.6). */
export class StreamParser {
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** Takes bytes as they come. @returns The messages that are complete with them. */
  push(bytes: Uint8Array): StreamMessage[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    if (this.#rest.length > streamMessageCharsMax) throw new Error("a message without end");
    const blocks = this.#rest.split("\n\n");
    this.#rest = blocks.pop() as string;
    return blocks.map(messageOf);
  }
}

/** An event's data is a state value at most, and a few fields. */
const streamMessageCharsMax = 16 * limits.contractResultBytesMax;

function messageOf(block: string): StreamMessage {
  let id: string | undefined;
  const data: string[] = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("id:")) id = line.slice(3).trimStart();
    if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return { id, data: data.length === 0 ? undefined : data.join("\n") };
}

async function within<T>(
  promise: Promise<T>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  let giveUp = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error("the stream fell silent")), timeoutMs);
    giveUp = () => reject(new Error("given up"));
  });
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}

/** Waits; a signal ends the wait early. */
export function pause(ms: number, signal?: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}

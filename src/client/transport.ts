/**
 * Requests to a list of nodes with time-outs and fail-over. It knows HTTP, not the ledger.
 *
 * Rules of fail-over:
 *
 * (1) A node that answers with a refusal (4xx) has decided; no other node is asked.
 * (2) A node that does not answer in time, breaks off, or answers 5xx is passed over. Only requests
 *     that may be repeated go through here: reading, and sending signed bytes, which are done once
 *     however often they are sent.
 * (3) The node that answered last is asked first the next time.
 */
import type { z } from "zod";
import {
  type ErrorCode,
  errorTable,
  type Facts,
  isLedgerError,
  LedgerError,
} from "../base/errors.ts";
import { limits } from "../base/limits.ts";

/** A node as this client sees it. */
export type NodeHealth = {
  readonly url: string;
  /** UTC milliseconds of the last answer; absent: none yet. */
  readonly lastAnswerMs: number | undefined;
  /** Failures since the last answer. */
  readonly failures: number;
  readonly lastError: string | undefined;
};

/** One request; the path begins with `/`. */
export type ClientRequest = {
  readonly path: string;
  /** Signed bytes of a transaction, sent by POST. */
  readonly body?: Uint8Array | undefined;
  /** One node's time to answer; default that of the transport. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
};

/** What a transport is made of. */
export type TransportOptions = {
  /** Base addresses such as `http://127.0.0.1:7501`, at least one, in order of preference. */
  readonly nodes: readonly string[];
  /** Default 10 s. */
  readonly timeoutMs?: number | undefined;
  readonly fetch?: typeof fetch | undefined;
};

type Node = { -readonly [K in keyof NodeHealth]: NodeHealth[K] };

/** Asks nodes in turn. */
export class Transport {
  readonly #nodes: Node[];
  readonly #fetch: typeof fetch;
  readonly #timeoutMs: number;
  #first = 0;

  constructor({ nodes, timeoutMs = 10_000, fetch: given }: TransportOptions) {
    this.#nodes = nodes.map((url) => ({
      url: checkedUrl(url),
      lastAnswerMs: undefined,
      failures: 0,
      lastError: undefined,
    }));
    if (this.#nodes.length === 0)
      throw new LedgerError("CLIENT_UNREACHABLE", { nodes: "", reason: "no node is configured" });
    // Browsers refuse `fetch` without its global as `this`.
    this.#fetch = given ?? ((input, init) => globalThis.fetch(input, init));
    this.#timeoutMs = timeoutMs;
  }

  /** The nodes with what is known of them. */
  get nodes(): readonly NodeHealth[] {
    return this.#nodes.map((node) => ({ ...node }));
  }

  /** Asks for JSON of a form. @throws {LedgerError} The node's, or one of CLIENT_*. */
  json<T extends z.ZodType>(schema: T, request: ClientRequest): Promise<z.infer<T>> {
    return this.verified(schema, request, (answer) => answer);
  }

  /**
   * Asks for JSON that is checked before it counts as an answer: when `check` throws
   * CLIENT_PROOF_INVALID, the next node is asked.
   *
   * @throws {LedgerError} The node's, or one of CLIENT_*.
   */
  verified<T extends z.ZodType, R>(
    schema: T,
    request: ClientRequest,
    check: (answer: z.infer<T>) => R,
  ): Promise<R> {
    return this.#any(request, async (response, url) => {
      const parsed = schema.safeParse(parsedJson(await readText(response), url));
      if (parsed.success) return check(parsed.data);
      const issue = parsed.error.issues[0];
      throw invalid(url, `${issue?.path.join(".")}: ${issue?.message}`);
    });
  }

  /** Asks for text as it is. @throws {LedgerError} The node's, or one of CLIENT_*. */
  async text(request: ClientRequest): Promise<string> {
    return this.#any(request, readText);
  }

  /**
   * Opens a stream at the first node that grants one. The time-out is for the answer's head only.
   *
   * @throws {LedgerError} The node's, or one of CLIENT_*.
   */
  async open(
    request: ClientRequest,
  ): Promise<{ readonly url: string; readonly response: Response }> {
    return this.#any({ ...request, isStream: true }, async (response, url) => ({ url, response }));
  }

  /** Notes that a stream of a node failed: another one is asked first the next time. */
  blame(url: string, error: unknown): void {
    const node = this.#nodes.find((one) => one.url === url);
    if (node !== undefined) this.#onFailure(node, error);
    const next = this.#nodes.findIndex((one) => one.url !== url);
    if (next >= 0 && this.#nodes[this.#first] === node)
      this.#first = (this.#first + 1) % this.#nodes.length;
  }

  async #any<T>(
    request: ClientRequest & { readonly isStream?: boolean },
    read: (response: Response, url: string) => Promise<T>,
  ): Promise<T> {
    let told: LedgerError | undefined;
    let last: unknown;
    const first = this.#first;
    for (let tried = 0; tried < this.#nodes.length; tried += 1) {
      const index = (first + tried) % this.#nodes.length;
      const node = this.#nodes[index] as Node;
      try {
        const answer = await this.#one(node.url, request, read);
        Object.assign(node, { lastAnswerMs: Date.now(), failures: 0, lastError: undefined });
        this.#first = index;
        return answer;
      } catch (error) {
        request.signal?.throwIfAborted();
        if (isRefusal(error)) throw error;
        if (isLedgerError(error)) told = error;
        last = error;
        this.#onFailure(node, error);
      }
    }
    if (told !== undefined) throw told;
    const nodes = this.#nodes.map(({ url }) => url).join(" ");
    throw new LedgerError("CLIENT_UNREACHABLE", { nodes, reason: reasonOf(last) }, { cause: last });
  }

  async #one<T>(
    url: string,
    { path, body, isStream = false, ...rest }: ClientRequest & { readonly isStream?: boolean },
    read: (response: Response, url: string) => Promise<T>,
  ): Promise<T> {
    const stop = new AbortController();
    const abort = () => stop.abort(rest.signal?.reason);
    const timeoutMs = rest.timeoutMs ?? this.#timeoutMs;
    const timer = setTimeout(
      () => stop.abort(new Error(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    rest.signal?.addEventListener("abort", abort, { once: true });
    try {
      const headers = { "content-type": "application/octet-stream" };
      const post =
        body === undefined
          ? {}
          : { method: "POST", body: body as Uint8Array<ArrayBuffer>, headers };
      const init = { ...post, signal: stop.signal, redirect: "error" } as const;
      const response = await this.#fetch(url + path, init);
      if (!response.ok) throw problemOf(await readText(response), response.status, url);
      return await read(response, url);
    } finally {
      clearTimeout(timer);
      // A stream goes on after this, and ends with the caller's signal.
      if (!isStream) rest.signal?.removeEventListener("abort", abort);
    }
  }

  #onFailure(node: Node, error: unknown): void {
    node.failures += 1;
    node.lastError = reasonOf(error);
  }
}

/** A node that refuses has decided; one that is overloaded, starting or broken has not. */
function isRefusal(error: unknown): boolean {
  // What one node pruned another one may have.
  if (isLedgerError(error, "LEDGER_PRUNED")) return false;
  return isLedgerError(error) && errorTable[error.code].httpStatus < 500;
}

/** Makes the error that a node told; the facts are its own. */
function problemOf(text: string, status: number, url: string): LedgerError {
  const problem = parsedJson(text, url) as { code?: unknown; facts?: unknown } | null;
  const code = problem?.code;
  if (typeof code !== "string" || !Object.hasOwn(errorTable, code))
    return invalid(url, `HTTP status ${status} without a known code`);
  const entries = Object.entries(problem?.facts ?? {}).filter(
    ([, fact]) => typeof fact !== "object",
  );
  return new LedgerError(code as ErrorCode, Object.fromEntries(entries) as Facts as never);
}

function parsedJson(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(url, "the answer is not JSON", cause);
  }
}

/** Reads a body, but not beyond the longest answer there is. */
async function readText(response: Response, url = response.url): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunksOf(response)) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > limits.evidenceBytesMax) throw invalid(url, "the answer is too long");
  }
  return text + decoder.decode();
}

/** Reads a body piece by piece. Browsers cannot iterate over it. */
export async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function invalid(url: string, reason: string, cause?: unknown): LedgerError {
  return new LedgerError("CLIENT_RESPONSE_INVALID", { url, reason }, { cause });
}

function checkedUrl(text: string): string {
  const fail = (reason: string, cause?: unknown) =>
    new LedgerError("CLIENT_UNREACHABLE", { nodes: text, reason }, { cause });
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw fail("not an address such as http://127.0.0.1:7501", cause);
  }
  if (!["http:", "https:"].includes(url.protocol)) throw fail("expected http:// or https://");
  return url.href.replace(/\/+$/, "");
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // The reason of a failed fetch is in its cause.
  const inner = error.cause instanceof Error ? error.cause : error;
  const { code } = inner as { code?: unknown };
  return typeof code === "string" && !isLedgerError(inner) ? code : inner.message;
}

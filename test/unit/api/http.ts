/** Raw HTTP for tests: `fetch` hides headers such as Host and repairs what tests want broken. */
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import type { StreamLimits } from "../../../src/api/events.ts";
import { type RunningApi, startApi } from "../../../src/api/server.ts";
import { silentLog } from "../../../src/base/log.ts";
import { FakeNode } from "./fake-node.ts";

/** A fake node that serves. */
export type Served = RunningApi & { readonly node: FakeNode; readonly port: number };

const running: RunningApi[] = [];

/** Serves a fake node on a free port. */
export async function serve(node = new FakeNode(), streamLimits?: StreamLimits): Promise<Served> {
  const options = { node: node.api, host: "127.0.0.1", port: 0, log: silentLog };
  const api = await startApi({ ...options, ...(streamLimits && { streamLimits }) });
  running.push(api);
  return { ...api, node, port: Number(new URL(api.url).port) };
}

/** Stops all that was served. */
export async function stopAll(): Promise<void> {
  await Promise.all(running.splice(0).map((api) => api.stop()));
}

/** An answer. */
export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every form
  readonly json: any;
};

/** Sends a request with exactly these headers, beside Host. */
export function ask(
  url: string,
  path: string,
  options: {
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly body?: Uint8Array;
  } = {},
): Promise<Reply> {
  const { method = "GET", headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest(url + path, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const isJson = /json/.test(response.headers["content-type"] ?? "");
        const json: unknown = isJson ? JSON.parse(text) : undefined;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Posts signed bytes. */
export function post(url: string, body: Uint8Array, query = ""): Promise<Reply> {
  const headers = { "content-type": "application/octet-stream" };
  return ask(url, `/v1/transactions${query}`, { method: "POST", headers, body });
}

/** Writes bytes on a bare socket and returns all that comes until it closes. */
export function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}

/** Waits until something holds, looking often; the test's own time-out ends it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/**
 * What must not reach a handler, or be answered without a code of our own: foreign pages, wrong
 * types, lengths beyond the limits (to the byte), malformed HTTP and malformed parts. When one
 * fails, the node can be used by strangers' web pages or answers in a form that is not documented.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { startApi } from "../../../src/api/server.ts";
import { errorTable } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { FakeNode } from "./fake-node.ts";
import { ask, post, type Reply, raw, type Served, serve, stopAll } from "./http.ts";

let served: Served;

beforeAll(async () => {
  served = await serve();
});
afterAll(stopAll);

function expectProblem(reply: Reply, code: keyof typeof errorTable): void {
  expect(reply.json?.code).toBe(code);
  const { httpStatus, meaning, next } = errorTable[code];
  expect(reply.status).toBe(httpStatus);
  expect(reply.headers["content-type"]).toBe("application/problem+json");
  expect(reply.json).toEqual({ code, facts: reply.json.facts, meaning, next, status: httpStatus });
}

const withHost = (host: string) => ask(served.url, "/v1/status", { headers: { host } });

it("answers under its loopback names with its own port, and under no other", async () => {
  const { port } = served;
  for (const name of ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
    expect((await withHost(`${name}:${port}`)).status).toBe(200);
  const foreign = [
    "evil.example",
    `evil.example:${port}`,
    `127.0.0.1:${port + 1}`,
    "127.0.0.1",
    `127.0.0.1.evil.example:${port}`,
    `localhost.:${port}`,
  ];
  for (const host of foreign) expectProblem(await withHost(host), "API_HOST_REFUSED");
  for (const line of ["", "host:\r\n"]) {
    const none = await raw(port, `GET /v1/status HTTP/1.1\r\n${line}connection: close\r\n\r\n`);
    expect(none).toContain("API_HOST_REFUSED");
  }
});

it("guards health, metrics, unknown routes and streams alike", async () => {
  const headers = { host: "evil.example" };
  for (const path of ["/health/live", "/metrics", "/nowhere", "/v1/events/stream", "/openapi.json"])
    expectProblem(await ask(served.url, path, { headers }), "API_HOST_REFUSED");
});

it("refuses pages of other origins, also where browsers send no origin", async () => {
  const from = (headers: Record<string, string>) => ask(served.url, "/v1/status", { headers });
  expect((await from({ origin: served.url })).status).toBe(200);
  expect((await from({ "sec-fetch-site": "same-origin" })).status).toBe(200);
  expect((await from({ "sec-fetch-site": "none" })).status).toBe(200);
  const foreign = [
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: `https://127.0.0.1:${served.port}` },
    { origin: `http://127.0.0.1:${served.port + 1}` },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
  ];
  for (const headers of foreign) expectProblem(await from(headers), "API_ORIGIN_REFUSED");
});

it("gives no page of another origin leave to read", async () => {
  const { headers } = await ask(served.url, "/v1/status");
  expect(headers["access-control-allow-origin"]).toBe(undefined);
  const preflight = await ask(served.url, "/v1/transactions", { method: "OPTIONS" });
  expectProblem(preflight, "API_ROUTE_UNKNOWN");
});

it("takes transactions as bytes and as nothing else", async () => {
  const body = served.node.toy({}).bytes;
  const send = (headers: Record<string, string>) =>
    ask(served.url, "/v1/transactions", { method: "POST", headers, body });
  const types = ["application/json", "text/plain", "application/x-www-form-urlencoded", "x"];
  for (const type of [...types, "multipart/form-data; boundary=x"])
    expectProblem(await send({ "content-type": type }), "API_CONTENT_TYPE_INVALID");
  expectProblem(await send({}), "API_CONTENT_TYPE_INVALID");
  const none = await ask(served.url, "/v1/transactions", { method: "POST" });
  expectProblem(none, "API_CONTENT_TYPE_INVALID");
  expect(served.node.calls).toEqual([]);
});

it("takes a body of the limit and refuses one byte more", async () => {
  const { transactionBytesMax: bytesMax } = limits;
  expectProblem(await post(served.url, new Uint8Array(bytesMax)), "CODEC_INVALID");
  expect(served.node.calls).toEqual(["submit"]);
  const over = await post(served.url, new Uint8Array(bytesMax + 1));
  expectProblem(over, "TRANSACTION_TOO_LARGE");
  expect(over.json.facts).toEqual({ bytes: bytesMax + 1, bytesMax });
  expect(served.node.calls).toEqual(["submit"]);
});

it("refuses a body of unknown length at the same byte", async () => {
  const chunked = async (bytes: number) => {
    const head =
      `POST /v1/transactions HTTP/1.1\r\nhost: 127.0.0.1:${served.port}\r\nconnection: close\r\n` +
      "content-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    const chunk = `${bytes.toString(16)}\r\n${"\0".repeat(bytes)}\r\n0\r\n\r\n`;
    return raw(served.port, head + chunk);
  };
  expect(await chunked(limits.transactionBytesMax)).toContain("CODEC_INVALID");
  expect(await chunked(limits.transactionBytesMax + 1)).toContain("TRANSACTION_TOO_LARGE");
});

it("answers garbage in the body with a code", async () => {
  for (const text of ["", "{}", "\xff".repeat(100), '{"__proto__":1}'])
    expectProblem(await post(served.url, Buffer.from(text, "latin1")), "CODEC_INVALID");
});

it("parses the arguments of a view as contracts do", async () => {
  const view = (args: string) =>
    ask(served.url, `/v1/contracts/toy/views/echo?args=${encodeURIComponent(args)}`);
  const wrong = [
    '{"__proto__":1}',
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    "1e400",
    "1.5",
    "-0",
    "9007199254740992",
    '"\\ud800"',
    "[".repeat(17) + "]".repeat(17),
    "",
    "nonsense",
  ];
  for (const args of wrong) expectProblem(await view(args), "JSON_INVALID");
  expect((await view("9007199254740991")).json.result.args).toBe(2 ** 53 - 1);
});

it("refuses parts of the address that have not their form, and names them", async () => {
  const cases: [string, string][] = [
    ["/v1/blocks/-1", "params.height"],
    ["/v1/blocks/1.5", "params.height"],
    ["/v1/blocks/01", "params.height"],
    ["/v1/blocks/1e3", "params.height"],
    ["/v1/blocks/9999999999999999", "params.height"],
    ["/v1/blocks?limit=0", "querystring.limit"],
    [`/v1/blocks?limit=${limits.apiBlockRowsMax + 1}`, "querystring.limit"],
    [`/v1/events?limit=${limits.apiQueryRowsMax + 1}`, "querystring.limit"],
    ["/v1/events?limit=1&limit=2", "querystring.limit"],
    ["/v1/events?unknown=1", "querystring"],
    ["/v1/events?from=1", "querystring.from"],
    ["/v1/events?from=1:-1", "querystring.from"],
    ["/v1/events/stream?from=a:b", "querystring.from"],
    ["/v1/state", "querystring.key"],
    ["/v1/state?key=a&proof=yes", "querystring.proof"],
    ["/v1/transactions/xyz", "params.id"],
    [`/v1/transactions/${"a".repeat(2_000)}`, "params"],
    [`/v1/transactions/${"AB".repeat(32)}`, "params.id"],
    [
      `/v1/transactions/${"ab".repeat(32)}?timeoutMs=${limits.apiWaitMsMax + 1}`,
      "querystring.timeoutMs",
    ],
  ];
  for (const [path, place] of cases) {
    const reply = await ask(served.url, path);
    expectProblem(reply, "API_INPUT_INVALID");
    expect([path, reply.json.facts.place]).toEqual([path, place]);
  }
  const header = { "last-event-id": "x" };
  const stream = await ask(served.url, "/v1/events/stream", { headers: header });
  expect(stream.json.facts.place).toBe("headers.last-event-id");
});

it("does not let a query reach a prototype", async () => {
  const { status } = await ask(served.url, "/v1/events?__proto__=1&constructor=1");
  expect(status).toBe(400);
  expect(({} as Record<string, unknown>)["1"]).toBe(undefined);
});

it("knows no other routes and methods", async () => {
  expectProblem(await ask(served.url, "/"), "API_ROUTE_UNKNOWN");
  expectProblem(await ask(served.url, "/v1/status", { method: "POST" }), "API_ROUTE_UNKNOWN");
  expectProblem(await ask(served.url, "/v1/status/", {}), "API_ROUTE_UNKNOWN");
});

it("answers malformed HTTP with a code and closes", async () => {
  const host = `host: 127.0.0.1:${served.port}\r\n`;
  const broken: [string, string][] = [
    ["nonsense\r\n\r\n", "API_REQUEST_INVALID"],
    [`GET /v1/status HTTP/1.1\r\n${host}x: ${"y".repeat(17_000)}\r\n\r\n`, "API_HEADER_TOO_LARGE"],
    [`GET /${"y".repeat(17_000)} HTTP/1.1\r\n${host}\r\n`, "API_HEADER_TOO_LARGE"],
    [`GET /%ff HTTP/1.1\r\n${host}connection: close\r\n\r\n`, "API_REQUEST_INVALID"],
    [
      `POST /v1/transactions HTTP/1.1\r\n${host}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n`,
      "API_REQUEST_INVALID",
    ],
  ];
  for (const [request, code] of broken) {
    const answer = await raw(served.port, request);
    expect(answer).toMatch(/^HTTP\/1\.1 4/);
    const body = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)) as { code: string };
    expect(body.code).toBe(code);
  }
});

it("tells nothing of an unexpected error but where the log has it", async () => {
  const node = new FakeNode();
  const api = node.api;
  const told: object[] = [];
  const failing = {
    ...api,
    status: () => {
      throw new Error("secret of the node");
    },
  };
  const log = { ...silentLog, error: (facts: object) => void told.push(facts) };
  const running = await startApi({ node: failing, host: "127.0.0.1", port: 0, log });
  const reply = await ask(running.url, "/v1/status");
  await running.stop();
  expectProblem(reply, "API_INTERNAL");
  expect(reply.text).not.toContain("secret");
  expect(JSON.stringify(told)).toContain("secret of the node");
  expect(told).toMatchObject([{ request: reply.json.facts.request }]);
});

it("serves loopback only, says so at start, and names a port that is taken", async () => {
  const told: string[] = [];
  const log = { ...silentLog, warn: (_facts: object, message: string) => void told.push(message) };
  const { api: node } = new FakeNode();
  const start = (host: string, port: number) => startApi({ node, host, port, log });
  await expect(start("0.0.0.0", 0)).rejects.toMatchObject({ code: "API_LISTEN_FAILED" });
  const taken = start("127.0.0.1", served.port);
  await expect(taken).rejects.toMatchObject({ facts: { reason: "EADDRINUSE" } });
  expect(told).toEqual([]);
  const running = await start("localhost", 0);
  await running.stop();
  expect(told).toEqual(["the HTTP API has no access control yet, so it serves this machine only"]);
});

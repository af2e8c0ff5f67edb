/**
 * Every route over real sockets, against a node in memory. When one fails, either the documented
 * form (schemas.ts) or what a handler reads from the ledger has changed.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { routes } from "../../../src/api/routes.ts";
import { didOf } from "../../../src/base/format/did.ts";
import { limits } from "../../../src/base/limits.ts";
import { sender, stranger } from "./fake-node.ts";
import { ask, post, type Served, serve, stopAll, until } from "./http.ts";

let served: Served;
let first: { id: string; bytes: Uint8Array };

beforeAll(async () => {
  served = await serve();
  const { node } = served;
  first = node.toy({ events: 2, set: { "toy/a": { n: 1 } } });
  node.mine(first.bytes, node.toy({ fail: "TOY_FAILED" }).bytes);
  node.mine(node.toy({ events: 1, set: { "toy/a": { n: 2 }, "toy/b": "x" } }).bytes);
  node.mine(node.toy({ set: { "toy/b": null } }).bytes);
});
afterAll(stopAll);

const get = (path: string) => ask(served.url, path);

it("shows the status with the table of validators", async () => {
  const { status, json } = await get("/v1/status");
  expect(status).toBe(200);
  expect(json).toMatchObject({ height: 3, decidingHeight: 4, round: 0, phase: "proposing" });
  expect(json).toMatchObject({ ready: true, mempool: { transactions: 0, bytes: 7 } });
  expect(json).toMatchObject({ baseHeight: 0, ledgerBytes: 12_345_678, snapshot: null });
  expect(json.chainId).toBe(served.node.chainId);
  expect(json.parameters.callGasMax).toBe(limits.callGasMax);
  expect(json.validators).toHaveLength(4);
  expect(json.validators[0]).toMatchObject({ name: "Member 0", height: 4, round: 0 });
  expect(json.validators[0]).toMatchObject({ votedHeight: 3, clockOffsetMs: -12 });
  expect(json.validators[3]).toMatchObject({ height: null, round: null, lastSeenMs: null });
  expect(json.validators[3]).toMatchObject({ votedHeight: null, passedOver: true });
});

it("gives the genesis file to the byte", async () => {
  const { text, headers } = await get("/v1/genesis");
  expect(text).toBe(JSON.stringify(served.node.genesis));
  expect(headers["content-type"]).toMatch(/^application\/json/);
});

it("lists blocks in pages", async () => {
  const { json } = await get("/v1/blocks?from=1&limit=2");
  expect(json.blocks.map(({ height }: { height: number }) => height)).toEqual([1, 2]);
  expect(json.next).toBe(3);
  expect((await get("/v1/blocks?from=99")).json).toEqual({ blocks: [], next: 99 });
  const genesis = (await get("/v1/blocks?limit=1")).json.blocks[0];
  expect(genesis).toMatchObject({ height: 0, proposer: null, round: null });
});

it("shows a block with its transactions, and refuses one it has not", async () => {
  const { json } = await get("/v1/blocks/1");
  expect(json.transactions).toMatchObject([
    { id: first.id, contract: "toy", method: "put", outcome: "ok", nonce: 1 },
    { outcome: "TOY_FAILED", nonce: 2 },
  ]);
  expect(json.signers).toHaveLength(3);
  expect((await get("/v1/blocks/latest")).json.height).toBe(3);
  expect((await get(`/v1/blocks/1?hash=${json.hash}`)).status).toBe(200);
  const other = await get(`/v1/blocks/2?hash=${json.hash}`);
  expect([other.status, other.json.code]).toEqual([404, "API_BLOCK_UNKNOWN"]);
  const above = await get("/v1/blocks/4");
  expect(above.json).toMatchObject({
    code: "API_BLOCK_UNKNOWN",
    facts: { height: 4, heightMax: 3 },
  });
  expect(above.headers["content-type"]).toBe("application/problem+json");
});

it("takes signed bytes, says 202, and tells the receipt when they come again", async () => {
  const { bytes, id } = served.node.toy({ events: 1 });
  const pending = await post(served.url, bytes);
  expect([pending.status, pending.json]).toEqual([202, { id, status: "pending" }]);
  expect((await post(served.url, bytes)).status).toBe(202);
  expect((await get(`/v1/transactions/${id}`)).json).toEqual({ id, status: "pending" });
  served.node.mine();
  const final = await post(served.url, bytes);
  expect(final.status).toBe(200);
  expect(final.json).toMatchObject({ id, status: "final", height: 4, index: 0 });
  expect(final.json.receipt.events).toEqual([{ contract: "toy", topic: "ticked", data: { n: 0 } }]);
  expect((await get(`/v1/transactions/${id}`)).json).toEqual(final.json);
  const called = await get(`/v1/transactions/${id}?call=1`);
  expect(called.json.call).toMatchObject({
    sender: didOf(sender.publicKey),
    contract: "toy",
    args: { events: 1 },
  });
});

it("holds a submission until it is final", async () => {
  const { bytes, id } = served.node.toy({});
  const waiting = post(served.url, bytes, "?wait=final&timeoutMs=5000");
  await until(() => served.node.pending.has(id));
  served.node.mine();
  expect((await waiting).json).toMatchObject({ id, status: "final" });
});

it("stops holding when the time is up, and when the client has gone", async () => {
  const { bytes, id } = served.node.toy({});
  const late = await post(served.url, bytes, "?wait=final&timeoutMs=20");
  expect([late.status, late.json]).toEqual([202, { id, status: "pending" }]);
  served.node.calls.length = 0;
  const client = new AbortController();
  const path = `/v1/transactions/${id}?wait=final&timeoutMs=5000`;
  const held = fetch(served.url + path, { signal: client.signal }).catch(() => "gone");
  await until(() => served.node.calls.includes("waitFinal"));
  client.abort();
  expect(await held).toBe("gone");
  await until(() => served.node.calls.includes("wait given up"));
  served.node.pending.clear();
});

it("stops only when no handler reads the ledger any more", async () => {
  const { url, stop, node } = await serve();
  const { bytes } = node.toy({});
  const held = post(url, bytes, "?wait=final&timeoutMs=5000").catch(() => "cut off");
  await until(() => node.calls.includes("waitFinal"));
  await stop();
  expect(node.calls.slice(-2)).toEqual(["wait given up", "wait ended"]);
  expect(await held).toBe("cut off");
});

it("tells why a transaction was dropped, and that one is unknown", async () => {
  const id = "ab".repeat(32);
  const unknown = await get(`/v1/transactions/${id}`);
  expect([unknown.status, unknown.json.code]).toEqual([404, "API_TRANSACTION_UNKNOWN"]);
  expect((await get(`/v1/transactions/${id}/proof`)).status).toBe(404);
  served.node.dropped.set(id, "TRANSACTION_EXPIRED");
  const dropped = await get(`/v1/transactions/${id}`);
  expect(dropped.json).toEqual({ id, status: "dropped", code: "TRANSACTION_EXPIRED" });
});

it("gives the refusals of admission with code, facts and what to do next", async () => {
  const refused = await post(served.url, served.node.toy({}, stranger).bytes);
  expect(refused.status).toBe(403);
  expect(refused.json).toMatchObject({
    code: "TRANSACTION_SENDER_UNKNOWN",
    facts: { sender: didOf(stranger.publicKey) },
    status: 403,
  });
  expect(refused.json.meaning.length).toBeGreaterThan(10);
  expect(refused.json.next.length).toBeGreaterThan(10);
});

it("gives everything that proves a transaction", async () => {
  const { json } = await get(`/v1/transactions/${first.id}/proof`);
  expect(json.transaction).toBe(Buffer.from(first.bytes).toString("hex"));
  expect(json).toMatchObject({ index: 0, size: 2 });
  expect(json.transactionPath).toHaveLength(1);
  expect(json.receiptPath).toHaveLength(1);
});

it("shows accounts, enrolled or not", async () => {
  const did = didOf(sender.publicKey);
  const { json } = await get(`/v1/accounts/${did}`);
  expect(json).toMatchObject({ did, enrolled: true, member: "member-0", roles: ["operator"] });
  expect(json.gasLimitMax).toBe(limits.callGasMax);
  const other = await get(`/v1/accounts/${encodeURIComponent(didOf(stranger.publicKey))}`);
  expect(other.json).toMatchObject({ enrolled: false, member: null, roles: [] });
  const wrong = await get("/v1/accounts/did:key:zNonsense");
  expect([wrong.status, wrong.json.code]).toEqual([400, "KEY_INVALID"]);
});

it("lists contracts and answers their views", async () => {
  const { json } = await get("/v1/contracts");
  expect(json.contracts).toMatchObject([{ name: "toy", views: ["echo", "refuse"] }]);
  const args = encodeURIComponent('{"b":1,"a":[2]}');
  const echo = await get(`/v1/contracts/toy/views/echo?args=${args}`);
  expect(echo.json).toEqual({
    height: served.node.chain.length - 1,
    gasUsed: 3,
    result: { args: { a: [2], b: 1 }, asking: null },
  });
  const plain = await get(`/v1/contracts/toy/views/echo?sender=${didOf(sender.publicKey)}`);
  expect(plain.json.result).toEqual({ args: {}, asking: didOf(sender.publicKey) });
});

it("tells a view's refusal apart from a view that is not there", async () => {
  const refused = await get("/v1/contracts/toy/views/refuse");
  expect([refused.status, refused.json.code]).toEqual([422, "API_VIEW_REFUSED"]);
  expect(refused.json.facts).toMatchObject({ outcome: "TOY_REFUSED", detail: "no" });
  for (const path of ["/v1/contracts/toy/views/other", "/v1/contracts/other/views/echo"]) {
    const unknown = await get(path);
    expect([unknown.status, unknown.json.code]).toEqual([404, "API_VIEW_UNKNOWN"]);
  }
});

it("reads state now, after a height, and with proofs", async () => {
  expect((await get("/v1/state?key=toy/a")).json).toMatchObject({
    text: '{"n":2}',
    value: { n: 2 },
  });
  const past = await get("/v1/state?key=toy/a&height=1");
  expect(past.json).toEqual({ key: "toy/a", height: 1, text: '{"n":1}', value: { n: 1 } });
  const absent = await get("/v1/state?key=toy/none&proof=1");
  expect(absent.json.text).toBe(null);
  expect(absent.json.proof.absence.path.length).toBeGreaterThan(0);
  expect(absent.json.proof.inclusion).toBe(undefined);
  const proven = await get("/v1/state?key=toy/a&proof=1");
  expect(proven.json.proof.inclusion.path.length).toBeGreaterThan(0);
  const old = await get("/v1/state?key=toy/a&proof=1&height=1");
  expect([old.status, old.json.code]).toEqual([404, "LEDGER_PROOF_UNAVAILABLE"]);
  const future = await get("/v1/state?key=toy/a&height=1000");
  expect([future.status, future.json.code]).toEqual([404, "API_BLOCK_UNKNOWN"]);
  const wrong = await get(`/v1/state?key=${encodeURIComponent("ä".repeat(200))}`);
  expect([wrong.status, wrong.json.code]).toEqual([400, "LEDGER_KEY_INVALID"]);
});

it("lists the history of a key, deletions too", async () => {
  const { json } = await get("/v1/state-history?key=toy/b");
  expect(json.entries).toEqual([
    { height: 2, text: '"x"', value: "x" },
    { height: 3, text: null, value: null },
  ]);
  expect(json.next).toBe(null);
  const page = await get("/v1/state-history?key=toy/a&limit=1");
  expect([page.json.entries.length, page.json.next]).toEqual([1, 2]);
});

it("lists events from a cursor", async () => {
  const { json } = await get("/v1/events?from=1:1&limit=2");
  const places = json.events.map((one: { height: number; index: number }) => [
    one.height,
    one.index,
  ]);
  expect(places).toEqual([
    [1, 1],
    [2, 0],
  ]);
  expect(json.events[0]).toMatchObject({ contract: "toy", topic: "ticked", data: { n: 1 } });
  const rest = await get(`/v1/events?from=${json.next}`);
  expect(rest.json.events[0].height).toBeGreaterThan(2);
  expect((await get("/v1/events")).json.events[0]).toMatchObject({ height: 1, index: 0 });
  expect((await get("/v1/events?from=latest")).json.events).toEqual([]);
});

it("exports the evidence of a bill", async () => {
  const { text } = await get("/v1/evidence/bills/m-1/2019-01/1");
  expect(text).toBe('{"bill":true}');
  const unknown = await get("/v1/evidence/bills/m-1/2019-02/1");
  expect([unknown.status, unknown.json.code]).toEqual([404, "API_BILL_UNKNOWN"]);
  expect(unknown.json.facts.bill).toBe("m-1/2019-02/1");
});

it("says whether it is ready, and why not", async () => {
  expect((await get("/health/live")).json).toEqual({ live: true });
  expect((await get("/health/ready")).json).toEqual({ ready: true, reasons: [] });
  served.node.notReady.push("catching up with height 9");
  const { status, json } = await get("/health/ready");
  expect(status).toBe(503);
  expect(json).toEqual({ ready: false, reasons: ["catching up with height 9"] });
  served.node.notReady.pop();
});

it("counts what operators watch", async () => {
  const { bytes } = served.node.toy({});
  await post(served.url, bytes);
  served.node.mine();
  const { text, headers } = await get("/metrics");
  expect(headers["content-type"]).toMatch(/^text\/plain/);
  const value = (name: string) =>
    Number(
      text
        .split("\n")
        .find((line) => line.startsWith(name))
        ?.split(" ")
        .at(-1),
    );
  expect(value("loopledger_height ")).toBe(served.node.chain.length - 1);
  expect(value("loopledger_peers ")).toBe(1);
  expect(value("loopledger_mempool_bytes ")).toBe(7);
  expect(value("loopledger_ledger_bytes ")).toBe(12_345_678);
  expect(value("loopledger_finality_seconds_count")).toBeGreaterThanOrEqual(1);
  const refused = 'loopledger_transactions_refused_total{source="';
  expect(value(`${refused}http",code="TRANSACTION_SENDER_UNKNOWN"}`)).toBe(1);
  expect(value(`${refused}peer",code="TRANSACTION_EXPIRED"}`)).toBe(2);
  expect(value('loopledger_http_request_seconds_count{method="GET",route="/v1/status"')).toBe(1);
  expect(text).toContain("nodejs_eventloop_lag_seconds");
});

it("describes every route in a valid OpenAPI 3.1 document", async () => {
  const { json } = await get("/openapi.json");
  expect(json.openapi).toBe("3.1.0");
  expect(json.info.title.length).toBeGreaterThan(0);
  const listed = Object.entries(
    json.paths as Record<string, Record<string, OperationForm>>,
  ).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => {
      checkOperation(path, operation);
      return `${method.toUpperCase()} ${path}`;
    }),
  );
  const expected = routes.map(
    ({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`,
  );
  expect(listed.sort()).toEqual(expected.sort());
  const ids = Object.values(json.paths as Record<string, Record<string, OperationForm>>).flatMap(
    (operations) => Object.values(operations).map(({ operationId }) => operationId),
  );
  expect(new Set(ids).size).toBe(routes.length);
});

type OperationForm = {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { name: string; in: string; required?: boolean; schema: object }[];
  readonly requestBody?: { readonly content: object };
  readonly responses: Record<string, { description: string; content: Record<string, object> }>;
};

function checkOperation(path: string, operation: OperationForm): void {
  expect(operation.summary.length).toBeGreaterThan(10);
  const { parameters = [], responses } = operation;
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  const named = parameters.filter((one) => one.in === "path");
  expect(named.map(({ name }) => name).sort()).toEqual(inPath.sort());
  for (const one of parameters) expect(one.schema).toBeTypeOf("object");
  for (const one of named) expect(one.required).toBe(true);
  expect(Object.keys(responses.default?.content ?? {})).toEqual(["application/problem+json"]);
  for (const { description, content } of Object.values(responses)) {
    expect(description.length).toBeGreaterThan(3);
    for (const media of Object.values(content)) expect(media).toHaveProperty("schema");
  }
  if (path === "/v1/transactions")
    expect(Object.keys(operation.requestBody?.content ?? {})).toEqual(["application/octet-stream"]);
}

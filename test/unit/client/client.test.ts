/**
 * The client against nodes in memory over real sockets: reading, submitting, fail-over, and nodes
 * that lie. Mutations that must fail here: asking no other node after CLIENT_PROOF_INVALID, taking
 * a proof without looking at its id, not verifying the certificate.
 */
import { createServer, type Server } from "node:http";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { didOf } from "../../../src/base/format/did.ts";
import { limits } from "../../../src/base/limits.ts";
import { portableVerifier } from "../../../src/base/verifier.ts";
import { LedgerClient, signCall } from "../../../src/client/client.ts";
import { trustOf } from "../../../src/client/finality.ts";
import type { FinalityProof } from "../../../src/client/schemas.ts";
import { FakeNode, fakeGenesis, sender, stranger } from "../api/fake-node.ts";
import { type Served, serve, stopAll, until } from "../api/http.ts";

let served: Served;
let client: LedgerClient;
const trust = trustOf(fakeGenesis(), portableVerifier);
const servers: Server[] = [];
/** Port 9 (discard) answers nowhere. */
const deadUrl = "http://127.0.0.1:9";

beforeAll(async () => {
  served = await serve();
  client = new LedgerClient({ nodes: [served.url] });
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});
afterAll(stopAll);

/** A server that answers as a test says, in place of a node. */
async function impostor(
  answer: (path: string) => { readonly status?: number; readonly body: string } | undefined,
): Promise<string> {
  const server = createServer((request, response) => {
    const found = answer(request.url ?? "");
    if (found === undefined) return;
    response.writeHead(found.status ?? 200).end(found.body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

/** Mines as soon as something is pending, as a node with consensus does. */
function mining(node: FakeNode): () => void {
  const timer = setInterval(() => {
    if (node.pending.size > 0) node.mine();
  }, 5);
  return () => clearInterval(timer);
}

it("submits a call with the next nonce, waits until it is final, and proves it", async () => {
  const stop = mining(served.node);
  const call = { contract: "toy", method: "put", args: { events: 1, set: { "toy/a": 1 } } };
  // The fake counts nonces when it makes transactions itself.
  const final = await client.submitAndWait(call, { signer: sender, trust });
  stop();
  expect(final.receipt.outcome).toBe("ok");
  expect(final.transaction).toMatchObject({ nonce: 1, gasLimit: limits.callGasMax });
  const status = await client.transaction(final.transaction.id, { withCall: true });
  expect(status).toMatchObject({ status: "final", call: { args: call.args } });
});

it("gives a failed transaction's proven receipt as a result, not as an error", async () => {
  const stop = mining(served.node);
  const { bytes, id } = served.node.toy({ fail: "TOY_FAILED" });
  expect(await client.submit(bytes)).toEqual({ id, status: "pending" });
  const { receipt } = await client.waitFinal(id, trust);
  stop();
  expect(receipt.outcome).toBe("TOY_FAILED");
});

it("reads everything a node has", async () => {
  const { node } = served;
  node.mine(node.toy({ events: 2, set: { "toy/c": { x: 1 } } }).bytes);
  const height = node.chain.length - 1;
  expect(await client.status()).toMatchObject({ height, chainId: node.chainId, ready: true });
  expect(await client.genesis()).toBe(JSON.stringify(node.genesis));
  expect((await client.account(didOf(sender.publicKey))).enrolled).toBe(true);
  expect((await client.contracts()).map(({ name }) => name)).toEqual(["toy"]);
  expect((await client.view("toy", "echo", { z: [1] })).result).toEqual({
    args: { z: [1] },
    asking: null,
  });
  expect(await client.state("toy/c")).toMatchObject({ text: '{"x":1}', height });
  expect((await client.stateHistory("toy/c")).entries).toHaveLength(1);
  expect(await client.block("latest")).toMatchObject({ height, transactionCount: 1 });
  expect((await client.blocks({ from: 0, limit: 2 })).blocks).toHaveLength(2);
  const page = await client.eventPage({ from: `${height}:1` });
  expect(page).toMatchObject({ events: [{ height, index: 1 }], next: `${height + 1}:0` });
  expect(await client.evidence("m-1/2019-01/1")).toBe('{"bill":true}');
  expect(await client.transaction("ab".repeat(32))).toBe(undefined);
});

it("proves state values and their absence", async () => {
  const { node } = served;
  node.mine(node.toy({ set: { "toy/d": "é" } }).bytes);
  const { text, header } = await client.provenState("toy/d", trust);
  expect([text, header.height]).toEqual(['"é"', node.chain.length - 1]);
  expect((await client.provenState("toy/none", trust)).text).toBe(undefined);
  const other = trustOf(fakeGenesis("another ledger"), portableVerifier);
  await expect(client.provenState("toy/d", other)).rejects.toMatchObject({
    code: "CLIENT_PROOF_INVALID",
  });
});

it("throws what the node says, with its code and facts", async () => {
  const { bytes } = served.node.toy({}, stranger);
  await expect(client.submit(bytes)).rejects.toMatchObject({
    name: "LedgerError",
    code: "TRANSACTION_SENDER_UNKNOWN",
    facts: { sender: didOf(stranger.publicKey) },
  });
  await expect(client.view("toy", "refuse")).rejects.toMatchObject({
    code: "API_VIEW_REFUSED",
    facts: { outcome: "TOY_REFUSED" },
  });
});

it("tells what a wait ended with: time, or a transaction dropped", async () => {
  const { bytes, id } = served.node.toy({});
  await client.submit(bytes);
  const late = client.waitFinal(id, trust, { timeoutMs: 50 });
  await expect(late).rejects.toMatchObject({ code: "CLIENT_WAIT_TIMEOUT", facts: { id } });
  served.node.pending.clear();
  served.node.dropped.set(id, "TRANSACTION_EXPIRED");
  await expect(client.waitFinal(id, trust)).rejects.toMatchObject({
    code: "CLIENT_TRANSACTION_DROPPED",
    facts: { dropped: "TRANSACTION_EXPIRED" },
  });
});

it("signs again with the next nonce when another process took it, and gives up in the end", async () => {
  const conflict = {
    code: "TRANSACTION_NONCE_CONFLICT",
    facts: { sender: "x", nonce: 1, pendingId: "y" },
  };
  let posts = 0;
  const account = await client.account(didOf(sender.publicKey));
  const url = await impostor((path) => {
    if (path.startsWith("/v1/accounts")) return { body: JSON.stringify(account) };
    posts += 1;
    return { status: 409, body: JSON.stringify(conflict) };
  });
  const call = { contract: "toy", method: "put", args: {} };
  const sent = new LedgerClient({ nodes: [url] }).submitCall(call, { signer: sender, trust });
  await expect(sent).rejects.toMatchObject({ code: "TRANSACTION_NONCE_CONFLICT" });
  expect(posts).toBe(5);
});

it("goes on to the next node when one is dead, silent, broken, or overloaded", async () => {
  const silent = await impostor(() => undefined);
  const broken = await impostor(() => ({ body: "<html>" }));
  const foreign = await impostor(() => ({ body: '{"name":1}' }));
  const full = { code: "MEMPOOL_FULL", facts: { bytes: 1, bytesMax: 1 } };
  const overloaded = await impostor(() => ({ status: 503, body: JSON.stringify(full) }));
  const bad = [deadUrl, silent, broken, foreign, overloaded];
  const many = new LedgerClient({ nodes: [...bad, served.url], timeoutMs: 300 });
  expect((await many.status()).name).toBe("fake");
  expect(many.nodes.map(({ failures }) => failures)).toEqual([1, 1, 1, 1, 1, 0]);
  expect(many.nodes[0]?.lastError).toMatch(/ECONNREFUSED|bad port/);
  // The one that answered is asked first from now on.
  await many.status();
  expect(many.nodes.map(({ failures }) => failures)).toEqual([1, 1, 1, 1, 1, 0]);
});

it("asks no other node after a refusal, which is an answer", async () => {
  const second = await serve();
  const both = new LedgerClient({ nodes: [served.url, second.url] });
  await expect(both.submit(served.node.toy({}, stranger).bytes)).rejects.toThrow();
  expect(second.node.calls).toEqual([]);
});

it("names all nodes when none answers", async () => {
  const none = new LedgerClient({ nodes: [deadUrl, "http://127.0.0.1:1"] });
  await expect(none.status()).rejects.toMatchObject({
    code: "CLIENT_UNREACHABLE",
    facts: { nodes: `${deadUrl} http://127.0.0.1:1` },
  });
  expect(() => new LedgerClient({ nodes: [] })).toThrow("CLIENT_UNREACHABLE");
  expect(() => new LedgerClient({ nodes: ["127.0.0.1:80"] })).toThrow("CLIENT_UNREACHABLE");
});

it("does not take over codes or facts that no node has", async () => {
  for (const body of ['{"code":"NO_SUCH_CODE"}', '{"code":"toString"}', "null", "[]", "nonsense"]) {
    const url = await impostor(() => ({ status: 400, body }));
    const failed = new LedgerClient({ nodes: [url] }).status();
    await expect(failed).rejects.toMatchObject({ code: "CLIENT_RESPONSE_INVALID" });
  }
});

it("stops when it is told to", async () => {
  const silent = await impostor(() => undefined);
  const stop = new AbortController();
  const waiting = new LedgerClient({ nodes: [silent, served.url] }).transaction("ab".repeat(32), {
    signal: stop.signal,
  });
  setTimeout(() => stop.abort(new Error("told to")), 20);
  await expect(waiting).rejects.toThrow("told to");
});

it("is not deceived by a lying node, and gets the truth from the next", async () => {
  const { node } = served;
  const { bytes, id } = node.toy({ events: 1 });
  node.mine(bytes, node.toy({}).bytes);
  const honest = await client.proof(id);
  const lie: FinalityProof = { ...honest, transactionPath: [] };
  const liar = await impostor(() => ({ body: JSON.stringify(lie) }));
  const alone = new LedgerClient({ nodes: [liar] });
  await expect(alone.final(id, trust)).rejects.toMatchObject({ code: "CLIENT_PROOF_INVALID" });
  const both = new LedgerClient({ nodes: [liar, served.url] });
  expect((await both.final(id, trust, bytes)).transaction.id).toBe(id);
  expect(both.nodes[0]?.failures).toBe(1);
});

it("signs the same bytes for the same input, canonical whatever the order of keys", () => {
  const options = { signer: sender, chainId: trust.chainId, nonce: 7, expiresAtMs: 9, gasLimit: 1 };
  const sign = (args: { [key: string]: number }) =>
    signCall({ contract: "toy", method: "put", args }, options);
  expect(sign({ b: 1, a: 2 }).bytes).toEqual(sign({ a: 2, b: 1 }).bytes);
  expect(sign({ b: 1, a: 2 }).argsJson).toBe('{"a":2,"b":1}');
});

it("follows events across nodes that break, without gap or repetition", async () => {
  const node = new FakeNode();
  for (let block = 0; block < 4; block += 1) node.mine(node.toy({ events: 2 }).bytes);
  const one = await serve(node);
  const two = await serve(node);
  const follower = new LedgerClient({ nodes: [one.url, two.url] });
  const stop = new AbortController();
  const places: string[] = [];
  const following = (async () => {
    const events = follower.events({ from: "1:1", signal: stop.signal, retryMs: 5 });
    for await (const { height, index, next } of events) {
      places.push(`${height}:${index}`);
      expect(next).toBe(`${height}:${index + 1}`);
      if (places.length === 3) await one.stop();
      if (places.length === 7) node.mine(node.toy({ events: 2 }).bytes);
      if (places.length === 9) stop.abort();
    }
  })();
  await following;
  const expected = [2, 3, 4, 5].flatMap((height) => [`${height}:0`, `${height}:1`]);
  expect(places).toEqual(["1:1", ...expected]);
});

it("notices a stream that fell silent, and one that goes back", async () => {
  const node = new FakeNode();
  node.mine(node.toy({ events: 2 }).bytes);
  const good = await serve(node);
  const event = { height: 1, transactionId: "ab".repeat(32), timeMs: 0, contract: "toy" };
  const frame = (index: number) =>
    `id: 1:${index + 1}\ndata: ${JSON.stringify({ ...event, index, topic: "lie", data: 1 })}\n\n`;
  let opened = 0;
  const server = createServer((_request, response) => {
    opened += 1;
    response.writeHead(200).write(opened === 1 ? frame(0) + frame(0) : ": nothing\n\n");
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const follower = new LedgerClient({ nodes: [url, good.url] });
  const topics: string[] = [];
  for await (const { topic, index } of follower.events({ retryMs: 5, silenceMsMax: 100 })) {
    topics.push(`${topic} ${index}`);
    if (index === 1) break;
  }
  expect(topics).toEqual(["lie 0", "ticked 1"]);
  const silent = new LedgerClient({ nodes: [url, good.url] });
  for await (const { topic } of silent.events({ retryMs: 5, silenceMsMax: 100 })) {
    expect(topic).toBe("ticked");
    break;
  }
  expect(silent.nodes[0]?.lastError).toBe("the stream fell silent");
});

it("throws when a node refuses the cursor, and returns when it is told to stop", async () => {
  const events = client.events({ from: "nonsense" });
  await expect(events.next()).rejects.toMatchObject({ code: "API_INPUT_INVALID" });
  const stop = new AbortController();
  const waiting = client.events({ from: "latest", signal: stop.signal }).next();
  await until(() => served.node.calls.some((call) => call.startsWith("events")));
  stop.abort();
  expect(await waiting).toEqual({ done: true, value: undefined });
});

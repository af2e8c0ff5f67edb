/**
 * Following events: replay from a cursor, then live, without gap or repetition; slow and surplus
 * clients are cut off or refused, and no event is ever left out. Invariants as numbered in
 * src/api/events.ts. Mutations that must fail here: `prepareSleep` after the last `flushedTo` (an
 * append between is missed), no wait for `flushedTo` (a slow client's page after page is read).
 */
import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, expect, it } from "vitest";
import { streamLimits } from "../../../src/api/events.ts";
import { StreamParser } from "../../../src/client/event-stream.ts";
import { FakeNode } from "./fake-node.ts";
import { ask, type Served, serve, stopAll, until } from "./http.ts";

afterEach(stopAll);

/** Follows a stream and collects it. */
function follow(served: Served, from: string | undefined, headers: Record<string, string> = {}) {
  const query = from === undefined ? "" : `?from=${from}`;
  const parser = new StreamParser();
  const seen = { places: [] as string[], ids: [] as string[], closed: false };
  const client = request(`${served.url}/v1/events/stream${query}`, { headers, agent: false });
  client.on("response", (response) => {
    response.on("data", (chunk: Buffer) => {
      for (const { id, data } of parser.push(chunk)) {
        if (id !== undefined) seen.ids.push(id);
        if (data === undefined) continue;
        const { height, index } = JSON.parse(data) as { height: number; index: number };
        seen.places.push(`${height}:${index}`);
      }
    });
    response.on("close", () => {
      seen.closed = true;
    });
    response.on("error", () => {});
  });
  client.on("error", () => {});
  client.end();
  return { seen, leave: () => client.destroy() };
}

function mined(blocks: number, events = 2): FakeNode {
  const node = new FakeNode();
  for (let made = 0; made < blocks; made += 1) node.mine(node.toy({ events }).bytes);
  return node;
}

const placesOf = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => [`${from + n}:0`, `${from + n}:1`]).flat();

it("replays from a cursor and goes on live without gap or repetition", async () => {
  const node = mined(3);
  const served = await serve(node);
  const { seen } = follow(served, "1:1");
  await until(() => seen.places.length === 5);
  for (let block = 4; block <= 8; block += 1) node.mine(node.toy({ events: 2 }).bytes);
  await until(() => seen.places.length === 15);
  expect(seen.places).toEqual(["1:1", ...placesOf(2, 8)]);
});

it("loses nothing when blocks come while it reads (invariant 1)", async () => {
  const node = mined(2);
  const served = await serve(node);
  const { seen } = follow(served, undefined);
  for (let block = 3; block <= 40; block += 1) {
    node.mine(node.toy({ events: 2 }).bytes);
    if (block % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => seen.places.length === 80);
  expect(seen.places).toEqual(placesOf(1, 40));
});

it("goes on at the id of the last message (invariant 2), from the header as browsers send it", async () => {
  const node = mined(4);
  const served = await serve(node);
  const first = follow(served, "0:0");
  await until(() => first.seen.places.length >= 3);
  first.leave();
  // The first id came before any event; each further one belongs to an event.
  const id = first.seen.ids[3] as string;
  const second = follow(served, "0:0", { "last-event-id": id });
  await until(() => second.seen.places.length === 5);
  expect([...first.seen.places.slice(0, 3), ...second.seen.places]).toEqual(placesOf(1, 4));
});

it("begins after the tip when asked for the latest, and pings with its cursor", async () => {
  const node = mined(3);
  const served = await serve(node, { ...streamLimits, pingMs: 10 });
  const { seen } = follow(served, "latest");
  await until(() => seen.ids.length >= 3);
  expect(new Set(seen.ids)).toEqual(new Set(["4:0"]));
  node.mine(node.toy({ events: 1 }).bytes);
  await until(() => seen.places.length === 1);
  expect(seen.places).toEqual(["4:0"]);
  await until(() => seen.ids.at(-1) === "5:0");
});

/** Opens a stream and takes nothing of it until told to. */
function stalled(served: Served) {
  const socket = connect(served.port, "127.0.0.1");
  socket.on("error", () => {});
  const host = `host: 127.0.0.1:${served.port}`;
  socket.write(`GET /v1/events/stream?from=0:0 HTTP/1.1\r\n${host}\r\n\r\n`);
  socket.pause();
  return socket;
}

const clientsOf = async (served: Served) =>
  Number(/event_clients (\d+)/.exec((await ask(served.url, "/metrics")).text)?.[1]);

async function untilClients(served: Served, count: number): Promise<void> {
  while ((await clientsOf(served)) !== count) await new Promise((go) => setTimeout(go, 10));
}

const pad = "x".repeat(50_000);

it("cuts off a client that takes nothing, and holds up nobody else (invariant 3)", async () => {
  const node = new FakeNode();
  const bounds = { ...streamLimits, bufferBytesMax: 64_000, stallMsMax: 50 };
  const served = await serve(node, bounds);
  const socket = stalled(served);
  const { seen } = follow(served, "0:0");
  for (let block = 1; block <= 5; block += 1) {
    node.mine(node.toy({ events: 60, pad }).bytes);
    await until(() => seen.places.length === 60 * block);
  }
  // Appends wake the client, which must not count as if it had taken something.
  const appending = setInterval(() => node.mine(node.toy({}).bytes), 20);
  await untilClients(served, 1);
  clearInterval(appending);
  expect(seen.closed).toBe(false);
  expect(new Set(seen.places).size).toBe(300);
  socket.destroy();
});

it("reads no further ahead for a slow client than its buffer takes", async () => {
  const node = new FakeNode();
  for (let block = 1; block <= 10; block += 1) node.mine(node.toy({ events: 60, pad }).bytes);
  const served = await serve(node, { ...streamLimits, bufferBytesMax: 64_000, stallMsMax: 200 });
  const socket = stalled(served);
  await until(() => node.calls.length > 0);
  await untilClients(served, 0);
  // 30 MB are to be had; the operating system takes a few of them.
  expect(node.calls).not.toContain("events 11:0");
  expect(node.calls.length).toBeLessThan(6);
  socket.destroy();
});

it("notices an append that comes while it waits for a slow client (invariant 1)", async () => {
  const node = new FakeNode();
  for (let block = 1; block <= 5; block += 1) node.mine(node.toy({ events: 60, pad }).bytes);
  const bounds = { ...streamLimits, bufferBytesMax: 2 ** 27, stallMsMax: 20_000, pingMs: 60_000 };
  const served = await serve(node, bounds);
  const socket = stalled(served);
  await until(() => node.calls.includes("events 5:0") || node.calls.length >= 3);
  await new Promise((resolve) => setTimeout(resolve, 20));
  node.mine(node.toy({ events: 1 }).bytes);
  let tail = "";
  socket.on("data", (chunk) => {
    tail = (tail + chunk.toString()).slice(-1_000);
  });
  socket.resume();
  await until(() => tail.includes("id: 6:1"));
  socket.destroy();
});

it("refuses more clients than it serves, and takes one in when another leaves", async () => {
  const served = await serve(mined(1), { ...streamLimits, clientsMax: 2 });
  const one = follow(served, "0:0");
  const two = follow(served, "0:0");
  await until(() => one.seen.places.length === 2 && two.seen.places.length === 2);
  const refused = await ask(served.url, "/v1/events/stream");
  expect([refused.status, refused.json.code]).toEqual([503, "API_EVENT_CLIENTS_FULL"]);
  one.leave();
  let status = 503;
  while (status === 503) {
    const answer = await fetch(`${served.url}/v1/events/stream`);
    ({ status } = answer);
    await answer.body?.cancel();
  }
  expect(status).toBe(200);
});

it("ends all streams at stop, and listens to the ledger no more", async () => {
  const node = mined(1);
  const served = await serve(node);
  const { seen } = follow(served, "0:0");
  await until(() => seen.places.length === 2);
  await served.stop();
  await until(() => seen.closed);
  expect(node.listeners.size).toBe(0);
});

/**
 * A stream that is opened in the very turn in which its connection ends must not end the process:
 * the library's error comes from a microtask, where only the process itself could catch it. Fails,
 * as an uncaught error of the run, with the plain muxer of the library.
 */
import "../../../src/p2p/polyfill.ts";
import { identify } from "@libp2p/identify";
import type { Libp2p } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { tcp } from "@libp2p/tcp";
import { createLibp2p } from "libp2p";
import { afterEach, expect, it } from "vitest";
import { guardedYamux } from "../../../src/p2p/muxer.ts";

const started: Libp2p[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((host) => host.stop()));
});

async function start(): Promise<Libp2p> {
  const host = await createLibp2p({
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [guardedYamux({})],
    connectionMonitor: { enabled: false },
    services: { identify: identify() },
  });
  started.push(host);
  return host;
}

it.each(["abort", "close"] as const)("a stream may be opened in the turn of %s", async (end) => {
  const [left, right] = [await start(), await start()];
  await right.handle("/test/echo", (stream) => {
    stream.addEventListener("message", ({ data }) => stream.send(data));
  });
  const connection = await left.dial(right.getMultiaddrs());
  const working = await connection.newStream("/test/echo");
  const answer = new Promise((resolve) => working.addEventListener("message", resolve));
  working.send(new Uint8Array([1]));
  await answer;
  const opening = connection.newStream("/test/echo");
  if (end === "abort") connection.abort(new Error("ended by the test"));
  else void connection.close();
  const outcome = await opening.then(
    ({ status }) => status,
    () => "failed",
  );
  expect(["failed", "closed", "aborted", "reset"]).toContain(outcome);
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Outbox } from "../../../src/gateway/outbox.ts";
import { type ReplayOptions, readStatus, runGatewayReplay } from "../../../src/gateway.ts";
import { nativeVerifier } from "../../../src/node/native-crypto.ts";
import { FakeLedger, FakeNode, gatewaySigner, genesis, problem } from "./fake-ledger.ts";

const head =
  "time_rounded,energy_heat_kwh,volume_flow_m3,inlet_flow_energy_m3xC,back_flow_energy_m3xC";
const lineOf = (index: number) => {
  const time = new Date(1_500_000_000_000 + index * 3_600_000).toISOString();
  return `${time},${index},${index},${index},${index}`;
};
const csvOf = (count: number) =>
  `${head}\n${Array.from({ length: count }, (_, index) => lineOf(index)).join("\n")}\n`;

let parent: string;
let directory: string;
let csvFile: string;
let ledger: FakeLedger;
let node: FakeNode;
let server: Server;
let url: string;
beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), "loopledger-replay-"));
  directory = join(parent, "gateway");
  csvFile = join(parent, "meter.csv");
  ledger = new FakeLedger();
  node = new FakeNode(ledger);
  ({ server, url } = await node.listen());
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
  rmSync(parent, { recursive: true, force: true });
});

function replay(options: Partial<ReplayOptions> = {}) {
  return runGatewayReplay({
    nodes: [url],
    genesis,
    signer: gatewaySigner,
    verifier: nativeVerifier,
    directory,
    csvFile,
    meter: "m1",
    batchCount: 50,
    ...options,
  });
}

it("replays a file, and a second time sends nothing", async () => {
  writeFileSync(csvFile, csvOf(1_200));
  const progress: number[] = [];
  const first = await replay({ onProgress: ({ final }) => progress.push(final) });
  expect(first).toMatchObject({ readings: 1_200, refused: 0, isComplete: true });
  expect(progress.at(-1)).toBe(1_200);
  const sent = ledger.finalOnes.length;
  expect(await replay()).toMatchObject({ readings: 0, isComplete: true });
  expect(ledger.finalOnes).toHaveLength(sent);
  expect(ledger.once).toBe(1_200);
});

it("goes on where it was stopped, also when another file was replayed in between", async () => {
  writeFileSync(csvFile, csvOf(1_200));
  const stop = new AbortController();
  const onProgress = () => ledger.applied.size > 0 && stop.abort();
  node.onRequest = onProgress;
  const first = await replay({ signal: stop.signal });
  expect(first.isComplete).toBe(false);
  expect(readStatus(directory)).toMatchObject({ state: "stopped" });
  node.onRequest = () => {};
  const otherFile = join(parent, "other.csv");
  writeFileSync(otherFile, csvOf(30));
  await replay({ csvFile: otherFile, meter: "m2" });
  expect(await replay()).toMatchObject({ isComplete: true });
  expect(ledger.applied.size).toBe(1_230);
  expect(ledger.once).toBe(1_230);
  expect(readStatus(directory)).toMatchObject({ state: "complete", final: 1_230, queued: 0 });
});

it("sends nothing when it is stopped before it begins, and gives the directory free", async () => {
  writeFileSync(csvFile, csvOf(10));
  const summary = await replay({ signal: AbortSignal.abort() });
  expect(summary).toMatchObject({ readings: 0, isComplete: false });
  expect(ledger.finalOnes).toEqual([]);
  expect(await replay()).toMatchObject({ readings: 10, isComplete: true });
});

it("ends soon when it is stopped while no node is there", async () => {
  writeFileSync(csvFile, csvOf(10));
  const stop = new AbortController();
  server.close();
  const running = replay({ signal: stop.signal });
  await expect
    .poll(() => readStatus(directory).lastError, { timeout: 3_000 })
    .toContain("CLIENT_UNREACHABLE");
  const status = readStatus(directory);
  expect(status).toMatchObject({ state: "running", queued: 10, inFlight: 0 });
  expect(status.oldestAcceptedAtMs).toBeGreaterThan(Date.now() - 60_000);
  expect(status.nodes[0]).toMatchObject({ lastError: expect.stringContaining("ECONN") });
  stop.abort();
  expect(await running).toMatchObject({ isComplete: false });
});

it("has the readings before a wrong line final, names the line, and says so in its status", async () => {
  writeFileSync(csvFile, `${csvOf(7)}wrong,1,1,1,1\n${lineOf(8)}\n`);
  await expect(replay()).rejects.toMatchObject({ code: "GATEWAY_CSV_INVALID", facts: { line: 9 } });
  expect(ledger.once).toBe(7);
  expect(readStatus(directory).state).toMatch(/^stopped: GATEWAY_CSV_INVALID/);
  // The corrected file is another one: lines that were read before are looked at again.
  writeFileSync(csvFile, csvOf(9).replace(lineOf(3), lineOf(100)));
  expect(await replay()).toMatchObject({ isComplete: true });
  expect(ledger.applied.size).toBe(10);
});

it("refuses a second gateway on the same directory, and leaves the first one's status", async () => {
  writeFileSync(csvFile, csvOf(10));
  const outbox = await Outbox.open(join(directory, "outbox"));
  await expect(replay()).rejects.toMatchObject({
    code: "GATEWAY_OUTBOX_UNREADABLE",
    facts: { reason: "another gateway has it open" },
  });
  await outbox.close();
  expect(() => readStatus(directory)).toThrow("FILE_UNREADABLE");
  expect(await replay()).toMatchObject({ readings: 10 });
});

it("keeps all and gives the directory free when the ledger refuses the gateway", async () => {
  writeFileSync(csvFile, csvOf(6_000));
  node.intercept = ({ method }) =>
    method === "POST" ? problem("TRANSACTION_ROLE_MISSING") : undefined;
  await expect(replay()).rejects.toMatchObject({ code: "GATEWAY_SENDER_REFUSED" });
  const { state, queued, inFlight, final } = readStatus(directory);
  expect(state).toContain("TRANSACTION_ROLE_MISSING");
  expect(queued + inFlight).toBeGreaterThan(0);
  expect(final).toBe(0);
  const outbox = await Outbox.open(join(directory, "outbox"));
  await outbox.close();
});

it("needs a directory and addresses that can be right, before it locks anything", async () => {
  writeFileSync(csvFile, csvOf(1));
  await expect(replay({ nodes: ["nowhere"] })).rejects.toMatchObject({
    code: "CLIENT_UNREACHABLE",
  });
  await expect(replay({ directory: csvFile })).rejects.toMatchObject({
    code: "GATEWAY_OUTBOX_UNREADABLE",
  });
  await expect(replay({ csvFile: join(parent, "gone.csv") })).rejects.toMatchObject({
    code: "FILE_UNREADABLE",
  });
  expect(await replay()).toMatchObject({ readings: 1 });
});

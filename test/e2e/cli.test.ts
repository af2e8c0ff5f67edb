/**
 * The commands against a devnet of one node, as processes of their own. Needs a build.
 *
 * Claims: each does what its help says, with its exit code; a devnet ends only what it started.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { damageAnywhere } from "../../src/cli/demo/tamper.ts";
import { openDevnet } from "../../src/cli/devnet/layout.ts";
import { freeBasePort, programFile } from "../../src/cli/devnet/processes.ts";

const root = mkdtempSync(join(tmpdir(), "loopledger-cli-test-"));
const csv = fileURLToPath(
  new URL("../../data/heat_meters/dk_heat_meter_660_hourly_2018_2019.csv", import.meta.url),
);
const readingsCount = 250;

type Result = { readonly code: number; readonly out: string; readonly err: string };

function run(...args: string[]): Promise<Result> {
  return new Promise((resolve) => {
    execFile(process.execPath, [programFile, ...args], { cwd: root }, (error, out, err) => {
      const code = error === null ? 0 : Number(error.code ?? -1);
      resolve({ code, out, err });
    });
  });
}

/** Runs a command that must succeed and returns what it printed as JSON. */
async function json(...args: string[]) {
  const { code, out, err } = await run(...args, "--json");
  expect(code, err).toBe(0);
  return JSON.parse(out);
}

const submit = (contract: string, method: string, args: object, ...more: string[]) => [
  ...["tx", "submit", "--contract", contract, "--method", method],
  ...["--args", JSON.stringify(args), "--wait", ...more],
];

beforeAll(async () => {
  const basePort = `${await freeBasePort(1)}`;
  await json("devnet", "up", "--nodes", "1", "--base-port", basePort);
}, 60_000);
afterAll(async () => {
  await run("devnet", "reset");
  rmSync(root, { recursive: true });
}, 60_000);

describe("a devnet", { timeout: 60_000 }, () => {
  it("goes on running after the command, and is left alone by a second one", async () => {
    const before = await json("devnet", "status");
    expect(before.nodes).toMatchObject([{ name: "heat-producer", ready: true, height: 0 }]);
    await json("devnet", "up");
    expect((await json("devnet", "status")).nodes[0].pid).toBe(before.nodes[0].pid);
  });

  it("refuses settings other than those it was made with", async () => {
    const { code, err } = await run("devnet", "up", "--nodes", "4");
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("CLI_DEVNET_DIFFERS") });
  });

  it("does not end a process that has the remembered number but is another", async () => {
    const [node] = openDevnet(join(root, "devnet")).nodes;
    const own = readFileSync(node?.processFile ?? "", "utf8");
    writeFileSync(node?.processFile ?? "", JSON.stringify({ pid: process.pid, startedAt: "1" }));
    expect(await json("devnet", "down")).toEqual({ stopped: [] });
    writeFileSync(node?.processFile ?? "", own);
    expect((await json("devnet", "status")).nodes[0].ready).toBe(true);
  });
});

describe("the commands", { timeout: 120_000 }, () => {
  it("submit, and say what was written; a refused call ends with 1 and its code", async () => {
    const { did: gateway } = await json("key", "show", "gateway");
    const args = { meter: "m-1", kind: "heat", gateway };
    const done = await json(...submit("metering", "registerMeter", args));
    expect(done).toMatchObject({ status: "final", outcome: "ok", keys: ["metering/meter/m-1"] });
    expect(await json("tx", "show", done.id)).toMatchObject({ status: "final", height: 1 });
    const other = { ...args, kind: "cold" };
    const refused = await run(...submit("metering", "registerMeter", other), "--json");
    expect(refused.code).toBe(1);
    const { code, facts } = JSON.parse(refused.err).error;
    expect([code, facts.outcome]).toEqual(["CLI_TRANSACTION_REFUSED", "METERING_METER_EXISTS"]);
    const foreign = await run(...submit("metering", "registerMeter", args, "--key", "gateway"));
    expect(foreign.err).toContain("TRANSACTION_ROLE_MISSING");
  });

  it("replay readings, and again without effect", async () => {
    const lines = readFileSync(csv, "utf8")
      .split("\n")
      .slice(0, readingsCount + 1);
    writeFileSync(join(root, "some.csv"), lines.join("\n"));
    const replay = ["gateway", "replay", "--file", "some.csv", "--meter", "m-1"];
    // A mistyped meter or key leaves nothing in the outbox that would stand in the way later.
    const mistyped = await run("gateway", "replay", "--file", "some.csv", "--meter", "m-l");
    expect(mistyped.err).toContain("METERING_METER_UNKNOWN for m-l");
    const wrongKey = await run(...replay, "--key", "operator");
    expect(wrongKey.err).toContain("TRANSACTION_ROLE_MISSING");
    expect(await json(...replay)).toMatchObject({ readings: readingsCount, refused: 0 });
    expect(await json(...replay)).toMatchObject({ readings: 0, refused: 0 });
    const status = await json("gateway", "status");
    expect(status).toMatchObject({ state: "complete", final: readingsCount, queued: 0 });
  });

  it("end without a word when whoever reads their output has enough", async () => {
    const reader = spawn(process.execPath, [programFile, "events", "follow"], { cwd: root });
    const exited = once(reader, "exit");
    let complaint = "";
    reader.stderr.on("data", (bytes) => {
      complaint += bytes;
    });
    const [first] = await once(reader.stdout, "data");
    expect(`${first}`).toMatch(/^1:0 +metering\.meter /);
    reader.stdout.destroy();
    // Only a write notices that nobody reads any more: make one more event.
    const { did: gateway } = await json("key", "show", "gateway");
    await json(...submit("metering", "registerMeter", { meter: "m-2", kind: "heat", gateway }));
    await exited;
    expect(complaint).toBe("");
  });

  it("query views, show blocks and events", async () => {
    const page = await json("query", "metering", "readings", "--args", '{"meter":"m-1","limit":2}');
    expect(page.rows).toHaveLength(2);
    expect(page.rows[0]).toEqual([
      Date.UTC(2018, 0, 2, 23),
      5_347_614,
      113_991,
      8_246_422,
      3_528_807,
    ]);
    expect(await json("block", "show", "1")).toMatchObject({ height: 1, signers: [{}] });
    const { code, out } = await run("events", "follow", "--from", "1:0", "--count", "2", "--json");
    expect(code).toBe(0);
    const events = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events.map(({ topic }) => topic)).toEqual(["meter", "readings"]);
    const unknown = await run(
      "query",
      "billing",
      "bill",
      "--args",
      '{"meter":"m-1","month":"2018-01"}',
    );
    expect(unknown).toMatchObject({
      code: 1,
      err: expect.stringContaining("BILLING_BILL_UNKNOWN"),
    });
  });

  it("verify a stopped chain, against a block known before, and find damage", async () => {
    const { height, hash } = await json("node", "status");
    const running = await run("chain", "verify");
    expect(running).toMatchObject({ code: 1, err: expect.stringContaining("LEDGER_STORE_LOCKED") });
    await json("devnet", "down", "--kill");
    const expected = ["--expect", `${height}:${hash}`];
    const valid = await json("chain", "verify", ...expected);
    expect(valid).toMatchObject({ isValid: true, validHeight: height });
    const later = await run("chain", "verify", "--expect", `${height + 1}:${hash}`);
    expect(later.code).toBe(1);
    const [node] = openDevnet(join(root, "devnet")).nodes;
    await damageAnywhere(node?.ledgerDirectory ?? "", 1);
    const damaged = await run("chain", "verify", ...expected);
    expect(damaged).toMatchObject({ code: 1, out: expect.stringContaining("damaged") });
  });
});

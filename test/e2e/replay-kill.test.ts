/**
 * Real kills: a gateway process is killed with SIGKILL at random moments of its run, started
 * again, and at the end every reading is final in exactly one transaction of a ledger that
 * remembers. In between transactions expire, so that bytes are signed again as well, and a bad
 * reading has its batch halved. The moments come from a seed, which is printed; SEED=n takes another
 * one. More kills: DEEP=1.
 *
 * Seen to fail when: `sign` does not store the transaction; stored ones are not sent at a start;
 * the position is not written with the readings; what is proven dead is not signed again.
 *
 * A kill leaves the page cache alone, so this does not show what a power cut does: that is what
 * `sync: true` is for.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readStatus } from "../../src/gateway.ts";
import { seedOf } from "../helpers/seed.ts";
import { FakeLedger, FakeNode } from "../unit/gateway/fake-ledger.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const kills = process.env.DEEP === undefined ? 5 : 40;
const seed = seedOf(20_260_103);
/** Some 170 requests at five kills, more than all kills take. */
const readingCount = 80 * kills;
const badEnergyWh = 1_234;
const parent = mkdtempSync(join(tmpdir(), "loopledger-replay-kill-"));
const folder = join(root, "node_modules", ".cache");
// Beside node_modules, so that the packages left outside of the bundle are found.
const script = join(folder, `replay-child-${process.pid}.mjs`);
let lastChild: ChildProcess | undefined;

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  await build({
    entryPoints: [join(root, "test/helpers/replay-child.ts")],
    outfile: script,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
  });
});
afterAll(() => {
  // A failed test leaves nothing running either.
  lastChild?.kill("SIGKILL");
  rmSync(parent, { recursive: true, force: true });
  rmSync(script, { force: true });
});

function csvOf(count: number): string {
  const rows = Array.from({ length: count }, (_, index) => {
    const time = new Date(1_500_000_000_000 + index * 3_600_000).toISOString();
    return `${time},${(1_200 + index) / 1_000},${index},${index},${index}`;
  });
  const head = "time_rounded,energy_heat_kwh,volume_flow_m3";
  return `${head},inlet_flow_energy_m3xC,back_flow_energy_m3xC\n${rows.join("\n")}\n`;
}

it("has every reading final exactly once, killed at any moment again and again", async () => {
  console.log(`${kills} kills, SEED=${seed}`);
  let random = seed;
  const next = (bound: number) => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((random / 2 ** 32) * bound);
  };
  const ledger = new FakeLedger();
  ledger.judge = ([, , energyWh]) => (energyWh === badEnergyWh ? "METERING_REGISTER_MISFIT" : "ok");
  const node = new FakeNode(ledger);
  const { url, server } = await node.listen();
  const directory = join(parent, "gateway");
  const csvFile = join(parent, "meter.csv");
  writeFileSync(csvFile, csvOf(readingCount));

  /** With `isLosing` the kill follows a submission, of which the ledger decides nothing. */
  const run = (killAfter: number, turns: number, isLosing: boolean) =>
    new Promise<string>((resolve, reject) => {
      const stdio: ["ignore", "pipe", "inherit"] = ["ignore", "pipe", "inherit"];
      const child = spawn(process.execPath, [script, url, directory, csvFile], { stdio });
      lastChild = child;
      let output = "";
      child.stdout.on("data", (chunk) => {
        output += chunk;
      });
      const killSoon = (left: number): void => {
        if (left === 0) child.kill("SIGKILL");
        else setImmediate(() => killSoon(left - 1));
      };
      let requests = 0;
      let isKilled = killAfter < 0;
      node.onRequest = () => {
        requests += 1;
        if (isKilled || requests < killAfter) return;
        const isSubmission = node.requests.at(-1)?.startsWith("POST") === true;
        if (isLosing && !isSubmission) return;
        isKilled = true;
        if (isLosing) ledger.isDeciding = false;
        killSoon(turns);
      };
      child.once("error", reject);
      child.once("close", () => resolve(output));
    });

  for (let kill = 0; kill < kills; kill += 1) {
    const isLosing = kill % 2 === 1;
    const output = await run(2 + next(24), next(60), isLosing);
    expect(output, `SEED=${seed} kill ${kill}: killed in time`).toBe("");
    expect(readStatus(directory).state).toBe("killed");
    if (!isLosing) continue;
    // While it was down, the nodes forgot what was pending, and it expired.
    ledger.forgetPending();
    ledger.timeMs += 25 * 3_600_000;
    ledger.decide();
    ledger.isDeciding = true;
  }
  const summary = JSON.parse(await run(-1, 0, false));
  server.close();

  const finalNonces = ledger.finalOnes.map(({ nonce }) => nonce);
  expect(new Set(finalNonces).size).toBe(finalNonces.length);
  // Some were signed again: their first nonces were never used.
  expect(Math.max(...finalNonces)).toBeGreaterThan(finalNonces.length);
  expect(ledger.applied.size, `SEED=${seed}`).toBe(readingCount - 1);
  expect(ledger.once, `SEED=${seed}`).toBe(readingCount - 1);
  expect(summary).toMatchObject({ isComplete: true });
  expect(readStatus(directory)).toMatchObject({
    state: "complete",
    queued: 0,
    inFlight: 0,
    final: readingCount - 1,
    refused: 1,
    oldestAcceptedAtMs: null,
    refusals: [{ code: "METERING_REGISTER_MISFIT" }],
  });
}, 120_000);

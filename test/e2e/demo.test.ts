/**
 * The demo as its users run it, and what it leaves behind however it ends. Needs a build.
 *
 * How long it takes is not asserted: other tests run meanwhile.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { DemoReport } from "../../src/cli/demo/report.ts";
import { openDevnet } from "../../src/cli/devnet/layout.ts";
import { isRunning, type ProcessId } from "../../src/cli/devnet/process-id.ts";
import { runningProcess } from "../../src/cli/devnet/processes.ts";
import { programFile, until } from "../helpers/devnet.ts";

const root = mkdtempSync(join(tmpdir(), "loopledger-demo-test-"));
afterAll(() => rmSync(root, { recursive: true }));

type Demo = { readonly child: ChildProcess; readonly texts: { out: string; err: string } };

function startDemo(...args: string[]): Demo {
  const child = spawn(process.execPath, [programFile, "demo", ...args], { cwd: root });
  const texts = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    texts.out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    texts.err += chunk.toString();
  });
  return { child, texts };
}

/** Starts the demo and waits until its nodes work. */
async function demoAtWork(directory: string): Promise<{ demo: Demo; nodes: ProcessId[] }> {
  const demo = startDemo("--dir", directory);
  await until("a gateway reports", async () => demo.texts.err.includes("a gateway reports"));
  const nodes = openDevnet(directory).nodes.map(runningProcess);
  return { demo, nodes: nodes.filter((id) => id !== undefined) };
}

describe("the demo", () => {
  it("bills 23 months to the cent and says so in one JSON object", {
    timeout: 240_000,
  }, async () => {
    const { child, texts } = startDemo("--json");
    const [code] = await once(child, "close");
    expect(code, texts.err).toBe(0);
    expect(texts.out.trimEnd().split("\n")).toHaveLength(1);
    const report = JSON.parse(texts.out) as DemoReport;
    expect(Object.keys(report)).toEqual([
      "bills",
      "nodes",
      "evidence",
      "tamper",
      "readings",
      "seconds",
    ]);
    const { bills, nodes, evidence, tamper, readings } = report;
    expect(readings).toBe(17_474);
    expect(bills).toHaveLength(23);
    expect(bills.find(({ month }) => month === "2019-01")).toEqual({
      month: "2019-01",
      energyWh: 2_792_148,
      volumeL: 61_014,
      flowTempMilliC: 73_987,
      returnTempMilliC: 33_584,
      lines: { fixed: 2_500, energy: 23_733, volume: 2_135, returnTemp: -3_045 },
      totalCents: 25_323,
    });
    const year = bills.filter(({ month }) => month.startsWith("2019"));
    expect(year.reduce((sum, { totalCents }) => sum + totalCents, 0)).toBe(157_145);
    expect(nodes.map(({ name }) => name)).toEqual([
      "heat-producer",
      "data-centre",
      "municipality",
      "grid-operator",
    ]);
    expect(new Set(nodes.map(({ height, stateRoot }) => `${height} ${stateRoot}`)).size).toBe(1);
    expect(evidence.verified).toBe(true);
    expect(existsSync(evidence.file)).toBe(true);
    expect(tamper.detected).toBe(true);
    expect(readdirSync(root)).toEqual(["demo-data"]);
  });

  it("ends its nodes and removes its directory at Ctrl-C", { timeout: 120_000 }, async () => {
    const directory = join(root, "interrupted");
    const { demo, nodes } = await demoAtWork(directory);
    expect(nodes).toHaveLength(4);
    const closed = once(demo.child, "close");
    demo.child.kill("SIGINT");
    const [code] = await closed;
    expect(code).toBe(1);
    expect(demo.texts.err).toContain("CLI_INTERRUPTED");
    expect(nodes.filter(isRunning)).toEqual([]);
    expect(existsSync(directory)).toBe(false);
  });

  it("leaves no node running when it is killed itself", { timeout: 120_000 }, async () => {
    const directory = join(root, "killed");
    const { demo, nodes } = await demoAtWork(directory);
    expect(nodes).toHaveLength(4);
    const closed = once(demo.child, "close");
    demo.child.kill("SIGKILL");
    await closed;
    await until("the nodes have ended", async () => !nodes.some(isRunning));
  });
});

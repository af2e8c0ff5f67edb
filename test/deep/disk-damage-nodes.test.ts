/**
 * A real node over damaged files and broken invariants: it comes up again, by itself, at the latest
 * when it is started once more, and fetches from its peers what it lost; and one that crashes over
 * and over stays up in the end and answers, without voting or appending.
 */
import { existsSync } from "node:fs";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { openDatabase } from "../../src/ledger/database.ts";
import { recordKeys } from "../../src/ledger/records.ts";
import { readingOf, registerMeter, TestSender, untilFinal } from "../e2e/sender.ts";
import { flipByte } from "../helpers/databases.ts";
import { pause, type TestNode, until, useDevnet } from "../helpers/devnet.ts";
import { runCli } from "../helpers/run-cli.ts";

const meter = "m-damage";
/** The program with an invariant that breaks as long as a file is there. */
const breaking = fileURLToPath(new URL("../../bin/loopledger-breaking.mjs", import.meta.url));
const program = `
import { existsSync } from "node:fs";
import { LedgerStore } from "../dist/ledger/store.js";
import { assert } from "../dist/base/assert.js";
const append = LedgerStore.prototype.append;
LedgerStore.prototype.append = function (input) {
  assert(!existsSync(process.env.BREAK_FILE), "nothing breaks");
  return append.call(this, input);
};
await import("./loopledger.js");
`;

describe("four nodes", { timeout: 180_000 }, () => {
  const breakFile = `${breaking}.${process.pid}`;
  const launch = (index: number) =>
    index === 2 ? { program: breaking, env: { BREAK_FILE: breakFile } } : {};
  const devnet = useDevnet({ launch, isDown: true });
  let gateway: TestSender;
  let count = 0;
  afterAll(async () => {
    for (const file of [breaking, breakFile]) await rm(file, { force: true });
  });

  const reportFinal = async () => {
    count += 1;
    const reading = readingOf(meter, count);
    const transaction = gateway.sign("metering", "report", { readings: [reading] });
    await untilFinal(devnet().client, transaction, { trust: devnet().trust });
  };

  async function largestFile(directory: string): Promise<string> {
    const names = (await readdir(directory)).filter((name) => /\.(ldb|log)$/.test(name));
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(directory, name);
        return { path, bytes: (await stat(path)).size };
      }),
    );
    return files.sort((left, right) => right.bytes - left.bytes)[0]?.path as string;
  }

  /** Starts a node as often as it ends by itself, as a supervisor would. */
  async function supervise(node: TestNode, startsMax: number): Promise<number> {
    for (let starts = 1; starts <= startsMax; starts += 1) {
      node.start();
      await until(
        `${node.name} is ready, or ended`,
        async () => !node.isRunning || (await node.status())?.ready === true,
        60_000,
      );
      if (node.isRunning) return starts;
    }
    throw new Error(`${node.name} ended ${startsMax} times: ${node.logEnd()}`);
  }

  it("heals a node with damaged or missing files, with two starts at most", async () => {
    await writeFile(breaking, program);
    await devnet().up();
    gateway = new TestSender(devnet(), devnet().signers.gateway);
    await registerMeter(devnet(), meter);
    for (let sent = 0; sent < 5; sent += 1) await reportFinal();
    const node = devnet().node(3);
    const { ledgerDirectory, logFile } = node.files;
    for (const kind of ["flip", "cut"]) {
      await node.stop();
      const path = await largestFile(ledgerDirectory);
      const bytes = await readFile(path);
      const middle = Math.floor(bytes.length / 2);
      bytes.fill(0xa5, middle, middle + 40);
      await writeFile(path, kind === "cut" ? bytes.subarray(0, middle) : bytes);
      expect(await supervise(node, 2), kind).toBeLessThanOrEqual(2);
      await devnet().settled();
    }
    expect(await readFile(logFile, "utf8")).toMatch(/damaged|needs repair/);
    expect(existsSync(`${ledgerDirectory}.running`)).toBe(true);
    await node.stop();
    expect(existsSync(`${ledgerDirectory}.running`)).toBe(false);
    node.start();
    await node.ready();
  });

  it("mends with --repair what no start looks at, as chain verify says", async () => {
    const node = devnet().node(1);
    const { ledgerDirectory } = node.files;
    await node.stop();
    await reportFinal();
    const { height = 0 } = (await devnet().node(0).status()) ?? {};
    const database = await openDatabase(ledgerDirectory);
    await flipByte(database, { key: recordKeys.receipts(1), index: 20 });
    await database.close();
    // An ordinary start does not read old receipts.
    node.start();
    await node.ready();
    await node.stop();
    const place = ["--dir", ledgerDirectory, "--genesis", devnet().genesisFile];
    const damaged = await runCli("chain", "verify", ...place);
    expect(damaged).toMatchObject({ code: 1, out: expect.stringContaining("node start --repair") });
    node.start("--repair");
    await node.ready();
    await until("it is where the others were", async () => {
      const status = await node.status();
      return (status?.height ?? 0) >= height;
    });
    await node.stop();
    expect(await runCli("chain", "verify", ...place)).toMatchObject({ code: 0 });
    node.start();
    await node.ready();
  });

  it("starts read-only after three crashes, answers, and takes part again when mended", async () => {
    const node = devnet().node(2);
    await writeFile(breakFile, "");
    for (let crash = 1; crash <= 3; crash += 1) {
      await until("the node crashed", async () => {
        if (node.isRunning) await reportFinal().catch(() => {});
        return !node.isRunning;
      });
      expect(node.exitCode).toBe(70);
      node.start();
    }
    await until("it answers", async () => (await node.status()) !== undefined);
    const before = await node.status();
    expect(before?.notReady.join()).toContain("read-only");
    for (let sent = 0; sent < 3; sent += 1) await reportFinal();
    await pause(2_000);
    const after = await node.status();
    expect([after?.height, node.isRunning]).toEqual([before?.height, true]);
    expect((await node.client.blocks({ from: 1, limit: 1 })).blocks).toHaveLength(1);
    const refused = gateway.sign("metering", "report", { readings: [readingOf(meter, 0)] });
    await expect(node.client.submit(refused.bytes)).rejects.toMatchObject({
      code: "NODE_NOT_READY",
    });
    await rm(breakFile);
    await node.stop();
    await rm(`${node.files.ledgerDirectory}.crashes`);
    node.start();
    await node.ready();
    await devnet().settled();
  });
});

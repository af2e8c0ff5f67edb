/**
 * Nodes on a disk that is full: a small tmpfs holds all that a node writes, ledger, signing record
 * and log. A node without room takes no part and says why, answers meanwhile, and goes on by
 * itself when there is room again; with too many of them the ledger stands still and goes on, too.
 *
 * Only root may mount; elsewhere the test says that it did not run (test/helpers/requires.ts). The same is tried through the
 * storage interface in test/unit/node/storage-gate.test.ts, everywhere.
 *
 * Shown able to fail: see test/mutations.md.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Transaction } from "../../src/base/format/transaction.ts";
import { pause, TestDevnet, type TestNode, until } from "../helpers/devnet.ts";
import { requires } from "../helpers/requires.ts";
import { readingOf, registerMeter, TestSender, untilFinal } from "./sender.ts";

const meter = "m-full";
const mebibyte = 1024 * 1024;
const source = "loopledger-disk-full-";
const mounted: string[] = [];

/** Tells whether this machine lets the test mount a small disk. */
function canMount(): boolean {
  unmountStale();
  const place = mkdtempSync(join(tmpdir(), "loopledger-mount-"));
  const isDone = mount(place);
  unmountAll();
  rmSync(place, { recursive: true });
  return isDone;
}

function mount(place: string): boolean {
  const args = ["-t", "tmpfs", "-o", "size=64m", `${source}${process.pid}`, place];
  const isDone = spawnSync("mount", args, { stdio: "ignore" }).status === 0;
  if (isDone) mounted.push(place);
  return isDone;
}

/** A run that was killed leaves its mounts; the process in their name is gone then. */
function unmountStale(): void {
  const mounts = existsSync("/proc/mounts") ? readFileSync("/proc/mounts", "utf8") : "";
  for (const [name = "", place = ""] of mounts.split("\n").map((line) => line.split(" ")))
    if (name.startsWith(source) && !existsSync(`/proc/${name.slice(source.length)}`))
      spawnSync("umount", ["-l", place], { stdio: "ignore" });
}

function unmountAll(): void {
  for (const place of mounted.splice(0)) spawnSync("umount", ["-l", place], { stdio: "ignore" });
}

// Also when the test is interrupted.
process.once("exit", unmountAll);

/** Moves the files of a node that is not running onto a small disk in the same place. */
function moveToSmallDisk({ files: { directory } }: TestNode): void {
  const aside = `${directory}.aside`;
  cpSync(directory, aside, { recursive: true });
  if (!mount(directory)) throw new Error("it could be mounted before");
  cpSync(aside, directory, { recursive: true });
  rmSync(aside, { recursive: true });
}

const ballastOf = ({ files }: TestNode) => join(files.directory, "ballast");

/** Writes until the disk takes not one byte more. */
async function fill(node: TestNode): Promise<void> {
  const file = await open(ballastOf(node), "a");
  try {
    for (const bytes of [mebibyte, 4096])
      for (let isFull = false; !isFull; )
        isFull = await file.write(Buffer.alloc(bytes, 1)).then(
          ({ bytesWritten }) => bytesWritten < bytes,
          () => true,
        );
  } finally {
    await file.close();
  }
}

const mayRun = requires("mount", { isThere: canMount(), tests: "nodes with a full disk" });

describe.skipIf(!mayRun)("nodes with a full disk", { timeout: 120_000 }, () => {
  let devnet: TestDevnet;
  let gateway: TestSender;
  let count = 0;
  let isPassed = false;

  beforeAll(async () => {
    devnet = await TestDevnet.make();
    for (const node of [devnet.node(2), devnet.node(3)]) moveToSmallDisk(node);
    await devnet.up();
    gateway = new TestSender(devnet, devnet.signers.gateway);
    await registerMeter(devnet, meter);
    // Three of four decide: the last one has the block a moment later.
    await devnet.settled();
  }, 90_000);
  afterAll(async () => {
    await devnet.down("SIGKILL");
    for (const place of isPassed ? [] : [...mounted]) {
      // What is to be looked at must not go with the mount.
      cpSync(place, `${place}.kept`, { recursive: true });
      spawnSync("umount", [place]);
      rmSync(place, { recursive: true });
      renameSync(`${place}.kept`, place);
    }
    unmountAll();
    await devnet.close({ keep: !isPassed });
  }, 60_000);

  const sign = () => {
    count += 1;
    return gateway.sign("metering", "report", { readings: [readingOf(meter, count)] });
  };
  const reportFinal = async () => {
    await untilFinal(devnet.client, sign(), { trust: devnet.trust });
  };
  const reasonsOf = async (node: TestNode) => (await node.status())?.notReady.join("; ") ?? "";
  /** Sends readings, which the others decide, until the node says that it cannot write. */
  const untilPaused = (node: TestNode, advance: () => Promise<unknown>) =>
    until(`${node.name} says that its disk is full`, async () => {
      await advance();
      return /takes no part until it can write.*(LEDGER_WRITE|SIGNING_REC|DISK_FULL)/.test(
        await reasonsOf(node),
      );
    });

  it("one of four takes no part, says why, answers, and goes on by itself", async () => {
    const node = devnet.node(3);
    const { processId } = node;
    await fill(node);
    await untilPaused(node, reportFinal);
    const before = await node.status();
    for (let sent = 0; sent < 3; sent += 1) await reportFinal();
    const during = await node.status();
    expect(during?.height).toBe(before?.height);
    expect(during?.ready).toBe(false);
    const metrics = await (await fetch(`${node.url}/metrics`)).text();
    expect(metrics).toContain("loopledger_can_write 0");
    const { blocks } = await node.client.blocks({ from: 1, limit: 1 });
    expect(blocks).toHaveLength(1);
    await rm(ballastOf(node));
    await node.ready();
    await reportFinal();
    await devnet.settled();
    expect(node.processId).toBe(processId);
    expect(await (await fetch(`${node.url}/metrics`)).text()).toContain("loopledger_can_write 1");
  });

  it("two of four stop the ledger, which goes on when one has room again", async () => {
    const full = [devnet.node(2), devnet.node(3)];
    await Promise.all(full.map(fill));
    const waiting: Transaction[] = [];
    // They vote as long as a vote needs no new room; the block that they decide needs some.
    const submit = async () => {
      const transaction = sign();
      waiting.push(transaction);
      await devnet.node(0).client.submit(transaction.bytes);
    };
    for (const node of full) await untilPaused(node, submit);
    await submit();
    await pause(2_000);
    const last = waiting.at(-1) as Transaction;
    expect((await devnet.node(0).client.transaction(last.id))?.status).toBe("pending");
    await rm(ballastOf(devnet.node(2)));
    const startMs = performance.now();
    for (const each of waiting) await untilFinal(devnet.client, each, { trust: devnet.trust });
    expect(performance.now() - startMs).toBeLessThan(20_000);
    await reportFinal();
    await rm(ballastOf(devnet.node(3)));
    await devnet.node(3).ready();
    await devnet.settled();
  });

  it("have lost nothing and need no repair when they start again", async () => {
    const before = await devnet.settled();
    await devnet.down();
    await devnet.up();
    expect((await devnet.settled()).height).toBeGreaterThanOrEqual(before.height);
    for (const { files } of devnet.nodes)
      expect(await readFile(files.logFile, "utf8")).not.toContain("needs repair");
    await reportFinal();
    isPassed = true;
  });
});

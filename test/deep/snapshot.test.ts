/**
 * Snapshots and pruning with real processes: nodes prune while they decide, and a new node begins
 * with a snapshot because nobody has the old blocks any more. Both are killed at exact moments
 * (test/helpers/kill-at.mjs): each time the node starts again and goes on where it was, and in the
 * end its ledger verifies and has the others' roots.
 */
import { existsSync } from "node:fs";
import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { readingOf, registerMeter, TestSender } from "../e2e/sender.ts";
import { type TestNode, until, useDevnet } from "../helpers/devnet.ts";
import { runCli } from "../helpers/run-cli.ts";

const meter = "SNAPSHOT-1";

type Moment = {
  readonly call: "batch" | "compactRange" | "rename";
  readonly match: string;
  readonly count: number;
  readonly when: "before" | "after";
};

const preload = new URL("../helpers/kill-at.mjs", import.meta.url).href;
const at = (call: Moment["call"], match: string, when: Moment["when"], count = 1): Moment => ({
  ...{ call, match, when, count },
});

/** In the order of a download; each start goes on where the kill before it left. */
const downloadMoments = [
  at("batch", "put m/snapshot", "before"),
  at("batch", "put m/snapshot", "after"),
  at("batch", "put m/snapshot", "after"),
  at("batch", "put m/snapshot", "before", 2),
  at("batch", "put m/snapshot", "after", 2),
  at("batch", "del m/snapshot", "before"),
  at("batch", "del m/snapshot", "after"),
  at("rename", ".ready", "after"),
  at("rename", ".ready", "before"),
  at("rename", ".ready", "after"),
];
const pruningMoments = [
  at("batch", "put m/pruning", "before"),
  at("batch", "put m/pruning", "after"),
  at("batch", "del b/", "before"),
  at("batch", "del b/", "after", 5),
  at("batch", "del u/", "after"),
  at("compactRange", "", "before"),
  at("compactRange", "", "after", 4),
  at("batch", "del m/pruning", "before"),
  at("batch", "del m/pruning", "after"),
];
const textOf = ({ call, match, when, count }: Moment) => `${when} ${call} ${match} ${count}`;

/** Writes values of a size: a snapshot of several chunks in a few calls. */
const fillerBundle = `globalThis.contractEntry = {
  describe: () => JSON.stringify({ name: "filler", methods: { fill: { roles: ["biller"] } }, views: [] }),
  call(text) {
    const { from, to, length } = JSON.parse(text).args;
    const value = JSON.stringify("x".repeat(length));
    for (let n = from; n < to; n += 1) host.set("filler/value/" + String(n).padStart(4, "0"), value);
    return JSON.stringify({ ok: null });
  },
};`;

type PruningLine = { readonly bytesBefore: number; readonly bytesAfter: number };

/** Prunings that ended, as the log of a node tells them. */
function prunings(node: TestNode): PruningLine[] {
  const lines = node.logEnd(10_000).split("\n");
  return lines.filter((line) => line.includes('"msg":"pruned"')).map((line) => JSON.parse(line));
}

describe("a ledger whose nodes prune", { timeout: 240_000 }, () => {
  const devnet = useDevnet({
    isDown: true,
    parameters: { snapshotInterval: 16, heartbeatMs: 100 },
    config: "pruning: { keepBlocks: 128 }",
    contracts: [{ name: "filler", source: fillerBundle }],
    launch: () => ({ env: { NODE_OPTIONS: `--import ${preload}` } }),
  });
  const late = () => devnet().node(3);
  const others = () => devnet().nodes.slice(0, 3);
  const heightOf = async (node: TestNode) => (await node.status())?.height ?? 0;
  const baseOf = async (node: TestNode) => (await node.status())?.baseHeight ?? 0;
  const isLevel = async () =>
    (await heightOf(late())) >= Math.max(...(await Promise.all(others().map(heightOf)))) - 1;

  /** Starts a node and waits until it was killed at the moment. */
  const killed = async (node: TestNode, moment: Moment) => {
    await writeFile(`${node.files.configFile}.kill`, JSON.stringify(moment));
    node.start();
    await until(`killed ${textOf(moment)}`, () => !node.isRunning, 30_000);
    await rm(`${node.files.configFile}.kill`);
    expect(node.exitCode, textOf(moment)).toBeNull();
  };
  const verifies = async (node: TestNode, what: string) => {
    const { ledgerDirectory } = node.files;
    const words = ["--dir", ledgerDirectory, "--genesis", devnet().genesisFile];
    const { code, out, err } = await runCli("chain", "verify", ...words);
    expect({ what, code, err }, out).toEqual({ what, code: 0, err: "" });
    return out;
  };
  /** Waits until two nodes say what their state is at one height, and compares. */
  const haveOneRoot = (node: TestNode, other: TestNode) =>
    until("both are at one height", async () => {
      const [own, others] = await Promise.all([node.status(), other.status()]);
      if (own === undefined || own.height !== others?.height) return false;
      expect(own).toMatchObject({ hash: others.hash, stateRoot: others.stateRoot });
      return true;
    });

  /** What pruning gave back, and what is left, as log, API, command line and metrics say it. */
  const hasShrunk = async (node: TestNode) => {
    await until("the log says what pruning gave back", () => prunings(node).length > 0);
    const [first] = prunings(node) as [PruningLine];
    expect(first.bytesAfter).toBeGreaterThan(0);
    expect(first.bytesAfter).toBeLessThan(first.bytesBefore);
    await until("the API shows what is left", async () => {
      const { ledgerBytes } = await node.client.status();
      return prunings(node).some(({ bytesAfter }) => bytesAfter === ledgerBytes);
    });
    const metrics = await (await fetch(`${node.url}/metrics`)).text();
    expect(Number(/^loopledger_ledger_bytes (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
  };

  it("gives up old blocks while it goes on, and says so to whoever asks for them", async () => {
    for (const node of others()) node.start();
    await Promise.all(others().map((node) => node.ready()));
    await registerMeter(devnet(), meter);
    const sender = new TestSender(devnet(), devnet().signers.gateway);
    const first = await sender.send("metering", "report", { readings: [readingOf(meter, 0)] });
    expect(first.receipt.outcome).toBe("ok");
    for (let index = 1; index < 40; index += 1)
      await sender.send("metering", "report", { readings: [readingOf(meter, index)] });
    const filler = new TestSender(devnet(), devnet().signers.biller);
    for (let from = 0; from < 90; from += 10) {
      const { receipt } = await filler.send("filler", "fill", {
        from,
        to: from + 10,
        length: 50_000,
      });
      expect(receipt.outcome).toBe("ok");
    }
    await until(
      "all have pruned",
      async () => (await Promise.all(others().map(baseOf))).every((base) => base >= 16),
      120_000,
    );
    await hasShrunk(devnet().node(0));
    const { client } = devnet().node(0);
    const pruned = { code: "LEDGER_PRUNED" };
    await expect(client.block(first.header.height)).rejects.toMatchObject(pruned);
    await expect(client.transaction(first.transaction.id)).rejects.toMatchObject(pruned);
    await expect(client.proof(first.transaction.id)).rejects.toMatchObject(pruned);
    await expect(client.eventPage({ from: "1:0" })).rejects.toMatchObject(pruned);
    await expect(client.stateHistory(`metering/meter/${meter}`)).rejects.toMatchObject(pruned);
    expect((await client.state(`metering/meter/${meter}`)).text).not.toBeNull();
  });

  it("lets a new node begin with a snapshot, for nobody has the first blocks", async () => {
    late().start();
    await late().ready();
    await until("the new node follows", isLevel, 60_000);
    expect(await baseOf(late())).toBeGreaterThanOrEqual(16);
    const { out } = await runCli("node", "status", "--url", late().url);
    expect(out).toMatch(/^blocks {6}from height \d+ on; earlier ones are not here$/m);
    expect(late().logEnd(1_000)).toContain("snapshot fetched and verified");
    const key = `metering/meter/${meter}`;
    const [own, other] = [late(), devnet().node(0)].map((node) => node.client.state(key));
    expect((await own)?.text).toBe((await other)?.text);
  });

  it("is pruned on after a kill at any moment, and verifies after each", async () => {
    const pruned = devnet().node(1);
    for (const moment of pruningMoments) {
      await pruned.stop();
      await killed(pruned, moment);
      await verifies(pruned, textOf(moment));
    }
    pruned.start();
    await pruned.ready();
    await haveOneRoot(pruned, devnet().node(0));
    const base = await baseOf(pruned);
    await until("it prunes on", async () => (await baseOf(pruned)) > base, 60_000);
  });

  it("is fetched on after a kill at any moment of the download", async () => {
    await late().stop();
    await late().wipeLedger();
    // With two of four nothing is decided, so the snapshot stays the newest.
    await devnet().node(2).stop();
    const { height, hash } = await devnet().node(0).client.status();
    const { configFile, ledgerDirectory } = late().files;
    await appendFile(configFile, `sync: snapshot\ncheckpoint: "${height}:${hash}"\n`);
    for (const moment of downloadMoments) {
      expect(existsSync(`${ledgerDirectory}/CURRENT`), textOf(moment)).toBe(false);
      await killed(late(), moment);
    }
    expect(await verifies(late(), "the snapshot")).toContain("certified snapshot at");
    late().start();
    await until("it has followed", async () => (await heightOf(late())) >= height, 30_000);
    await haveOneRoot(late(), devnet().node(0));
    const log = late().logEnd(10_000);
    expect(log).not.toContain("begun anew");
    // Once when it was new, and once now: what was whole was not fetched again.
    expect(log.match(/snapshot fetched and verified/g)).toHaveLength(2);
    for (const suffix of ["snapshot", "ready", "replaced"])
      expect(existsSync(`${ledgerDirectory}.${suffix}`), suffix).toBe(false);
    devnet().node(2).start();
    await Promise.all([late().ready(), devnet().node(2).ready()]);
    await until("it goes on", async () => (await heightOf(late())) > height + 10, 30_000);
    await haveOneRoot(late(), devnet().node(0));
  });

  it("verifies offline from its certified snapshot on", async () => {
    await late().stop();
    expect(await verifies(late(), "a ledger that followed")).toContain("certified snapshot at");
  });

  it("refuses a chain that has another block at the checkpoint", async () => {
    const { height } = await devnet().client.status();
    const { configFile } = late().files;
    const text = await readFile(configFile, "utf8");
    const wrong = text.replace(/checkpoint: .*/, `checkpoint: "${height + 40}:${"0".repeat(64)}"`);
    await writeFile(configFile, wrong);
    late().start();
    await until(
      "the node says why it stays behind",
      async () =>
        (await late().status())?.notReady.some((why) =>
          why.includes("LEDGER_CHECKPOINT_DIFFERS"),
        ) === true,
      60_000,
    );
    expect(await heightOf(late())).toBe(height + 39);
  });
});

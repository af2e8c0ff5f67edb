/**
 * Snapshots and pruning with real processes: nodes prune while they decide, a new node begins with
 * a snapshot because nobody has the old blocks any more, also after kills in the middle of it.
 */
import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { isLedgerError } from "../../src/base/errors.ts";
import { readingOf, registerMeter, TestSender } from "../e2e/sender.ts";
import { pause, type TestNode, until, useDevnet } from "../helpers/devnet.ts";
import { runCli } from "../helpers/run-cli.ts";

const meter = "SNAPSHOT-1";

describe("a ledger whose nodes prune", { timeout: 240_000 }, () => {
  const devnet = useDevnet({
    isDown: true,
    parameters: { snapshotInterval: 16, heartbeatMs: 100 },
    config: "pruning: { keepBlocks: 128 }",
  });
  const late = () => devnet().node(3);
  const others = () => devnet().nodes.slice(0, 3);
  const heightOf = async (node: TestNode) => (await node.status())?.height ?? 0;
  const baseOf = async (node: TestNode) => {
    const problem = await node.client.block(1).catch((error: unknown) => error);
    return isLedgerError(problem, "LEDGER_PRUNED") ? Number(problem.facts.baseHeight) : 0;
  };
  const isLevel = async () =>
    (await heightOf(late())) >= Math.max(...(await Promise.all(others().map(heightOf)))) - 1;

  it("gives up old blocks while it goes on, and says so to whoever asks for them", async () => {
    for (const node of others()) node.start();
    await Promise.all(others().map((node) => node.ready()));
    await registerMeter(devnet(), meter);
    const sender = new TestSender(devnet(), devnet().signers.gateway);
    const first = await sender.send("metering", "report", { readings: [readingOf(meter, 0)] });
    expect(first.receipt.outcome).toBe("ok");
    for (let index = 1; index < 60; index += 1)
      await sender.send("metering", "report", { readings: [readingOf(meter, index)] });
    await until(
      "all have pruned",
      async () => (await Promise.all(others().map(baseOf))).every((base) => base >= 16),
      120_000,
    );
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
    expect(late().logEnd(1_000)).toContain("snapshot fetched and verified");
    const key = `metering/meter/${meter}`;
    const [own, other] = [late(), devnet().node(0)].map((node) => node.client.state(key));
    expect((await own)?.text).toBe((await other)?.text);
  });

  it("begins again after kills at any moment of the download", async () => {
    await late().stop();
    await late().wipeLedger();
    const { height, hash } = await devnet().client.status();
    await appendFile(late().files.configFile, `sync: snapshot\ncheckpoint: "${height}:${hash}"\n`);
    for (const afterMs of [900, 1_300, 1_600, 2_000, 2_600]) {
      late().start();
      await pause(afterMs);
      await late().stop("SIGKILL");
    }
    late().start();
    await late().ready();
    await until("the new node follows", isLevel, 60_000);
  });

  it("verifies offline from its certified snapshot on", async () => {
    await late().stop();
    const { ledgerDirectory } = late().files;
    const { genesisFile } = devnet();
    const words = ["chain", "verify", "--dir", ledgerDirectory, "--genesis", genesisFile];
    const { code, out, err } = await runCli(...words);
    expect({ code, err }).toMatchObject({ code: 0 });
    expect(out).toContain("certified snapshot at");
    await rm(`${ledgerDirectory}.snapshot`, { recursive: true, force: true });
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

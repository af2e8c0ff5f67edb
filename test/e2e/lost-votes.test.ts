/**
 * A validator of two that lost ledger and signing record: nobody but the operator can say that no
 * vote is hidden. It starts on his word, but signs nothing before the other one told where the
 * chain is: its own ledger says "height 0", where it has signed before.
 * The rule itself is held by test/unit/node/shell-lost-record.test.ts.
 */
import { rm, stat } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/base/limits.ts";
import { readNodeConfig } from "../../src/node/config.ts";
import { signingRecordPath } from "../../src/node/key-file.ts";
import { pause, until, useDevnet } from "../helpers/devnet.ts";
import { readingOf, registerMeter, TestSender, untilFinal } from "./sender.ts";

const meter = "m-lost";

describe("a validator of two without its record", { timeout: 120_000 }, () => {
  const devnet = useDevnet({ nodeCount: 2 });
  const slots = () => {
    const { validatorKeyFile = "" } = readNodeConfig(devnet().node(0).files.configFile);
    return ["a", "b"].map((slot) => `${signingRecordPath(validatorKeyFile)}.${slot}`);
  };

  it("refuses to start without the operator's word, and with it waits for the other one", async () => {
    const gateway = new TestSender(devnet(), devnet().signers.gateway);
    const report = (index: number) =>
      gateway.sign("metering", "report", { readings: [readingOf(meter, index)] });
    await registerMeter(devnet(), meter);
    for (const index of [1, 2, 3])
      await untilFinal(devnet().client, report(index), { trust: devnet().trust });
    const [lost, other] = [devnet().node(0), devnet().node(1)];
    await devnet().down();
    await lost.wipeLedger();
    for (const slot of slots()) await rm(slot);

    lost.start();
    await until("the node refused to start", async () => !lost.isRunning);
    expect(lost.logEnd()).toContain("NODE_VOTES_LOST");

    lost.start("--accept-lost-votes");
    await until("the node answers", async () => (await lost.status()) !== undefined);
    const waiting = report(4);
    await lost.client.submit(waiting.bytes);
    // That nothing is signed can only be seen by letting time pass: three times what it listens.
    await pause(3 * limits.roundTimeoutMsBase);
    expect((await lost.status())?.mempool.transactions).toBe(1);
    for (const slot of slots()) expect((await stat(slot)).size).toBe(0);

    other.start();
    await untilFinal(other.client, waiting, { trust: devnet().trust });
    await devnet().settled();
    for (const node of [lost, other])
      expect(await node.status()).toMatchObject({ ready: true, equivocations: [] });
    const sizes = await Promise.all(slots().map(async (slot) => (await stat(slot)).size));
    expect(Math.max(...sizes)).toBeGreaterThan(0);
  });
});

/**
 * A ledger of real processes, real LevelDB and real sockets goes on while a minority is dead, stands
 * still while more are dead, and mends itself. When one fails, the logs of the nodes are printed.
 */
import { describe, expect, it } from "vitest";
import { pause, TestDevnet, until, useDevnet } from "../helpers/devnet.ts";
import { readingOf, registerMeter, TestSender, untilFinal } from "./sender.ts";

const meter = "m-1";

describe("four nodes", { timeout: 90_000 }, () => {
  const devnet = useDevnet();
  let gateway: TestSender;
  let count = 0;

  const report = () => {
    const reading = readingOf(meter, count);
    count += 1;
    return gateway.sign("metering", "report", { readings: [reading] });
  };
  const reportFinal = async () => {
    const { client, trust } = devnet();
    const { receipt } = await untilFinal(client, report(), { trust });
    expect(receipt.outcome).toBe("ok");
  };

  it("makes readings final and agrees on height and state root", async () => {
    gateway = new TestSender(devnet(), devnet().signers.gateway);
    await registerMeter(devnet(), meter);
    for (let sent = 0; sent < 5; sent += 1) await reportFinal();
    const { height } = await devnet().settled();
    expect(height).toBeGreaterThanOrEqual(6);
  });

  it("goes on while one of four is dead, whichever proposes, and the dead one catches up", async () => {
    const dead = devnet().node(1);
    await dead.stop("SIGKILL");
    const live = devnet().nodes.filter((node) => node !== dead);
    for (let sent = 0; sent < 8; sent += 1) await reportFinal();
    const before = await live[0]?.status();
    dead.start();
    await dead.ready();
    await reportFinal();
    const { height } = await devnet().settled();
    expect(height).toBeGreaterThan(before?.height ?? Number.POSITIVE_INFINITY);
  });

  it("decides nothing with two of four stopped, and resumes by itself within 10 s", async () => {
    const stopped = [devnet().node(0), devnet().node(3)];
    const running = [devnet().node(1), devnet().node(2)];
    await Promise.all(stopped.map((node) => node.stop("SIGTERM")));
    expect(stopped.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    // A block that both stopped nodes voted for may still be appended; after that there is none.
    await until("both running nodes have one height", async () => {
      const [left, right] = await Promise.all(running.map((node) => node.status()));
      return left !== undefined && left.height === right?.height;
    });
    const before = (await running[0]?.status())?.height;
    const waiting = report();
    await running[0]?.client.submit(waiting.bytes);
    await pause(5_000);
    const after = await Promise.all(running.map((node) => node.status()));
    expect(after.map((status) => status?.height)).toEqual([before, before]);
    expect((await running[0]?.client.transaction(waiting.id))?.status).toBe("pending");

    stopped[0]?.start();
    await until(
      `${stopped[0]?.name} serves`,
      async () => (await stopped[0]?.status()) !== undefined,
    );
    const servedMs = performance.now();
    await running[0]?.client.waitFinal(waiting.id, devnet().trust, { timeoutMs: 20_000 });
    expect(performance.now() - servedMs).toBeLessThan(10_000);

    stopped[1]?.start();
    await stopped[1]?.ready();
    await devnet().settled();
  });

  it("fetches a wiped ledger again", async () => {
    const wiped = devnet().node(2);
    await wiped.stop("SIGKILL");
    await wiped.wipeLedger();
    wiped.start();
    await wiped.ready();
    await reportFinal();
    const { height } = await devnet().settled();
    const { blocks } = await wiped.client.blocks({ from: 1, limit: 5 });
    expect(blocks.map((block) => block.height)).toEqual([1, 2, 3, 4, 5]);
    const { result } = await wiped.client.view("metering", "readings", { meter, limit: 999 });
    expect((result as { rows: unknown[] }).rows).toHaveLength(count);
    expect(height).toBeGreaterThanOrEqual(count);
  });

  it("stands at one height with one state root at the end, every reading there once", async () => {
    await devnet().settled();
    for (const node of devnet().nodes) {
      const { result } = await node.client.view("metering", "readings", { meter, limit: 999 });
      const { rows } = result as { rows: unknown[][] };
      const expected = Array.from({ length: count }, (_, index) =>
        readingOf(meter, index).slice(1),
      );
      expect(rows).toEqual(expected);
    }
  });
});

it("works alone: a ledger of one node decides, dies, and has everything when it is back", async () => {
  const devnet = await TestDevnet.make({ nodeCount: 1 });
  let keep = true;
  try {
    await devnet.up();
    const gateway = new TestSender(devnet, devnet.signers.gateway);
    await registerMeter(devnet, meter);
    const first = await gateway.send("metering", "report", { readings: [readingOf(meter, 1)] });
    await devnet.node(0).stop("SIGKILL");
    devnet.node(0).start();
    await devnet.node(0).ready();
    const again = await devnet.client.final(first.transaction.id, devnet.trust);
    expect(again.header).toEqual(first.header);
    const next = await gateway.send("metering", "report", { readings: [readingOf(meter, 2)] });
    expect(next.receipt.outcome).toBe("ok");
    keep = false;
  } finally {
    await devnet.close({ keep });
  }
}, 60_000);

/**
 * A ledger of real processes grows from one validator to three, four and seven, and shrinks to one
 * again, under load. Who joins knows the founder only and learns the others from the ledger; the
 * founder leaves. The client that checks every receipt has nothing but the genesis file.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Growth, until } from "../e2e/growth.ts";
import { useDevnet } from "../helpers/devnet.ts";

describe("a ledger that begins with one validator", { timeout: 400_000 }, () => {
  const devnet = useDevnet({ nodeCount: 7, founders: 1, isDown: true });
  let growth: Growth;
  beforeAll(async () => {
    growth = await Growth.start(devnet());
  }, 60_000);
  afterAll(() => growth?.abandon());

  it("adds two at once, then one, and is seven in the end", async () => {
    await growth.grow(1, 2);
    await growth.decidesWith(3);
    await growth.grow(3);
    await growth.decidesWith(4);
    await growth.grow(4, 5);
    await growth.decidesWith(6);
    await growth.grow(6);
    await growth.decidesWith(7);
    expect((await devnet().node(6).client.validators()).quorum).toBe(5);
  });

  it("goes on with a new validator dead, and takes it back", async () => {
    const dead = devnet().node(5);
    const { client } = devnet().node(1);
    await dead.stop("SIGKILL");
    const { height } = await client.status();
    await until("blocks without it", async () => (await client.status()).height > height + 10);
    dead.start();
    await growth.decidesWith(7);
  });

  it("shrinks to one, and has lost nothing", async () => {
    for (const [first, second, count] of [
      [0, 1, 5],
      [2, 3, 3],
      [4, 5, 1],
    ] as const) {
      const left = await growth.remove(first, second);
      await Promise.all(left.map((node) => node.stop()));
      await growth.decidesWith(count);
    }
    await growth.finish(7);
  });
});

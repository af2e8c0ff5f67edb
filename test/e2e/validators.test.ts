/**
 * Validators of a running ledger of real processes change: one founder becomes three validators by
 * the commands of two of three administrators, and the founder leaves. One alone changes nothing.
 * `test/deep/validators.test.ts` goes to seven and back.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Members } from "../../src/client/schemas.ts";
import { useDevnet } from "../helpers/devnet.ts";
import { runCli } from "../helpers/run-cli.ts";
import { candidateOf, Growth, until } from "./growth.ts";

describe("a ledger that begins with one validator", { timeout: 240_000 }, () => {
  const devnet = useDevnet({ nodeCount: 3, founders: 1, administrators: 3, isDown: true });
  let growth: Growth;
  beforeAll(async () => {
    growth = await Growth.start(devnet());
  }, 60_000);
  afterAll(() => growth?.abandon());

  /** Runs a command as one of the administrators and returns what it printed. */
  const runAs = async (index: number, ...words: readonly string[]) => {
    const key = `${devnet().node(index).name}-administrator`;
    const dir = `${devnet().directory}/devnet`;
    const needsKey = words[1] !== "list";
    const more = [...(needsKey ? ["--key", key] : []), "--dir", dir, "--json"];
    return runCli(...words, ...more, "--url", devnet().node(0).url);
  };
  const run = (...words: readonly string[]) => runAs(0, ...words);
  /** Has a command run by one administrator, which changes nothing, and by a second one. */
  const approveTwice = async (...words: readonly string[]) => {
    const before = await growth.knownIds();
    const first = JSON.parse((await runAs(0, ...words)).out);
    expect(first).toMatchObject({ applied: false, approvals: 1 });
    expect(await growth.knownIds()).toEqual(before);
    const again = await runAs(0, ...words);
    expect(again.err).toContain("SYSTEM_CHANGE_APPROVED_BEFORE");
    const { approvalsNeeded, changes } = JSON.parse(
      (await run("validator", "list")).out,
    ) as Members;
    expect(approvalsNeeded).toBe(2);
    expect(changes.map(({ id, approvedBy }) => [id, approvedBy.length])).toEqual([
      [first.change, 1],
    ]);
    expect(await growth.knownIds()).toEqual(before);
    const second = JSON.parse((await runAs(2, ...words)).out);
    expect(second).toMatchObject({ change: first.change, applied: true });
    expect(await growth.knownIds()).not.toEqual(before);
  };

  it("takes up two at once, as soon as their nodes said that they are ready", async () => {
    const joining = [devnet().node(1), devnet().node(2)];
    for (const node of joining) {
      node.start();
      const { id, validatorKey, peerKey, address } = await candidateOf(node);
      const admit = ["validator", "admit", "--id", id, "--validator-key", validatorKey];
      await approveTwice(...admit, "--peer-key", peerKey, "--address", address ?? "");
    }
    await until("the list shows that they are ready", async () => {
      const { candidates } = JSON.parse((await run("validator", "list")).out) as Members;
      return candidates.length === 2 && candidates.every(({ ready }) => ready !== null);
    });
    const ids = joining.map(({ name }) => name).join(",");
    await approveTwice("validator", "add", ids);
    await growth.decidesWith(3);
  });

  it("refuses what does not fit the set, and says why", async () => {
    const unknown = await run("validator", "remove", "nobody");
    expect(unknown.code).toBe(1);
    expect(unknown.err).toContain("SYSTEM_MEMBER_UNKNOWN");
    const misspelt = await run("validator", "add", "a,b,c");
    expect(misspelt.code).toBe(2);
  });

  it("lets its founder go, who follows for a while and votes no more", async () => {
    const [founder] = await growth.remove(0);
    if (founder === undefined) throw new Error("nobody was removed");
    await growth.decidesWith(2);
    const { height } = await founder.client.status();
    await until("it follows", async () => (await founder.client.status()).height > height + 3);
    const { signers } = await founder.client.block("latest");
    expect(signers).toHaveLength(2);
    expect(signers).not.toContain((await founder.client.status()).validator);
    await founder.stop();
    await growth.decidesWith(2);
    await growth.finish(2);
  });
});

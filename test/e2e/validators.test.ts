/**
 * A ledger of real processes grows from one validator to three, four and seven, and shrinks again,
 * under load. Who joins knows the founder only and learns the others from the ledger; the founder
 * leaves in the end. The client that checks every receipt has nothing but the genesis file.
 */
import { existsSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { JsonValue } from "../../src/base/format/json.ts";
import type { ValidatorChange } from "../../src/base/format/validator-change.ts";
import type { Signer } from "../../src/base/keys.ts";
import { devnetKeyFile } from "../../src/cli/devnet/layout.ts";
import { LedgerClient } from "../../src/client/client.ts";
import { trustOf } from "../../src/client/finality.ts";
import { openKeyFile, readKeyFile } from "../../src/node/key-file.ts";
import { nativeVerifier } from "../../src/node/native-crypto.ts";
import { type TestNode, until as untilSoon, useDevnet } from "../helpers/devnet.ts";
import { readingOf, registerMeter, TestSender, untilFinal } from "./sender.ts";

const meter = "m-1";

/** Seven nodes on a busy machine are slow; what is claimed here is that they get there. */
const until = (what: string, condition: () => Promise<boolean>) =>
  untilSoon(what, condition, 120_000);

describe("a ledger that begins with one validator", { timeout: 300_000 }, () => {
  const devnet = useDevnet({ nodeCount: 7, founders: 1, isDown: true });
  /** Reports one reading after the other until told to stop. */
  const load = { isOn: true, sent: 0, done: Promise.resolve() };
  let administrator: Signer;

  afterAll(() => {
    load.isOn = false;
  });

  const up = () => devnet().nodes.filter((node) => node.isRunning);

  const approve = async (change: ValidatorChange) => {
    const { trust } = devnet();
    const client = new LedgerClient({ nodes: up().map(({ url }) => url), timeoutMs: 20_000 });
    const args = { change: change as unknown as JsonValue };
    const call = { contract: "system", method: "approveChange", args };
    const { receipt } = await client.submitAndWait(call, {
      ...{ signer: administrator, trust, gasLimit: 3_000_000 },
      timeoutMs: 120_000,
    });
    expect(receipt.outcome).toBe("ok");
  };

  const admit = async (node: TestNode) => {
    const { directory, configFile } = node.files;
    const did = async (name: string) => (await readKeyFile(`${directory}/${name}.json`)).publicKey;
    const config = parse(readFileSync(configFile, "utf8")) as { p2p: { listen: string[] } };
    await approve({
      kind: "admit",
      candidate: {
        id: node.name,
        name: node.name,
        validatorKey: await did("validator"),
        peerKey: await did("peer"),
        address: config.p2p.listen[0],
      },
    });
  };

  /** Starts nodes, has them admitted, waits for their word, and has them added at once. */
  const grow = async (...indexes: readonly number[]) => {
    const joining = indexes.map((index) => devnet().node(index));
    for (const node of joining) node.start();
    for (const node of joining) await admit(node);
    const { client } = devnet().node(0);
    await until("the candidates said that they are ready", async () => {
      const { candidates } = await client.members();
      return (
        candidates.length === joining.length && candidates.every(({ ready }) => ready !== null)
      );
    });
    await approve({ kind: "add", ids: joining.map(({ name }) => name).sort() });
  };

  /** Waits until all that run are at one set of so many validators and decide with it. */
  const decidesWith = async (count: number) => {
    await until(`all nodes know ${count} validators and decide`, async () => {
      const all = await Promise.all(up().map((node) => node.status()));
      const heights = all.map((status) => status?.height ?? 0);
      const known = all.every((status) => status?.validators.length === count && status.ready);
      return known && Math.max(...heights) - Math.min(...heights) <= 2;
    });
    // More blocks than validators: each of them has proposed, or was passed over once.
    const { client } = up()[0] as TestNode;
    const { height } = await client.status();
    await until("the new set decides", async () => (await client.status()).height > height + count);
  };

  const signersOf = async (node: TestNode) => {
    const { signers, height } = await node.client.block("latest");
    return { signers, validators: await node.client.validators(height) };
  };

  it("is alone at first", async () => {
    const [founder] = devnet().nodes as readonly [TestNode];
    founder.start();
    await founder.ready();
    const { directory } = devnet();
    const file = devnetKeyFile(`${directory}/devnet`, `${founder.name}-administrator`);
    const passphrase = readFileSync(`${directory}/devnet/passphrase`, "utf8").trim();
    administrator = (await openKeyFile({ file, passphrase })).signer;
    await registerMeter(devnet(), meter);
    const gateway = new TestSender(devnet(), devnet().signers.gateway);
    const report = async () => {
      while (load.isOn) {
        const readings = [readingOf(meter, load.sent)];
        const transaction = gateway.sign("metering", "report", { readings });
        const client = new LedgerClient({ nodes: up().map(({ url }) => url) });
        const { receipt } = await untilFinal(client, transaction, { trust: devnet().trust });
        expect(receipt.outcome).toBe("ok");
        load.sent += 1;
      }
    };
    load.done = report();
    load.done.catch(() => undefined);
    expect((await signersOf(founder)).validators.validators).toHaveLength(1);
  });

  it("adds two at once", async () => {
    await grow(1, 2);
    await decidesWith(3);
  });

  it("grows to four and to seven", async () => {
    await grow(3);
    await decidesWith(4);
    await grow(4, 5);
    await decidesWith(6);
    await grow(6);
    await decidesWith(7);
    const { signers, validators } = await signersOf(devnet().node(6));
    expect(validators.quorum).toBe(5);
    expect(signers.length).toBeGreaterThanOrEqual(5);
  });

  it("goes on with a new validator dead, and takes it back", async () => {
    const dead = devnet().node(5);
    await dead.stop("SIGKILL");
    const { height } = await devnet().node(1).client.status();
    await until("blocks without it", async () => {
      return (await devnet().node(1).client.status()).height > height + 10;
    });
    dead.start();
    await dead.ready();
    await decidesWith(7);
  });

  it("shrinks again, and who left follows for a while and votes no more", async () => {
    const [founder, second] = devnet().nodes as readonly [TestNode, TestNode];
    await approve({ kind: "remove", ids: [founder.name, second.name].sort() });
    await until("those removed know it", async () => {
      const all = await Promise.all([founder, second].map((node) => node.status()));
      return all.every((status) => status?.validators.length === 5);
    });
    const { height } = await founder.client.status();
    await until("they follow", async () => (await founder.client.status()).height > height + 3);
    expect((await signersOf(founder)).signers).not.toContain(
      (await founder.client.status()).validator,
    );
    await Promise.all([founder, second].map((node) => node.stop()));
    await decidesWith(5);
    await approve({ kind: "remove", ids: [devnet().node(2).name, devnet().node(3).name].sort() });
    await Promise.all([2, 3].map((index) => devnet().node(index).stop()));
    await decidesWith(3);
    await approve({ kind: "remove", ids: [devnet().node(4).name, devnet().node(5).name].sort() });
    await Promise.all([4, 5].map((index) => devnet().node(index).stop()));
    await decidesWith(1);
  });

  it("has lost nothing, and shows it to one who has the genesis only", async () => {
    load.isOn = false;
    await load.done;
    expect(load.sent).toBeGreaterThan(20);
    const [, , , , , , last] = devnet().nodes as readonly TestNode[];
    const { client } = last as TestNode;
    const trust = trustOf(devnet().genesis, nativeVerifier);
    expect(await client.followValidators(trust)).toBe(7);
    const key = `metering/meter/${meter}`;
    const { text } = await client.provenState(key, trust);
    expect(text).toContain(meter);
    const { entries } = await client.stateHistory(key, { limit: 1_000 });
    // Registered once, then written by each report.
    expect(entries.length).toBe(load.sent + 1);
    for (const node of devnet().nodes)
      expect(existsSync(`${node.files.ledgerDirectory}.crashes`), node.name).toBe(false);
  });
});

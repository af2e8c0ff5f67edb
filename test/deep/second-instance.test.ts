/**
 * Two instances of one validator, as after cloning a machine. Needs a build; Linux and root, as
 * every node gets a network of its own.
 *
 * Claims: on one machine the second is refused; on another it finds out and stops voting; nothing
 * forks, the others and the first instance go on.
 */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { freeBasePort } from "../../src/cli/devnet/processes.ts";
import { configureLinks, type Links, linkKinds, makeLinks } from "../e2e/perturb/links.ts";
import { registerMeter } from "../e2e/sender.ts";
import { TestDevnet, TestNode, until } from "../helpers/devnet.ts";

const original = 3;
/** The clone is a fifth machine, though it has the keys of the fourth node. */
const elsewhere = 4;

describe.skipIf(!linkKinds().includes("namespaces"))("a second instance of a validator", () => {
  let links: Links;
  let devnet: TestDevnet;
  let clone: TestNode;
  let hasPassed = false;

  beforeAll(async () => {
    links = await makeLinks("namespaces", { nodeCount: 5, delayMs: 0 });
    devnet = await TestDevnet.make({ nodeCount: 4, launch: links.launch });
    configureLinks(links, devnet.nodes);
    clone = await cloneOf(devnet.node(original), links);
    await links.open([...devnet.nodes, clone]);
    await devnet.up();
  }, 90_000);

  afterAll(async () => {
    await clone?.stop("SIGKILL");
    await devnet?.close({ keep: !hasPassed });
    await links?.close();
  }, 30_000);

  it("is refused on the same machine", { timeout: 60_000 }, async () => {
    const { files } = devnet.node(original);
    const second = new TestNode({ ...clone.files, logFile: files.logFile }, links.launch(original));
    second.start();
    await until("the second instance ended", () => !second.isRunning);
    expect(second.exitCode).toBe(1);
    expect(second.logEnd()).toContain("NODE_KEY_IN_USE");
  });

  it("stops voting elsewhere, and nothing forks", { timeout: 120_000 }, async () => {
    const submit = async (from: number, count: number) => {
      for (let meter = from; meter < from + count; meter += 1)
        await registerMeter(devnet, `m-${meter}`);
    };
    await submit(1, 5);
    clone.start();
    const reasonOf = async () => (await clone.status())?.notReady.join() ?? "";
    let next = 6;
    await until("the clone votes no more", async () => {
      await submit(next++, 1);
      return (await reasonOf()).includes("another process signs with the validator key");
    });
    await submit(next, 5);
    const { height, stateRoot } = await devnet.settled();
    expect(height).toBeGreaterThan(next);
    // Not ready for a moment is no harm, such as while a block travels; to vote no more would be.
    await until("the original is ready", async () => {
      const status = await devnet.node(original).status();
      expect(status?.notReady.join() ?? "").not.toContain("another process signs");
      return status?.ready === true;
    });
    // Who votes no more still follows.
    await until("the clone has the same state", async () => {
      const status = await clone.status();
      return status?.height === height && status.stateRoot === stateRoot;
    });
    hasPassed = true;
  });
});

async function cloneOf(node: TestNode, links: Links): Promise<TestNode> {
  const { files } = node;
  const directory = `${files.directory}-clone`;
  cpSync(files.directory, directory, { recursive: true });
  const inClone = (path: string) => path.replace(files.directory, directory);
  const port = await freeBasePort(1);
  const clone = {
    ...files,
    directory,
    name: `${files.name}-clone`,
    url: `http://127.0.0.1:${port}`,
    configFile: inClone(files.configFile),
    ledgerDirectory: inClone(files.ledgerDirectory),
    logFile: inClone(files.logFile),
    processFile: inClone(files.processFile),
  };
  const config = parse(readFileSync(clone.configFile, "utf8"));
  config.api.port = port;
  config.p2p.listen = [links.address(elsewhere, elsewhere)];
  writeFileSync(clone.configFile, stringify(config));
  return new TestNode(clone, links.launch(elsewhere));
}

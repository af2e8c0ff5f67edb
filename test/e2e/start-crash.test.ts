/**
 * A node that breaks an invariant while it starts: it ends like one that breaks it later, and
 * counts, so that a supervisor that starts it over and over gets a node that only answers.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";
import { programFile, useDevnet } from "../helpers/devnet.ts";

const devnet = useDevnet({ nodeCount: 1, isDown: true });

/** Loaded before the program: the engine of the contracts, a large module, cannot be made. */
const script = `
  const { Module } = WebAssembly;
  WebAssembly.Module = new Proxy(Module, {
    construct(_, [bytes]) {
      if (bytes.byteLength > 500_000) throw new TypeError("one is two");
      return new Module(bytes);
    },
  });`;
const breakEngine = `data:text/javascript,${encodeURIComponent(script)}`;

let journal: string;
beforeAll(() => {
  journal = `${devnet().node(0).files.ledgerDirectory}.crashes`;
});

/** Runs a start that fails. @returns Its exit code and all it said. */
function start(nodeArgs: readonly string[] = []): Promise<{ exitCode: unknown; text: string }> {
  const { configFile } = devnet().node(0).files;
  const args = [...nodeArgs, programFile, "node", "start", "--config", configFile];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: 30_000 }, (error, out, err) =>
      resolve({ exitCode: error?.code ?? 0, text: out + err }),
    );
  });
}

const crashes = () =>
  existsSync(journal) ? readFileSync(journal, "utf8").trimEnd().split("\n").length : 0;

describe("a node that cannot start", { timeout: 90_000 }, () => {
  it("does not count as crashed when something is in its way", async () => {
    const server = createServer();
    const { port } = new URL(devnet().node(0).url);
    await new Promise<void>((resolve) => server.listen(Number(port), "127.0.0.1", resolve));
    const { exitCode, text } = await start();
    server.close();
    expect(text).toContain("EADDRINUSE");
    expect([exitCode, crashes()]).toEqual([1, 0]);
  });

  it("ends with 70 and is counted when it breaks an invariant; then it only answers", async () => {
    for (const count of [1, 2, 3]) {
      const { exitCode, text } = await start(["--import", breakEngine]);
      expect(text).toMatch(/one is two.*broken invariant/s);
      expect([exitCode, crashes()]).toEqual([70, count]);
    }
    const node = devnet().node(0);
    node.start();
    await expect
      .poll(async () => (await node.status())?.notReady.join(), { timeout: 30_000 })
      .toContain("crashed 3 times");
    await node.stop();
  });
});

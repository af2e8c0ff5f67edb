/**
 * (1) of src/ledger/store.ts with real kills: a process that appends is killed with SIGKILL at
 * random moments; the store opens again without repair, and no acknowledged block is lost. The
 * moments come from a seed, which is printed; SEED=n takes another one. More kills: DEEP=1.
 *
 * A kill leaves the page cache alone, so this does not show what a power cut does: that is what
 * `sync: true` is for.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { LedgerStore } from "../../src/ledger/store.ts";
import { verifyChain } from "../../src/ledger/verify-chain.ts";
import { executeToys, testGenesis, testVerifier } from "../helpers/chain.ts";
import { seedOf } from "../helpers/seed.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const kills = process.env.DEEP === undefined ? 10 : 50;
const seed = seedOf(20_260_101);
const genesis = testGenesis();
let parent: string;
let script: string;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "loopledger-kill-"));
  // Beside node_modules, so that the packages left outside of the bundle are found.
  script = join(root, "node_modules", ".cache", `append-child-${process.pid}.mjs`);
  await build({
    entryPoints: [join(root, "test/helpers/append-child.ts")],
    outfile: script,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
  });
});
afterAll(async () => {
  await rm(parent, { recursive: true, force: true });
  await rm(script, { force: true });
});

/** Runs a child until it acknowledged `blocks` blocks, waits on, and kills it. */
async function runAndKill(directory: string, blocks: number, spinTurns: number): Promise<number> {
  const child = spawn(process.execPath, [script, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let height = -1;
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line !== "open") height = Number(line);
    lines += 1;
    if (lines === blocks + 1) killSoon(child, spinTurns);
  }
  await ended;
  return height;
}

/** The kill comes some turns of the event loop later: in the middle of a block, or of a write. */
function killSoon(child: ChildProcess, turns: number): void {
  if (turns === 0) child.kill("SIGKILL");
  else setImmediate(() => killSoon(child, turns - 1));
}

it("loses no acknowledged block and needs no repair, killed at any moment", async () => {
  console.log(`${kills} kills, SEED=${seed}`);
  const directory = join(parent, "ledger");
  let random = seed;
  const next = (bound: number) => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((random / 2 ** 32) * bound);
  };
  let acknowledged = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    const height = await runAndKill(directory, next(6), next(60));
    acknowledged = Math.max(acknowledged, height);
    const store = await LedgerStore.open({ directory, genesis, log: silentLog });
    const { tip } = store;
    await store.close();
    expect(tip.height, `SEED=${seed} kill ${kill}`).toBeGreaterThanOrEqual(acknowledged);
    // The one block under way may be there as well, whole, but no more.
    expect(tip.height, `SEED=${seed} kill ${kill}`).toBeLessThanOrEqual(acknowledged + 1);
    acknowledged = tip.height;
  }
  expect(acknowledged).toBeGreaterThan(kills / 2);
  const verdict = await verifyChain({
    directory,
    genesis,
    verifier: testVerifier,
    execute: executeToys,
  });
  expect(verdict).toMatchObject({ problems: [], validHeight: acknowledged });
}, 120_000);

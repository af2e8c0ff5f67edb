/**
 * Kills nodes at random moments under load, starts each again, and holds the ledger to what clients
 * were told.
 *
 * Method: some lanes send single readings without a pause; each notes what was proven final to it,
 * with height and place. Meanwhile one running node after the other gets SIGKILL, some during their
 * start, and is started again after a random while: at times a quorum is gone, and once, halfway,
 * all are killed at the same moment. After every few kills the next one waits for its share of the
 * transactions that must become final, however slow the machine is: only a ledger that goes on
 * deciding says anything. Nobody repairs anything. In the end every node must have the same chain, each noted
 * transaction at its noted place, no transaction twice, and files that `chain verify` finds whole.
 *
 * Moments and nodes follow from the seed, which is printed with the command that takes it again;
 * what the operating system does with them does not, so a failure is likely then, not certain.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "vitest";
import type { Hash } from "../../src/base/hash.ts";
import { LedgerClient } from "../../src/client/client.ts";
import { pause, programFile, type TestDevnet, type TestNode } from "../helpers/devnet.ts";
import { seedOf } from "../helpers/seed.ts";
import { Random } from "../sim/random.ts";
import { readingOf, registerMeter, TestSender, untilFinal } from "./sender.ts";

const run = promisify(execFile);
const meter = "m-kill";
const laneCount = 6;
/** Between two kills, and until a killed node is started again: the next kill may come sooner. */
const killMs = { min: 400, max: 1_800 };
const awayMs = { min: 0, max: 1_200 };
/** So many kills come without regard to what is final: some of them while a quorum is gone. */
const killsInARow = 5;

type Told = { readonly id: Hash; readonly height: number; readonly index: number };

/** What a run did. */
export type KillReport = { readonly seed: number; readonly kills: number; readonly final: number };

/** Runs the whole experiment on a devnet that is up, until so many transactions are final. */
export async function killRun(
  devnet: TestDevnet,
  { killCount, finalMin }: { readonly killCount: number; readonly finalMin: number },
): Promise<KillReport> {
  const seed = seedOf(Math.floor(Math.random() * 2 ** 31));
  const kind = process.env.DEEP === undefined ? "e2e" : "deep";
  const command = `SEED=${seed} npx vitest run --config vitest.${kind}.config.ts test/${kind}/kill`;
  console.log(`${killCount} kills; again: ${command}`);
  const random = new Random(seed);
  await registerMeter(devnet, meter);
  const load = new Load(devnet);
  const restarts: Promise<void>[] = [];
  for (let kill = 0; kill < killCount; kill += 1) {
    if (kill % killsInARow === 0) await load.untilFinal((finalMin * kill) / killCount);
    await pause(between(random, killMs));
    const isPowerCut = kill === Math.floor(killCount / 2);
    const killed = isPowerCut ? await killAll(devnet) : [await killOne(devnet, random)];
    for (const node of killed) restarts.push(startAgain(node, between(random, awayMs)));
  }
  await Promise.all(restarts);
  await Promise.all(devnet.nodes.map((node) => node.ready()));
  await load.untilFinal(finalMin);
  const told = await load.end();
  await check(devnet, told);
  return { seed, kills: killCount, final: told.length };
}

/** Lanes that each send one reading after the other. */
class Load {
  readonly #devnet: TestDevnet;
  readonly #gateway: TestSender;
  readonly #lanes: Promise<void>[];
  readonly #told: Told[] = [];
  #count = 0;
  #isEnding = false;

  constructor(devnet: TestDevnet) {
    this.#devnet = devnet;
    this.#gateway = new TestSender(devnet, devnet.signers.gateway);
    this.#lanes = Array.from({ length: laneCount }, (_, lane) => this.#run(lane));
  }

  /** Goes on until so many are final; ends with what ends a lane. */
  async untilFinal(count: number): Promise<void> {
    while (this.#told.length < count) await Promise.race([pause(50), Promise.all(this.#lanes)]);
  }

  /** Stops when what is on its way is final. @returns What clients were told. */
  async end(): Promise<readonly Told[]> {
    this.#isEnding = true;
    await Promise.all(this.#lanes);
    expect(this.#told).toHaveLength(this.#count);
    return this.#told;
  }

  async #run(lane: number): Promise<void> {
    const { nodes, trust } = this.#devnet;
    const urls = nodes.map((_, index) => this.#devnet.node((index + lane) % nodes.length).url);
    const client = new LedgerClient({ nodes: urls, timeoutMs: 5_000 });
    while (!this.#isEnding) {
      const readings = [readingOf(meter, this.#count)];
      this.#count += 1;
      const transaction = this.#gateway.sign("metering", "report", { readings });
      const options = { trust, timeoutMs: 60_000, againMs: 2_000 };
      const final = await untilFinal(client, transaction, options);
      expect(final.receipt.outcome).toBe("ok");
      const { height } = final.header;
      this.#told.push({ id: transaction.id, height, index: final.index });
    }
  }
}

async function killOne(devnet: TestDevnet, random: Random): Promise<TestNode> {
  for (;;) {
    const running = devnet.nodes.filter(({ isRunning }) => isRunning);
    const node = running[random.below(Math.max(1, running.length))];
    if (node !== undefined) {
      await node.stop("SIGKILL");
      return node;
    }
    await pause(50);
  }
}

/** What no node had written is gone then, whatever the others knew. */
async function killAll(devnet: TestDevnet): Promise<TestNode[]> {
  const running = devnet.nodes.filter(({ isRunning }) => isRunning);
  await Promise.all(running.map((node) => node.stop("SIGKILL")));
  return running;
}

async function startAgain(node: TestNode, afterMs: number): Promise<void> {
  await pause(afterMs);
  node.start();
}

function between(random: Random, { min, max }: { min: number; max: number }): number {
  return min + random.below(max - min + 1);
}

async function check(devnet: TestDevnet, told: readonly Told[]): Promise<void> {
  const { height } = await devnet.settled(60_000);
  const chains = await Promise.all(devnet.nodes.map((node) => placesOf(node, height)));
  const [first] = chains;
  for (const chain of chains) expect(chain).toEqual(first);
  const places = new Map(first);
  expect(places.size).toBe(first?.length);
  for (const { id, height: toldHeight, index } of told)
    expect(places.get(id)).toBe(`${toldHeight}:${index}`);
  // The registration and every reading, and nothing else: nothing twice, nothing lost.
  expect(places.size).toBe(told.length + 1);
  const rows = await Promise.all(devnet.nodes.map(readingCount));
  expect(rows).toEqual(devnet.nodes.map(() => told.length));
  const { hash } = await devnet.node(0).client.block(height);
  await devnet.down();
  for (const node of devnet.nodes) await verifyChain(devnet, node, `${height}:${hash}`);
}

/** Every transaction of a node's chain with its place. */
async function placesOf(node: TestNode, heightMax: number): Promise<[Hash, string][]> {
  const places: [Hash, string][] = [];
  for (let height = 1; height <= heightMax; height += 1) {
    const { transactions } = await node.client.block(height);
    for (const [index, { id, outcome }] of transactions.entries()) {
      expect(outcome).toBe("ok");
      places.push([id, `${height}:${index}`]);
    }
  }
  return places;
}

async function readingCount({ client }: TestNode): Promise<number> {
  let count = 0;
  for (let fromMs: number | null = 0; fromMs !== null; ) {
    const { result } = await client.view("metering", "readings", { meter, fromMs, limit: 999 });
    const page = result as { readonly rows: unknown[]; readonly nextFromMs: number | null };
    count += page.rows.length;
    fromMs = page.nextFromMs;
  }
  return count;
}

async function verifyChain(devnet: TestDevnet, node: TestNode, expected: string): Promise<void> {
  const args = ["chain", "verify", "--dir", node.files.ledgerDirectory];
  args.push("--genesis", devnet.genesisFile, "--expect", expected, "--json");
  const { stdout } = await run(process.execPath, [programFile, ...args]);
  expect(JSON.parse(stdout)).toMatchObject({ isValid: true });
}

/**
 * Contracts that try to take a node down, on a devnet of real processes: each call ends with a
 * receipt that says out of gas, with the same gas on every node, and the nodes stay live and ready.
 *
 * Two of the four nodes run from other directories (a copy with blanks and umlauts in its path, and
 * a symbolic link), in other time zones and languages: nothing of that may reach gas or state. All
 * nodes execute every block, so equal state roots and receipts roots are equal results.
 */
import { cp, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Receipt } from "../../src/base/format/receipt.ts";
import { limits } from "../../src/base/limits.ts";
import { programFile, TestDevnet } from "../helpers/devnet.ts";
import { bombs } from "../unit/contracts/bombs.ts";
import { readingOf, registerMeter, TestSender, untilFinal } from "./sender.ts";

/** Method names of those bombs that the ledger must survive end to end; unit tests run all. */
const chosen = {
  endlessLoop: "endless loop",
  caughtLoop: "endless loop in a catch",
  memoryBomb: "array buffers",
  mapBomb: "map growth",
  hugeSearch: "built-in search of a huge array",
  deepJson: "deep JSON value",
  deepJsonText: "deep JSON text",
  regexBomb: "regular expression backtracking",
  recursion: "recursion",
  mapRecursion: "recursion through map",
  numberBomb: "large integers",
  hostWrites: "host writes",
} as const satisfies Record<string, keyof typeof bombs>;

/** What else the contract does: reach for the machine, throw, and behave. */
const others = {
  machine: `const looks = [
      () => new Date(1e12).getTimezoneOffset(), () => new Date(1e12).toString(),
      () => new Date(1e12).toLocaleString(), () => (12345.5).toLocaleString(),
      () => "I".toLocaleLowerCase(), () => ["ä", "z"].sort((a, b) => a.localeCompare(b)),
      () => typeof Intl, () => typeof process, () => Date.now() - input.timeMs,
      () => Math.random(), () => new Error("x").stack,
    ];
    const seen = looks.map((look) => { try { return String(look()); } catch (e) { return String(e); } });
    host.set("hostile/seen/machine", JSON.stringify(seen))`,
  halfDone: 'host.set("hostile/seen/half", "1"); host.emit("half", "1"); for (;;);',
  throwing: 'host.set("hostile/seen/thrown", "1"); throw new Error("no");',
};

const root = dirname(dirname(programFile));
let places: string;
let devnet: TestDevnet;
let sender: TestSender;
let keep = true;

beforeAll(async () => {
  places = await mkdtemp(join(tmpdir(), "loopledger-places-"));
  const copy = join(places, "a copy of Größe", "deeper");
  await mkdir(copy, { recursive: true });
  for (const part of ["bin", "dist", "package.json"])
    await cp(join(root, part), join(copy, part), { recursive: true });
  await symlink(join(root, "node_modules"), join(copy, "node_modules"));
  const link = join(places, "link");
  await symlink(root, link);
  const launches = [
    { env: { TZ: "UTC", LANG: "C" } },
    {
      program: join(copy, "bin/loopledger.js"),
      env: { TZ: "Asia/Kathmandu", LANG: "tr_TR.UTF-8" },
    },
    { program: join(link, "bin/loopledger.js"), env: { TZ: "America/St_Johns", LANG: "ar_EG" } },
    { env: { TZ: "Pacific/Apia", LANG: "de_DE.UTF-8", LC_ALL: "de_DE.UTF-8" } },
  ];
  devnet = await TestDevnet.make({
    contracts: [{ name: "hostile", source: hostileBundle() }],
    launch: (index) => launches[index] ?? {},
  });
  await devnet.up();
  sender = new TestSender(devnet, devnet.signers.biller);
}, 90_000);

afterAll(async () => {
  await devnet?.close({ keep });
  await rm(places, { recursive: true, force: true });
}, 30_000);

it("ends every bomb with out of gas, no trace and the same gas on all nodes", async () => {
  const methods = [...Object.keys(chosen), "halfDone"];
  const transactions = methods.map((method) => sender.sign("hostile", method, {}));
  const receipts = await Promise.all(
    transactions.map((transaction) => untilFinal(devnet.client, transaction, devnet)),
  );
  const outcomes = methods.map((method, index) => [method, receipts[index]?.receipt.outcome]);
  expect(outcomes).toEqual(methods.map((method) => [method, "CONTRACT_OUT_OF_GAS"]));
  for (const { receipt } of receipts)
    expect(receipt).toMatchObject({ gasUsed: limits.callGasMax, changes: [], events: [] });
  await devnet.settled();
  await expectLively();
}, 90_000);

it("survives 100 traps in a row", async () => {
  const traps: Promise<{ receipt: Receipt }>[] = [];
  for (let count = 0; count < 100; count += 1) {
    const transaction = sender.sign("hostile", "recursion", {}, { gasLimit: 20_000_000 });
    traps.push(untilFinal(devnet.client, transaction, devnet));
  }
  const outcomes = (await Promise.all(traps)).map(({ receipt }) => receipt.outcome);
  expect(new Set(outcomes)).toEqual(new Set(["CONTRACT_OUT_OF_GAS"]));
  await devnet.settled();
  await expectLively();
}, 90_000);

it("shows contracts the same zone, language, path and randomness on every node", async () => {
  const { receipt } = await sender.send("hostile", "machine", {});
  expect(receipt.outcome).toBe("ok");
  await devnet.settled();
  const values = await Promise.all(
    devnet.nodes.map(async ({ client }) => (await client.state("hostile/seen/machine")).value),
  );
  const [first] = values;
  for (const value of values) expect(value).toEqual(first);
  expect((first as unknown[])[0]).toBe("0");
});

it("leaves nothing of a call that threw, and goes on with real work", async () => {
  const thrown = await sender.send("hostile", "throwing", {});
  expect(thrown.receipt).toMatchObject({ outcome: "CONTRACT_THREW", changes: [], events: [] });
  await registerMeter(devnet, "m-1");
  const gateway = new TestSender(devnet, devnet.signers.gateway);
  const real = await gateway.send("metering", "report", { readings: [readingOf("m-1", 1)] });
  expect(real.receipt.outcome).toBe("ok");
  const { height } = await devnet.settled();
  for (const key of ["hostile/seen/half", "hostile/seen/thrown"])
    expect((await devnet.client.state(key)).text).toBeNull();
  await expectSameReceipts(height);
  await expectLively();
  keep = false;
});

/** A node that is live answers within a second, whatever it just survived. */
async function expectLively(): Promise<void> {
  for (const { url, isRunning } of devnet.nodes) {
    expect(isRunning).toBe(true);
    const ready = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5_000) });
    expect(await ready.json()).toEqual({ ready: true, reasons: [] });
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
  }
}

async function expectSameReceipts(heightMax: number): Promise<void> {
  for (let height = 1; height <= heightMax; height += 1) {
    const blocks = await Promise.all(devnet.nodes.map(({ client }) => client.block(height)));
    const seen = blocks.map(({ hash, stateRoot, receiptsRoot, gasUsed, transactions }) => ({
      ...{ hash, stateRoot, receiptsRoot, gasUsed },
      gas: transactions.map((transaction) => transaction.gasUsed),
    }));
    for (const each of seen) expect(each).toEqual(seen[0]);
  }
}

/** A bundle as the build would make one, against the protocol of docs/CONTRACTS.md only. */
function hostileBundle(): string {
  const bodies: [string, string][] = [
    ...Object.entries(chosen).map(([method, bomb]): [string, string] => [
      method,
      bombs[bomb] ?? "",
    ]),
    ...Object.entries(others),
  ];
  const methods = Object.fromEntries(bodies.map(([method]) => [method, { roles: ["biller"] }]));
  const description = JSON.stringify({ name: "hostile", methods, views: [] });
  const functions = bodies.map(([method, body]) => `${method}(args, input) { ${body} }`);
  return `const bodies = { ${functions.join(",\n").replaceAll("bomb/a/", "hostile/a/")} };
globalThis.contractEntry = {
  describe: () => ${JSON.stringify(description)},
  call(text) {
    const input = JSON.parse(text);
    const ok = bodies[input.method](input.args, input);
    return JSON.stringify({ ok: ok === undefined ? null : ok });
  },
};`;
}

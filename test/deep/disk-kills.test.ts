/**
 * A node's files after a kill at every boundary of a write. `npm run disk:kills -- --points N` for
 * more; a failure prints the command that tries the same points. Only where LevelDB merges tables
 * meanwhile, in its own thread, may the files of a point differ.
 *
 * Two ways, as a kill leaves the page cache alone and so leaves exactly what was written so far:
 *
 * - Real kills: a process ends itself with SIGKILL at the k-th boundary of a kind, of a batch or of
 *   a signing record, at times while it repairs a damaged store. All kinds in turn; only kills that
 *   happened count.
 * - Cuts: the files before and after each append, or an opening, are known; every mixture that
 *   LevelDB's order of writes allows is a kill. Logs, tables and manifests end anywhere.
 *
 * After each: the store opens without repair, nothing acknowledged is missing and nothing is there
 * that was never begun, the state has the root of its block, the next block can be appended and is
 * there at the next opening, and the signing record is the acknowledged one or the next.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Log } from "../../src/base/log.ts";
import { openDatabase } from "../../src/ledger/database.ts";
import { recordKeys } from "../../src/ledger/records.ts";
import { openRepaired } from "../../src/ledger/repair.ts";
import { LedgerStore } from "../../src/ledger/store.ts";
import type { AppendInput } from "../../src/ledger/types.ts";
import { SigningRecordFile } from "../../src/node/signing-record-file.ts";
import { executeToys, testGenesis } from "../helpers/chain.ts";
import { flipByte } from "../helpers/databases.ts";
import {
  type Boundary,
  boundaries,
  diskBlocks,
  saveBlocks,
  signingPayload,
  writeBufferBytes,
} from "../helpers/disk-chain.ts";
import { type Cut, cutBetween, type FileSet, placeFiles, takeFiles } from "../helpers/disk-cuts.ts";
import { atPoint, diskCommand, diskPoints, diskSeed } from "../helpers/disk-points.ts";
import { Random } from "../sim/random.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** A process costs as much as twenty cuts. */
const killCount = Math.max(20, Math.floor(diskPoints / 40));
const cutCount = diskPoints - killCount;
/** Of each step of a life; the same for every count, so that fewer cuts are the first of more. */
const cutsPerStep = 4;
const genesis = testGenesis();
const blockCount = 30;

let parent: string;
let script: string;
let inputs: AppendInput[];

beforeAll(async () => {
  parent = mkdtempSync(join(tmpdir(), "loopledger-disk-"));
  inputs = await diskBlocks(blockCount);
  saveBlocks(join(parent, "blocks"), inputs);
  // Beside node_modules, so that the packages left outside of the bundle are found.
  script = join(root, "node_modules", ".cache", `disk-child-${process.pid}.mjs`);
  const entry = join(root, "test/helpers/disk-child.ts");
  const options = { bundle: true, platform: "node", format: "esm", packages: "external" } as const;
  await build({ entryPoints: [entry], outfile: script, logLevel: "error", ...options });
}, 60_000);
afterAll(() => {
  rmSync(parent, { recursive: true, force: true });
  rmSync(script, { force: true });
});

/** A log that keeps what was said about repairs. */
function listener(): { readonly log: Log; readonly repairs: string[] } {
  const repairs: string[] = [];
  const note = (facts: object, message: string) => {
    if (/repair|salvage|dropping|rebuilding/.test(message))
      repairs.push(`${message} ${JSON.stringify(facts)}`);
  };
  const log = { debug() {}, info() {}, warn: note, error: note } as Log;
  return { log, repairs };
}

const hashAt = (height: number) =>
  height === 0 ? genesis.chainId : (inputs[height - 1] as AppendInput).block.hash;
const rootAt = (height: number) =>
  height === 0
    ? genesis.header.stateRoot
    : (inputs[height - 1] as AppendInput).block.header.stateRoot;

/** Opens a store after a kill and checks it. @returns Its tip. */
async function check(
  directory: string,
  expected: {
    readonly heightMin: number;
    readonly heightMax: number;
    readonly mayRepair?: boolean;
  },
): Promise<number> {
  const { log, repairs } = listener();
  const database = await openDatabase(directory, { writeBufferBytes });
  try {
    const store = await openRepaired({ database, genesis, log, execute: executeToys });
    const { height, hash } = store.tip;
    if (expected.mayRepair !== true) expect(repairs).toEqual([]);
    expect(height).toBeGreaterThanOrEqual(expected.heightMin);
    expect(height).toBeLessThanOrEqual(expected.heightMax);
    expect([hash, store.state.tree.root]).toEqual([hashAt(height), rootAt(height)]);
    const next = inputs[height];
    if (next !== undefined) await store.append(next);
    return store.tip.height;
  } finally {
    await database.close();
  }
}

async function checkAgain(directory: string, height: number): Promise<void> {
  const { log } = listener();
  const store = await LedgerStore.open({ directory, genesis, log });
  await store.close();
  expect(store.tip.height).toBe(height);
}

it(`holds at ${cutCount} cuts of its files`, async () => {
  console.log(`${cutCount} cuts; again: ${diskCommand}`);
  const counts = new Map<string, number>();
  let done = 0;
  for (let life = 0; done < cutCount; life += 1) {
    const directory = join(parent, `cuts-${life}`);
    // All of the same chain, so the next life only adds other moments of LevelDB's merges.
    const steps = await liveThrough(directory);
    for (const [index, step] of steps.entries())
      for (let each = 0; each < cutsPerStep && done < cutCount; each += 1) {
        const random = Random.at(diskSeed, life, index, each);
        const cut = cutBetween(step.before, step.after, random);
        const point = `cut ${done} (life ${life}, height ${step.height}): ${cut.name}`;
        await atPoint(point, () => checkCut(step, cut, done % 8 === 0));
        counts.set(cut.kind, (counts.get(cut.kind) ?? 0) + 1);
        done += 1;
      }
    rmSync(directory, { recursive: true });
  }
  console.log("cuts:", Object.fromEntries(counts));
  for (const kind of ["log", "table", "manifest", "opening"])
    expect(counts.get(kind) ?? 0, kind).toBeGreaterThan(0);
}, 900_000);

async function checkCut(step: LifeStep, cut: Cut, isTwice: boolean): Promise<void> {
  const place = join(parent, "point");
  placeFiles(place, cut.files);
  const heightMin = cut.isWhole ? step.height : step.acknowledged;
  const heightMax = cut.isWhole === false ? step.acknowledged : step.height;
  const height = await check(place, { heightMin, heightMax });
  if (isTwice) await checkAgain(place, height);
  rmSync(place, { recursive: true });
}

type LifeStep = {
  /** What was acknowledged before it, and the height when it is done. */
  readonly acknowledged: number;
  readonly height: number;
  readonly before: FileSet;
  readonly after: FileSet;
};

/** Appends the chain with openings in between and takes the files around each step. */
async function liveThrough(directory: string): Promise<LifeStep[]> {
  mkdirSync(directory);
  const { log } = listener();
  const steps: LifeStep[] = [];
  let before: FileSet | undefined;
  for (let height = 0; height < blockCount - 1; ) {
    const database = await openDatabase(directory, { writeBufferBytes });
    const store = await LedgerStore.open({ database, genesis, log });
    const opened = await takeFiles(directory);
    if (before !== undefined) steps.push({ acknowledged: height, height, before, after: opened });
    before = opened;
    for (let appended = 0; appended < 9 && height < blockCount - 1; appended += 1) {
      await store.append(inputs[height] as AppendInput);
      height += 1;
      const after = await takeFiles(directory);
      steps.push({ acknowledged: height - 1, height, before, after });
      before = after;
    }
    await store.close();
    before = await takeFiles(directory);
  }
  return steps;
}

it(`holds at ${killCount} kills at boundaries of writes`, async () => {
  console.log(`${killCount} kills; again: ${diskCommand}`);
  const directory = join(parent, "ledger");
  const record = join(parent, "record");
  await SigningRecordFile.create(record);
  const kills = new Map<Boundary, number>();
  let acknowledged = { record: 0, block: 0 };
  // Every kind in turn; only a process that did end itself counts.
  for (let draw = 0, killed = 0; killed < killCount; draw += 1) {
    expect(draw, "draws").toBeLessThan(4 * killCount);
    const random = Random.at(diskSeed, draw);
    const kind = boundaries[killed % boundaries.length] as Boundary;
    if (acknowledged.block >= blockCount - 3) {
      rmSync(directory, { recursive: true });
      acknowledged = { ...acknowledged, block: 0 };
    }
    const isDamaged = acknowledged.block > 3 && random.chance(0.3);
    const killAt = 1 + random.below(isDamaged ? 4 : 7);
    await atPoint(`draw ${draw}, ${kind} ${killAt}`, async () => {
      if (isDamaged) await damage(directory, random, acknowledged.block);
      const paths = [directory, record, join(parent, "blocks")];
      const told = await runAndKill(paths, { kind, killAt, cut: random.below(1_000) / 1_000 });
      const before = acknowledged.record;
      acknowledged = { record: told.record ?? before, block: told.block ?? acknowledged.block };
      const heightMin = isDamaged ? 0 : acknowledged.block;
      const heightMax = acknowledged.block + 1;
      const block = await check(directory, { heightMin, heightMax, mayRepair: isDamaged });
      const underWay = told.isKilled && told.block !== undefined ? told.block + 1 : undefined;
      const signed = await checkRecord(record, {
        acknowledged: acknowledged.record,
        underWay: kind === "before record" ? undefined : underWay,
        isWritten: told.isKilled && kind.endsWith("sync"),
      });
      acknowledged = { record: signed, block };
      if (told.isKilled) kills.set(kind, (kills.get(kind) ?? 0) + 1);
      if (told.isKilled) killed += 1;
    });
  }
  console.log("kills:", Object.fromEntries(kills));
}, 900_000);

/** The record is the acknowledged one or the one under way, every byte. @returns Its height. */
async function checkRecord(
  path: string,
  expected: {
    readonly acknowledged: number;
    readonly underWay: number | undefined;
    /** All of the one under way was given to the operating system. */
    readonly isWritten: boolean;
  },
): Promise<number> {
  const { acknowledged, underWay, isWritten } = expected;
  const { file, record, isLost, isTorn } = await SigningRecordFile.open(path);
  await file.close();
  expect([isLost, isTorn]).toEqual([false, false]);
  const heights = isWritten ? [underWay] : [acknowledged, underWay];
  const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
  const allowed = new Map(
    heights
      .filter((height) => height !== undefined)
      .map((height) => [height === 0 ? "" : hex(signingPayload(height)), height]),
  );
  const height = allowed.get(hex(record));
  expect(height, `a record of heights ${heights}, whole`).toBeDefined();
  return height as number;
}

/** Runs a child until it kills itself or is done. @returns What it acknowledged last. */
async function runAndKill(
  paths: readonly string[],
  { kind, killAt, cut }: { readonly kind: Boundary; readonly killAt: number; readonly cut: number },
): Promise<{ record: number | undefined; block: number | undefined; isKilled: boolean }> {
  const args = [script, ...paths, kind, String(killAt), String(cut)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const told: { record: number | undefined; block: number | undefined } = {
    record: undefined,
    block: undefined,
  };
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, height] = line.split(" ") as ["record" | "block", string];
    told[what] = Number(height);
  }
  await ended;
  expect([child.signalCode, child.exitCode]).toEqual(
    child.exitCode === 0 ? [null, 0] : ["SIGKILL", null],
  );
  return { ...told, isKilled: child.signalCode === "SIGKILL" };
}

/** Damages a record, so that the next start repairs and may be killed while it does. */
async function damage(directory: string, random: Random, height: number): Promise<void> {
  const database = await openDatabase(directory, { writeBufferBytes });
  const keys = [
    recordKeys.block(1 + random.below(height)),
    recordKeys.receipts(height),
    recordKeys.certificate(height),
  ];
  const key = keys[random.below(keys.length)] as string;
  await flipByte(database, { key, index: 10 });
  await database.close();
}

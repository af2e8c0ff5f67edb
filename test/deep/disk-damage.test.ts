/**
 * Damaged files of every kind that LevelDB has: bits flipped, ends cut off, stretches of zeros,
 * files gone or replaced. Whatever it is, the store opens again within its own means, and with the
 * blocks of peers it ends where it was, and `chain verify` finds nothing.
 *
 * A failure prints the command that tries the same places.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { openDatabase } from "../../src/ledger/database.ts";
import { openRepaired } from "../../src/ledger/repair.ts";
import { LedgerStore } from "../../src/ledger/store.ts";
import type { AppendInput } from "../../src/ledger/types.ts";
import { verifyChain } from "../../src/ledger/verify-chain.ts";
import { executeToys, testGenesis, testVerifier } from "../helpers/chain.ts";
import { diskBlocks, writeBufferBytes } from "../helpers/disk-chain.ts";
import { type FileSet, placeFiles, takeFiles } from "../helpers/disk-cuts.ts";
import { atPoint, diskCommand, diskPoints, diskSeed } from "../helpers/disk-points.ts";
import { Random } from "../sim/random.ts";

const pointCount = Math.max(60, Math.floor(diskPoints / 10));
const genesis = testGenesis();
const blockCount = 24;
const kinds = ["table", "log", "MANIFEST", "CURRENT"] as const;
const changes = ["flip", "cut", "zero", "gone", "junk"] as const;

let parent: string;
let inputs: AppendInput[];
/** Files of a node that runs, that was killed, and that was stopped. */
let lives: FileSet[];

beforeAll(async () => {
  parent = mkdtempSync(join(tmpdir(), "loopledger-damage-"));
  inputs = await diskBlocks(blockCount);
  const directory = join(parent, "whole");
  const database = await openDatabase(directory, { writeBufferBytes });
  const store = await LedgerStore.open({ database, genesis, log: silentLog });
  for (const input of inputs) await store.append(input);
  const running = await takeFiles(directory);
  await store.close();
  const again = await openDatabase(directory, { writeBufferBytes });
  await again.close();
  lives = [running, await takeFiles(directory)];
}, 60_000);
afterAll(() => rmSync(parent, { recursive: true, force: true }));

function filesOfKind(files: FileSet, kind: (typeof kinds)[number]): string[] {
  const pattern = { table: /\.ldb$/, log: /\.log$/, MANIFEST: /^MANIFEST/, CURRENT: /^CURRENT$/ };
  return [...files.keys()].filter((name) => pattern[kind].test(name));
}

type Damage = { readonly name: string; readonly files: FileSet };

function damage(random: Random, point: number): Damage {
  const files = new Map(lives[random.below(lives.length)]);
  const kind = kinds[point % kinds.length] as (typeof kinds)[number];
  const change = changes[random.below(changes.length)] as (typeof changes)[number];
  const names = filesOfKind(files, kind);
  const file = names[random.below(names.length)] as string;
  const bytes = Buffer.from(files.get(file) as Buffer);
  const at = random.below(Math.max(1, bytes.length));
  if (change === "gone") files.delete(file);
  else if (change === "cut") files.set(file, bytes.subarray(0, at));
  else if (change === "junk") files.set(file, Buffer.alloc(300, random.below(256)));
  else if (bytes.length > 0) {
    if (change === "flip") bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    else bytes.fill(0, at, Math.min(bytes.length, at + 1 + random.below(600)));
    files.set(file, bytes);
  }
  return { name: `${change} ${file} at ${at} of ${bytes.length}`, files };
}

async function heal(directory: string): Promise<LedgerStore> {
  // As at the second start: over some damage LevelDB ends the first one.
  const start = { directory, genesis, log: silentLog, execute: executeToys };
  const options = { ...start, hasCrashed: true };
  const store = await openRepaired(options);
  for (const input of inputs.slice(store.tip.height)) await store.append(input);
  return store;
}

async function problemsOf(directory: string): Promise<string[]> {
  const options = { directory, genesis, verifier: testVerifier, execute: executeToys };
  const { problems, validHeight } = await verifyChain(options);
  return validHeight === blockCount ? problems.map(({ detail }) => detail) : ["not all is valid"];
}

it(`heals ${pointCount} damaged directories`, async () => {
  console.log(`damage: ${pointCount} places; again: ${diskCommand}`);
  const random = new Random(diskSeed);
  for (let point = 0; point < pointCount; point += 1) {
    const { name, files } = damage(random, point);
    const directory = join(parent, `point-${point}`);
    placeFiles(directory, files);
    await atPoint(`point ${point}, ${name}`, async () => {
      await (await heal(directory)).close();
      // What a second start finds was left behind by the first.
      const again = await LedgerStore.open({ directory, genesis, log: silentLog });
      const { tip, state } = again;
      await again.close();
      const last = (inputs.at(-1) as AppendInput).block;
      expect([tip.hash, state.tree.root]).toEqual([last.hash, last.header.stateRoot]);
      expect(await problemsOf(directory)).toEqual([]);
    });
    for (const name of readdirSync(parent))
      if (name.startsWith(`point-${point}`)) rmSync(join(parent, name), { recursive: true });
  }
}, 900_000);

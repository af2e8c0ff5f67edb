/**
 * `npm run sim:mutants`: runs every mutant against the checkers in order until one finds it, and
 * prints what found it; see docs/TESTING.md. Ends with 0 when all are found, and nothing in the
 * unchanged code.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { readOptions, refuseOptions } from "../../../tools/options.mjs";
import { Random } from "../random.ts";
import { type Checker, checkers, root } from "./checkers.ts";
import type { Verdict } from "./core-check.ts";
import type { Mutant } from "./mutant.ts";
import { mutants } from "./table.ts";

/** What one checker said of one mutant, or of the unchanged code. */
type Row = {
  readonly mutant: string;
  readonly checker: string;
  readonly isFound: boolean;
  readonly after: string;
  readonly reason: string;
  readonly seconds: number;
};

const unchanged = "(unchanged code)";

/** Runs something with a folder beside the packages, which the bundles import. */
async function inFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const cache = `${root}/node_modules/.cache`;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(`${cache}/loopledger-mutant-`);
  try {
    return await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const controls = new Map<Checker, Promise<Verdict>>();

/** What a checker says of the unchanged code: if anything, what it says of mutants is worthless. */
function controlOf(checker: Checker): Promise<Verdict> {
  const known = controls.get(checker) ?? inFolder((folder) => checker.run(undefined, folder));
  controls.set(checker, known);
  return known;
}

/** Runs the checkers in order until one finds something, or all with `--every`. */
async function judge(mutant: Mutant | undefined): Promise<Row[]> {
  const rows: Row[] = [];
  for (const checker of checkers) {
    if (mutant !== undefined && !checker.sees(mutant.file)) continue;
    const row = await judgeBy(checker, mutant);
    rows.push(row);
    if (row.isFound && !values.every) break;
  }
  // What found nothing before another did is of no interest.
  return mutant === undefined || values.every ? rows : rows.slice(-1);
}

async function judgeBy(checker: Checker, mutant: Mutant | undefined): Promise<Row> {
  const startMs = performance.now();
  const run = (folder: string) => checker.run(mutant, folder);
  const { caught, after } = await (mutant ? inFolder(run) : controlOf(checker));
  const seconds = (performance.now() - startMs) / 1_000;
  const control = mutant && caught !== undefined ? await controlOf(checker) : undefined;
  const isSound = control?.caught === undefined;
  return {
    mutant: mutant?.name ?? unchanged,
    checker: checker.name,
    isFound: caught !== undefined && isSound,
    after: `${after} ${checker.unit}`,
    reason: isSound ? (caught ?? "") : `the unchanged code fails: ${control.caught}`,
    seconds,
  };
}

/** Chooses some at random, the most telling one always. */
function sampled(count: number, seed: number): readonly Mutant[] {
  const random = new Random(seed);
  const [first, ...rest] = mutants;
  const drawn = rest.map((mutant) => ({ mutant, place: random.next() }));
  drawn.sort((left, right) => left.place - right.place);
  return [first as Mutant, ...drawn.slice(0, count - 1).map(({ mutant }) => mutant)];
}

async function judgeAll(list: readonly (Mutant | undefined)[], show: (row: Row) => void) {
  const rows: Row[] = [];
  const waiting = list.values();
  const one = async () => {
    for (const mutant of waiting) {
      for (const row of await judge(mutant)) {
        rows.push(row);
        show(row);
      }
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, one));
  return rows;
}

function line({ mutant, checker, isFound, after, reason, seconds }: Row): string {
  const by = `${isFound ? "" : "not "}${checker}`;
  const columns = [mutant.padEnd(52), by.padEnd(23), after.padEnd(14), `${seconds.toFixed(1)} s`];
  return `${columns.join(" ")}  ${reason}`;
}

const values = readOptions({
  only: { type: "text" },
  sample: { type: "count", min: 1 },
  seed: { type: "count", default: 1 },
  every: { type: "flag" },
  json: { type: "flag" },
  list: { type: "flag" },
});

function chosen(): readonly (Mutant | undefined)[] {
  if (values.sample !== undefined) return sampled(values.sample, values.seed);
  if (values.only === undefined) return [undefined, ...mutants];
  if (values.only === unchanged) return [undefined];
  const { only } = values;
  const found = mutants.filter(({ name, file }) => name.includes(only) || file.includes(only));
  if (found.length === 0) refuseOptions(`--only ${only}: no mutant has that; --list shows all`);
  return found;
}

async function main(): Promise<boolean> {
  if (values.list) {
    for (const { name, file } of mutants) console.log(`${name.padEnd(60)} src/${file}`);
    return true;
  }
  const rows = await judgeAll(chosen(), (row) => values.json || console.log(line(row)));
  const names = [...new Set(rows.map(({ mutant }) => mutant))];
  const isFound = (name: string) => rows.some((row) => row.mutant === name && row.isFound);
  const wrong = names.filter((name) => isFound(name) === (name === unchanged));
  if (values.json) console.log(JSON.stringify(rows));
  else console.log(`${names.length - wrong.length} of ${names.length} as they must be`);
  for (const name of wrong) console.error(`not as it must be: ${name}`);
  return wrong.length === 0;
}

process.exitCode = (await main()) ? 0 : 1;

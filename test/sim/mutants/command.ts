/**
 * `npm run sim:mutants`: runs every mutant against the checkers in order until one finds it, and
 * prints what found it. Ends with 0 when all are found and the unchanged code passes everywhere.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Random } from "../random.ts";
import { type Checker, checkers } from "./checkers.ts";
import type { Mutant } from "./mutant.ts";
import { mutants } from "./table.ts";

/** How one mutant fared; `mutant` is absent for the unchanged code. */
type Row = {
  readonly mutant: string;
  readonly checker: string | undefined;
  readonly after: string;
  readonly reason: string;
  readonly seconds: number;
};

const unchanged = "(unchanged code)";

async function judge(mutant: Mutant | undefined): Promise<Row> {
  const startMs = performance.now();
  const folder = mkdtempSync(join(tmpdir(), "loopledger-mutant-"));
  const name = mutant?.name ?? unchanged;
  const passed: string[] = [];
  const row = (checker?: Checker, after = "", reason = ""): Row => {
    const seconds = (performance.now() - startMs) / 1_000;
    return { mutant: name, checker: checker?.name, after, reason, seconds };
  };
  try {
    for (const checker of checkers) {
      if (mutant !== undefined && !checker.sees(mutant.file)) continue;
      const { caught, after } = await checker.run(mutant, folder);
      if (caught !== undefined) return row(checker, `${after} ${checker.unit}`, caught);
      passed.push(`${after} ${checker.unit}`);
    }
    return row(undefined, passed.join(", "), "nothing found");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
      const row = await judge(mutant);
      rows.push(row);
      show(row);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, one));
  return rows;
}

function line({ mutant, checker, after, reason, seconds }: Row): string {
  const by = checker ?? (mutant === unchanged ? "passes" : "NOT FOUND");
  const columns = [mutant.padEnd(52), by.padEnd(19), after.padEnd(14), `${seconds.toFixed(1)} s`];
  return `${columns.join(" ")}  ${reason}`;
}

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    sample: { type: "string" },
    seed: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

function chosen(): readonly (Mutant | undefined)[] {
  if (values.sample !== undefined) return sampled(Number(values.sample), Number(values.seed));
  if (values.only === undefined) return [undefined, ...mutants];
  if (values.only === unchanged) return [undefined];
  const { only } = values;
  const found = mutants.filter(({ name, file }) => name.includes(only) || file.includes(only));
  if (found.length === 0) throw new Error(`no mutant "${values.only}"; --list shows all`);
  return found;
}

async function main(): Promise<boolean> {
  if (values.list) {
    for (const { name, file } of mutants) console.log(`${name.padEnd(60)} src/${file}`);
    return true;
  }
  const rows = await judgeAll(chosen(), (row) => values.json || console.log(line(row)));
  const isRight = (row: Row) => (row.mutant === unchanged) === (row.checker === undefined);
  const wrong = rows.filter((row) => !isRight(row));
  if (values.json) console.log(JSON.stringify(rows));
  else console.log(`${rows.length - wrong.length} of ${rows.length} as they must be`);
  return wrong.length === 0;
}

process.exitCode = (await main()) ? 0 : 1;

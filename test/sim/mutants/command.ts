/**
 * `npm run sim:mutants`: runs every mutant against the checkers in order until one finds it, and
 * prints what found it; see docs/TESTING.md. Ends with 0 when all are found, and nothing in the
 * unchanged code.
 */
import { readOptions, refuseOptions } from "../../../tools/options.mjs";
import { Random } from "../random.ts";
import { checkers } from "./checkers.ts";
import { judgeAll, type Row, unchanged } from "./judge.ts";
import type { Mutant } from "./mutant.ts";
import { mutants } from "./table.ts";

/** Chooses some at random, the most telling one always. */
function sampled(count: number, seed: number): readonly Mutant[] {
  const random = new Random(seed);
  const [first, ...rest] = mutants;
  const drawn = rest.map((mutant) => ({ mutant, place: random.next() }));
  drawn.sort((left, right) => left.place - right.place);
  return [first as Mutant, ...drawn.slice(0, count - 1).map(({ mutant }) => mutant)];
}

function line({ mutant, checker, isFound, isBreakdown, after, reason, seconds }: Row): string {
  const by = `${isFound ? (isBreakdown ? "breaks " : "") : "not "}${checker}`;
  const columns = [mutant.padEnd(52), by.padEnd(28), after.padEnd(14), `${seconds.toFixed(1)} s`];
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
  const show = (row: Row) => values.json || console.log(line(row));
  const rows = await judgeAll(chosen(), { checkers, every: values.every, show });
  const names = [...new Set(rows.map(({ mutant }) => mutant))];
  const isFound = (name: string) => rows.some((row) => row.mutant === name && row.isFound);
  const wrong = names.filter((name) => isFound(name) === (name === unchanged));
  const isTold = (name: string) =>
    rows.some((row) => row.mutant === name && row.isFound && !row.isBreakdown);
  const broken = names.filter((name) => isFound(name) && !isTold(name));
  const inAll = `${names.length - wrong.length} of ${names.length} as they must be`;
  if (values.json) console.log(JSON.stringify(rows));
  else console.log(`${inAll}, ${broken.length} of them seen only by what breaks down`);
  for (const name of wrong) console.error(`not as it must be: ${name}`);
  return wrong.length === 0;
}

process.exitCode = (await main()) ? 0 : 1;

/**
 * Holds mutants against the checkers, as many at a time as there are processors. What only broke
 * down is judged once more at the end, with nothing beside it: a busy machine is no finding.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { type Checker, root } from "./checkers.ts";
import type { Verdict } from "./core-check.ts";
import type { Mutant } from "./mutant.ts";

/** What one checker said of one mutant, or of the unchanged code. */
export type Row = {
  readonly mutant: string;
  readonly checker: string;
  readonly isFound: boolean;
  /** It, or the unchanged code, broke down, and nothing said what is wrong. */
  readonly isBreakdown: boolean;
  readonly after: string;
  readonly reason: string;
  readonly seconds: number;
};

/** Name of the row of what all checkers must pass. */
export const unchanged = "(unchanged code)";

/** Judges all. @returns All rows, each shown when it counts. */
export async function judgeAll(
  list: readonly (Mutant | undefined)[],
  options: {
    readonly checkers: readonly Checker[];
    /** Whether to go on after a finding. */
    readonly every: boolean;
    readonly show: (row: Row) => void;
  },
): Promise<Row[]> {
  const rows: Row[] = [];
  const judge = new Judge(options.checkers, options.every);
  const take = (counting: readonly Row[]) => {
    rows.push(...counting);
    for (const row of counting) options.show(row);
  };
  const broken: { readonly mutant: Mutant | undefined; readonly former: readonly Row[] }[] = [];
  const waiting = list.values();
  const one = async () => {
    for (const mutant of waiting) {
      const former = await judge.judge(mutant);
      if (former.some(({ isBreakdown }) => isBreakdown)) broken.push({ mutant, former });
      else take(former);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, one));
  for (const { mutant, former } of broken) take(await judge.judgeAgain(mutant, former));
  return rows;
}

class Judge {
  readonly #checkers: readonly Checker[];
  readonly #every: boolean;
  readonly #controls = new Map<Checker, Promise<Verdict>>();

  constructor(checkers: readonly Checker[], every: boolean) {
    this.#checkers = checkers;
    this.#every = every;
  }

  /** Runs the checkers in order until one finds something, or all. */
  async judge(mutant: Mutant | undefined, checkers = this.#checkers): Promise<Row[]> {
    const rows: Row[] = [];
    for (const checker of checkers) {
      if (mutant !== undefined && !checker.sees(mutant.file)) continue;
      const row = await this.#judgeBy(checker, mutant);
      rows.push(row);
      if ((row.isFound || row.isBreakdown) && !this.#every) break;
    }
    // What found nothing before another did is of no interest.
    return mutant === undefined || this.#every ? rows : rows.slice(-1);
  }

  /** Runs what broke down once more; where it finds nothing now, those after it have their turn. */
  async judgeAgain(mutant: Mutant | undefined, former: readonly Row[]): Promise<Row[]> {
    const rows: Row[] = [];
    for (const row of former) rows.push(row.isBreakdown ? await this.#again(row, mutant) : row);
    const last = rows.at(-1);
    if (this.#every || last === undefined || last.isFound) return rows;
    const place = this.#checkers.findIndex(({ name }) => name === last.checker);
    const later = await this.judge(mutant, this.#checkers.slice(place + 1));
    return mutant === undefined ? [...rows, ...later] : later.length > 0 ? later : rows;
  }

  async #again({ checker: name }: Row, mutant: Mutant | undefined): Promise<Row> {
    const checker = this.#checkers.find((each) => each.name === name) as Checker;
    const control = await this.#controls.get(checker);
    if (control?.isBreakdown) this.#controls.delete(checker);
    return this.#judgeBy(checker, mutant);
  }

  async #judgeBy(checker: Checker, mutant: Mutant | undefined): Promise<Row> {
    const startMs = performance.now();
    const run = (folder: string) => checker.run(mutant, folder);
    const verdict = await (mutant ? inFolder(run) : this.#controlOf(checker));
    const { caught, after } = verdict;
    const seconds = (performance.now() - startMs) / 1_000;
    const control = mutant && caught !== undefined ? await this.#controlOf(checker) : undefined;
    const isSound = control?.caught === undefined;
    return {
      mutant: mutant?.name ?? unchanged,
      checker: checker.name,
      isFound: caught !== undefined && isSound,
      isBreakdown: (isSound ? verdict : control).isBreakdown === true,
      after: `${after} ${checker.unit}`,
      reason: isSound ? (caught ?? "") : `the unchanged code fails: ${control.caught}`,
      seconds,
    };
  }

  /** What a checker says of the unchanged code: if anything, what it says of mutants is worthless. */
  #controlOf(checker: Checker): Promise<Verdict> {
    const run = (folder: string) => checker.run(undefined, folder);
    const known = this.#controls.get(checker) ?? inFolder(run);
    this.#controls.set(checker, known);
    return known;
  }
}

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

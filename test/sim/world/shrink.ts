/**
 * Looks for a shorter run that fails alike, by the same checker with the same words: first without whole kinds of faults, then
 * with less time, then without halves, quarters, ... of the actions. Each try is a full run, so
 * what it finds is exact; it is the shortest found, not the shortest there is.
 */
import type { Outcome } from "./outcome.ts";
import { type FaultKind, faultKinds, type Plan, reduced } from "./plan.ts";

/** What is cut out of the plan of a seed. */
export type Cuts = {
  readonly without: ReadonlySet<FaultKind>;
  /** Places of the actions that stay; `undefined` for all. */
  readonly actions: readonly number[] | undefined;
  readonly safetyMs: number | undefined;
};

/** Nothing cut. */
export const noCuts: Cuts = { without: new Set(), actions: undefined, safetyMs: undefined };

/** Returns the options of the command that runs a plan with cuts. */
export function cutOptions({ without, actions, safetyMs }: Cuts): string {
  const options = [
    without.size > 0 ? `--without ${[...without].join(",")}` : "",
    actions === undefined ? "" : `--actions ${actions.join(",") || "none"}`,
    safetyMs === undefined ? "" : `--safety-ms ${safetyMs}`,
  ];
  return options.filter((option) => option !== "").join(" ");
}

/**
 * Returns what a message says whenever the same thing fails: without numbers, hashes, names of nodes
 * and what follows about each of them.
 */
export function headOf(message: string): string {
  const [line = ""] = message.split("\n");
  return line
    .replace(/: \d+ (healthy|faulty|liar)\b.*| ?[;(].*/, "")
    .replace(/\b[0-9a-f]{8,}\b|\d+/g, "#")
    .replace(/#([ ,/]*#)+/g, "#");
}

function failureOf({ violation }: Outcome): string | undefined {
  return violation && `${violation.checker} ${headOf(violation.message)}`;
}

/**
 * Shrinks a failing plan.
 *
 * @param run - Runs a plan as the failing one was run.
 * @param triesMax - Runs at most.
 * @returns The cuts and the outcome of the shortest failing run found.
 */
export async function shrink(
  plan: Plan,
  failing: { readonly cuts: Cuts; readonly outcome: Outcome },
  { run, triesMax }: { readonly run: (plan: Plan) => Promise<Outcome>; readonly triesMax: number },
): Promise<{ readonly cuts: Cuts; readonly outcome: Outcome; readonly tries: number }> {
  const failure = failureOf(failing.outcome);
  let best = failing;
  let tries = 0;
  const attempt = async (cuts: Cuts): Promise<boolean> => {
    if (tries >= triesMax) return false;
    tries += 1;
    const outcome = await run(reduced(plan, cuts));
    if (failureOf(outcome) !== failure) return false;
    best = { cuts, outcome };
    return true;
  };
  for (const kind of faultKinds)
    await attempt({ ...best.cuts, without: new Set([...best.cuts.without, kind]) });
  const failedMs = best.outcome.violation?.atMs ?? plan.safetyMs;
  for (const share of [0.25, 0.5, 0.75, 1]) {
    const safetyMs = Math.ceil(Math.min(plan.safetyMs, failedMs) * share);
    if (await attempt({ ...best.cuts, safetyMs })) break;
  }
  await cutActions(plan, () => best.cuts, attempt);
  return { ...best, tries };
}

/** Leaves out pieces of the list of actions, ever smaller ones. */
async function cutActions(
  plan: Plan,
  current: () => Cuts,
  attempt: (cuts: Cuts) => Promise<boolean>,
): Promise<void> {
  const kept = () => {
    const { without, actions, safetyMs = plan.safetyMs } = current();
    const places = plan.actions.flatMap(({ kind, atMs }, place) =>
      without.has(kind) || atMs > safetyMs ? [] : [place],
    );
    return actions === undefined ? places : places.filter((place) => actions.includes(place));
  };
  for (let size = Math.ceil(kept().length / 2); size >= 1; size = size === 1 ? 0 : size >> 1)
    for (let start = 0; start < kept().length; ) {
      const places = kept();
      const actions = [...places.slice(0, start), ...places.slice(start + size)];
      if (!(await attempt({ ...current(), actions }))) start += size;
    }
}

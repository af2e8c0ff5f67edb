/**
 * Property: what breaks down beside other work counts only if it does so alone, too, and is told
 * apart from a finding. When it fails, a busy machine makes tests look better than they are.
 */
import { expect, it } from "vitest";
import { type Checker, testVerdict, verdictOf } from "./checkers.ts";
import type { Verdict } from "./core-check.ts";
import { judgeAll, type Row, unchanged } from "./judge.ts";
import type { Mutant } from "./mutant.ts";

const mutant = (name: string): Mutant => ({ name, file: "base/x.ts", replace: "a", by: "b" });
const broken: Verdict = { caught: "it never ends", isBreakdown: true, after: 1 };
const nothing: Verdict = { after: 9 };

/** A checker that says these one after the other of a mutant, the last one again and again. */
function checkerOf(name: string, said: Readonly<Record<string, readonly Verdict[]>>) {
  const running = { now: 0, atLast: 0 };
  const asked = new Map<string, number>();
  const run = async (of: Mutant | undefined): Promise<Verdict> => {
    const key = of?.name ?? unchanged;
    const times = asked.get(key) ?? 0;
    asked.set(key, times + 1);
    running.now += 1;
    running.atLast = running.now;
    await new Promise((resolve) => setImmediate(resolve));
    running.now -= 1;
    const verdicts = said[key] ?? [nothing];
    return verdicts[Math.min(times, verdicts.length - 1)] as Verdict;
  };
  const checker: Checker = { name, unit: "seeds", sees: () => true, run };
  return { checker, asked, running };
}

const judged = async (names: readonly string[], checkers: readonly Checker[], every = false) => {
  const shown: Row[] = [];
  const show = (row: Row) => shown.push(row);
  const rows = await judgeAll(
    names.map((name) => (name === unchanged ? undefined : mutant(name))),
    { checkers, every, show },
  );
  expect(shown).toEqual(rows);
  return rows.map(({ mutant: of, checker, isFound, isBreakdown }) =>
    [of, checker, isFound ? "found" : "not", isBreakdown ? "broken" : ""].join(" ").trim(),
  );
};

it("what breaks down counts only if it does so alone, too", async () => {
  const first = checkerOf("first", { busy: [broken, nothing], bad: [broken] });
  const second = checkerOf("second", { busy: [{ caught: "wrong", after: 2 }] });
  const names = ["busy", "bad", "good", "good too"];
  expect(await judged(names, [first.checker, second.checker])).toEqual([
    "good second not",
    "good too second not",
    "busy second found",
    "bad first found broken",
  ]);
  expect(Object.fromEntries(first.asked)).toMatchObject({ busy: 2, bad: 2, good: 1 });
  expect(first.running.atLast).toBe(1);
});

it("a breakdown of the unchanged code is looked at again, too", async () => {
  const first = checkerOf("first", {
    [unchanged]: [broken, nothing],
    bug: [{ caught: "wrong", after: 2 }],
  });
  expect(await judged(["bug"], [first.checker])).toEqual(["bug first found"]);
  const always = checkerOf("first", { [unchanged]: [broken], bug: [broken] });
  expect(await judged(["bug"], [always.checker])).toEqual(["bug first not broken"]);
  const second = checkerOf("second", {});
  expect(await judged([unchanged], [always.checker, second.checker])).toEqual([
    `${unchanged} first found broken`,
  ]);
});

it("with all checkers each row that broke down is run again", async () => {
  const first = checkerOf("first", { bug: [broken, nothing] });
  const second = checkerOf("second", { bug: [{ caught: "wrong", after: 2 }] });
  expect(await judged(["bug"], [first.checker, second.checker], true)).toEqual([
    "bug first not",
    "bug second found",
  ]);
});

it("a process that is late or says nothing breaks down", () => {
  const output = 'noise\n{"caught":"fork\\nmore","after":3}\n';
  expect(verdictOf({ output, isLate: false })).toEqual({ caught: "fork", after: 3 });
  expect(verdictOf({ output, isLate: true })).toMatchObject({ isBreakdown: true });
  expect(verdictOf({ output: "", isLate: false })).toMatchObject({ isBreakdown: true });
});

it("a test that fails is told apart from one that is late, or a file that does not load", () => {
  const file = (message: string, ...failures: readonly (readonly [string, string])[]) => ({
    name: "/x/test/unit/x.test.ts",
    message,
    assertionResults: [
      { status: "passed", fullName: "fine", failureMessages: [] },
      ...failures.map(([fullName, failure]) => ({
        status: "failed",
        fullName,
        failureMessages: [failure],
      })),
    ],
  });
  const late = ["late", "Error: Test timed out in 30000ms."] as const;
  const wrong = ["wrong", "AssertionError: expected 1 to be 2"] as const;
  const verdict = (...files: ReturnType<typeof file>[]) => testVerdict({ testResults: files });
  expect(verdict(file(""))).toEqual({ after: 1 });
  expect(verdict(file("", late, wrong))).toEqual({ caught: "unit/x: wrong", after: 1 });
  expect(verdict(file("", late))).toMatchObject({
    caught: "unit/x: late takes too long",
    isBreakdown: true,
  });
  expect(verdict(file("SyntaxError"))).toMatchObject({
    caught: "unit/x does not load",
    isBreakdown: true,
  });
});

/**
 * Property: the Twins runner covers all scenarios, each as if it were run alone, and can fail.
 *
 * When it fails: docs/TESTING.md tells how to replay a scenario by its number.
 * The exhaustive runs are in test/deep/twins.test.ts.
 */
import { describe, expect, it } from "vitest";
import { checkClaim, checkDecision } from "./checker.ts";
import { emptySummary, mergeInto, partsOf, runAll, runScenario, sampleOf } from "./explore.ts";
import { replay } from "./replay.ts";
import { TwinsRun } from "./run.ts";
import {
  partitionsOf,
  partitionText,
  scenarioCount,
  scenarioOf,
  type TwinsSetup,
} from "./scenario.ts";

const four: TwinsSetup = {
  validators: 4,
  twins: [0],
  rounds: 4,
  partitionsPerRound: 1,
  cut: "sets",
};

describe("the numbers of scenarios", () => {
  it("name each of the 65,536 once", () => {
    expect(scenarioCount(four)).toBe(65_536);
    for (const scenario of [0, 1, 4_711, 65_535])
      expect(scenarioOf(four, partitionsOf(four, scenario))).toBe(scenario);
    const sets = Array.from({ length: 16 }, (_, digit) => partitionText(four, digit));
    expect(new Set(sets).size).toBe(16);
    expect(sets[0]).toBe("A B C D A'");
    expect(sets[9]).toBe("A C D | B A'");
    expect(partitionText({ ...four, cut: "deaf" }, 9)).toBe("all hear but A D");
  });

  it("are refused where they would no longer be exact", () => {
    expect(() => sampleOf({ ...four, rounds: 5, partitionsPerRound: 3 }, 1, 1)).toThrow("too many");
  });
});

it("runs with a common beginning come out as each scenario does alone", () => {
  const setup = { ...four, rounds: 2 };
  const alone = emptySummary();
  for (let scenario = 0; scenario < scenarioCount(setup); scenario += 1)
    mergeInto(alone, runScenario(setup, scenario));
  const shared = emptySummary();
  for (const partitions of partsOf({ ...setup, rounds: 1 }))
    mergeInto(shared, runAll(setup, partitions));
  expect(shared.runs).toBeLessThan(alone.runs);
  expect({ ...shared, runs: 0 }).toEqual({ ...alone, runs: 0 });
  expect(alone).toMatchObject({ scenarios: 256, violations: 0, undecided: 0 });
});

it("one liar of four forks nobody and stops nobody, also where single nodes are deaf", () => {
  for (const cut of ["sets", "deaf"] as const) {
    const setup = { ...four, rounds: 3, partitionsPerRound: 3, cut } as const;
    const sum = emptySummary();
    for (const scenario of sampleOf(setup, 60, 7)) mergeInto(sum, runScenario(setup, scenario));
    expect(sum.failures, cut).toEqual([]);
    // A harness in which everybody agrees at once would find nothing.
    expect(sum.byRound.filter((count) => count > 0).length, cut).toBeGreaterThanOrEqual(3);
  }
});

it("two liars of four do fork, or this method would find nothing", () => {
  const setup = { ...four, twins: [0, 1] };
  const sum = emptySummary();
  for (const scenario of sampleOf(setup, 100, 7)) mergeInto(sum, runScenario(setup, scenario));
  expect(sum.failures.some(({ reason }) => reason.startsWith("fork"))).toBe(true);
  const [first] = sum.failures;
  expect(replay(setup, first?.scenario ?? -1).at(-1)).toContain("UNSAFE: fork");
});

describe("the checkers find", () => {
  /** A scenario that is over, to be spoilt. */
  function finished(): TwinsRun {
    const run = new TwinsRun(four);
    run.partitions.fill(0);
    expect(run.advance()).toBeUndefined();
    return run;
  }
  type Part = NonNullable<TwinsRun["decided"][number]>;
  const spoil = (run: TwinsRun, change: (decided: Part) => Part) => {
    run.decided[1] = change(run.decided[1] as Part);
    return () => checkDecision(run, 1);
  };

  it("another block than the others decided", () => {
    const other = (part: Part) => ({ ...part, block: { ...part.block, hash: "another" } });
    expect(spoil(finished(), other)).toThrow("fork");
  });

  it("a certificate that is short, of another round, or of votes that were never cast", () => {
    const change = (of: (part: Part["certificate"]) => Partial<Part["certificate"]>) => {
      return (part: Part) => ({
        ...part,
        certificate: { ...part.certificate, ...of(part.certificate) },
      });
    };
    const run = finished();
    expect(() => checkDecision(run, 1)).not.toThrow();
    expect(
      spoil(
        finished(),
        change((of) => ({ signatures: of.signatures.slice(1) })),
      ),
    ).toThrow("signers");
    expect(
      spoil(
        finished(),
        change(({ signatures }) => ({ signatures: [...signatures, ...signatures] })),
      ),
    ).toThrow("signers");
    expect(
      spoil(
        finished(),
        change(() => ({ round: 1 })),
      ),
    ).toThrow("for round 1");
    for (const index of run.keys.keys())
      run.claims[index] = run.claims[index]?.filter(({ kind }) => kind !== "commit") ?? [];
    expect(() => checkDecision(run, 1)).toThrow("never signed");
  });

  it("a claim that is signed twice or goes back", () => {
    const claim = { kind: "prepare", height: 1, round: 1, blockHash: "x" } as const;
    expect(() => checkClaim([claim], { ...claim, blockHash: "y" })).toThrow("after");
    expect(() => checkClaim([claim], { ...claim, round: 0 })).toThrow("after");
    expect(() => checkClaim([claim], { ...claim, kind: "commit" })).not.toThrow();
  });
});

/**
 * Properties of the executable model of the protocol (test/model): no two blocks can be decided at
 * one height whatever one liar of four does, a decision stays within reach, the changed rules that
 * must break either do, and the real cores do nothing that the model does not allow.
 *
 * Method: exhaustive search of small settings, and traces of simulated clusters fixed by seeds that
 * a failure prints. `npm run model` explores much more. When a trace is refused, the message names
 * the step and the rule: either the core breaks it, or the rules changed and the model must follow.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { seedOf } from "../helpers/seed.ts";
import {
  exploreRounds,
  keyOfSummary,
  movesOfRounds,
  type RoundSetting,
  summaryOf,
} from "../model/by-round.ts";
import { checkTrace, type TraceEntry } from "../model/conformance.ts";
import { explore, play } from "../model/explore.ts";
import { failure15 } from "../model/failure-15.ts";
import { canDecide } from "../model/liveness.ts";
import { deadChanges, unsafeChanges } from "../model/mutants.ts";
import { decidedValues } from "../model/rules.ts";
import { runKinds, tracedRun } from "../model/runs.ts";
import { canonical, poolOf, type Setting, settingOf } from "../model/state.ts";
import { type Protocol, protocolOf } from "../model/types.ts";

/** Two rounds of four validators, of whom 2 lies: it proposes in none of them. */
const twoRounds = (change: Partial<Protocol> = {}): Setting =>
  settingOf({ protocol: protocolOf(4, change), liars: 0b0100, roundCount: 2 });

/** Rounds without end, a liar proposes in all of them. */
const anyRounds = (change: Partial<Protocol> = {}): RoundSetting => ({
  protocol: protocolOf(4, { proposerAt: () => 3, ...change }),
  liars: 0b1000,
  valueCount: 2,
  withRanks: true,
});

/** Proposers in turn, validator 3 lies. */
const inTurn = (change: Partial<Protocol> = {}): RoundSetting => ({
  ...anyRounds(),
  protocol: protocolOf(4, change),
  withRanks: false,
});

const twoRoundsExplored = explore(twoRounds());

it("the model is stated apart from the product", () => {
  const files = ["types", "rules", "state", "explore", "by-round", "liveness", "proposer-order"];
  const imports = files.flatMap((file) => {
    const text = readFileSync(new URL(`../model/${file}.ts`, import.meta.url), "utf8");
    return [...text.matchAll(/from "([^"]+)"/g)].map(([, path]) => path);
  });
  expect(imports.filter((path) => !path?.startsWith("./"))).toEqual([]);
});

describe("agreement", () => {
  it("holds in every interleaving of two rounds", () => {
    const { stateCount, decidedCount, isComplete, fork } = twoRoundsExplored;
    expect({ isComplete, fork }).toEqual({ isComplete: true, fork: undefined });
    expect(stateCount).toBe(3_034);
    expect(decidedCount).toBe(1_650);
  });

  it("holds in any number of rounds", () => {
    const { isComplete, fork, stateCount } = exploreRounds(anyRounds());
    expect({ isComplete, fork, stateCount }).toEqual({
      isComplete: true,
      fork: undefined,
      stateCount: 932,
    });
  });

  it.each(unsafeChanges)("is lost with $name, in $rounds rounds", ({ change, rounds }) => {
    expect(exploreRounds(anyRounds(change)).fork).toHaveLength(rounds);
    if (rounds <= 2) expect(explore(twoRounds(change)).fork).toBeDefined();
  });

  it("is lost with two liars of four", () => {
    expect(exploreRounds({ ...anyRounds(), liars: 0b1100 }).fork).toBeDefined();
  });
});

describe("commits of different rounds that add up", () => {
  const dropped = { commitCoversRound: false };

  it("fork within four rounds, not within three, and never when the round is signed", () => {
    expect(exploreRounds(inTurn(dropped), 3).fork).toBeUndefined();
    expect(exploreRounds(inTurn(dropped), 4).fork).toHaveLength(4);
    expect(exploreRounds(inTurn(), 4).fork).toBeUndefined();
  });

  it("fork by moves that are all allowed: those that are found, and those that are known", () => {
    const { fork = [] } = exploreRounds(inTurn(dropped), 4);
    for (const rounds of [fork, failure15])
      for (const change of [dropped, {}]) {
        const scope = { protocol: protocolOf(4, change), liars: 0b1000, roundCount: 4 };
        const setting = settingOf(scope);
        const pool = poolOf(setting, play(setting, movesOfRounds(inTurn(change), rounds)));
        expect(decidedValues(scope.protocol, pool)).toHaveLength(change === dropped ? 2 : 1);
      }
  });
});

describe("a decision", () => {
  const states = [...twoRoundsExplored.states.all()].filter((_, index) => index % 7 === 0);

  it("is within reach of the honest validators from every sampled state", () => {
    expect(states.filter((state) => !canDecide(twoRounds(), state))).toEqual([]);
  });

  it.each(deadChanges)("is out of reach somewhere with $name", ({ change }) => {
    const protocol = protocolOf(4, change);
    const setting = settingOf({ protocol, liars: 1, roundCount: 2, withoutSymmetry: true });
    const reached = explore(setting);
    expect(reached.fork).toBeUndefined();
    expect([...reached.states.all()].some((state) => !canDecide(setting, state))).toBe(true);
  });
});

describe("reductions", () => {
  const plain = settingOf({ ...twoRounds(), withoutSymmetry: true });
  const plainStates = [...explore(plain).states.all()];

  it("by symmetry lose no state", () => {
    const reduced = new Set(plainStates.map((state) => canonical(twoRounds(), state)));
    expect(reduced).toEqual(new Set(twoRoundsExplored.states.all()));
  });

  it("by rounds reach what single moves reach", () => {
    const setting = { ...inTurn(), liars: 0b0100 };
    const summaries = plainStates.map((state) => keyOfSummary(summaryOf(plain, state, 2)));
    const { summaries: byRound } = exploreRounds(setting, 2);
    const ended = [...byRound].filter((key) => key.startsWith("round 2"));
    expect(new Set(summaries)).toEqual(new Set(ended));
  });

  it("by leaving out jumps hide no fork", () => {
    const jumping = explore(settingOf({ ...twoRounds(), withJumps: true }));
    expect(jumping.fork).toBeUndefined();
    expect(jumping.stateCount).toBeGreaterThan(twoRoundsExplored.stateCount);
  });
});

describe("traces of real cores", () => {
  const seed = seedOf(0);

  it.each(runKinds)(`of %s runs are behaviours of the model (seed ${seed})`, (kind) => {
    // It throws, with the step and the reason, when the model does not allow one.
    const { counts } = tracedRun(kind, seed).checker;
    expect(counts.commit, `${kind} run of seed ${seed} commits`).toBeGreaterThan(0);
  });

  const { setting, trace } = tracedRun("disturbed", 3);
  type Sign = Extract<TraceEntry, { kind: "sign" }>;
  const isSign = (entry: TraceEntry, kind: string): entry is Sign =>
    entry.kind === "sign" && entry.claim.kind === kind;
  const without = (isLost: (entry: TraceEntry) => boolean) =>
    trace.filter((entry) => !isLost(entry));
  const received = (kind: string) => (entry: TraceEntry) =>
    entry.kind === "receive" && entry.message.kind === kind;

  it("are accepted as they are", () => {
    expect(checkTrace(setting, trace).decide).toBeGreaterThan(0);
  });

  it("are refused with a commit whose prepares never came", () => {
    const check = () => checkTrace(setting, without(received("prepare")));
    expect(check).toThrow("there is no quorum of prepares");
  });

  it("are refused with a vote for a proposal that never came", () => {
    const check = () => checkTrace(setting, without(received("proposal")));
    expect(check).toThrow("no justified proposal of the round has that value");
  });

  it("are refused with a decision on commits that never came", () => {
    const check = () => checkTrace(setting, without(received("commit")));
    expect(check).toThrow("without a quorum of commits");
  });

  it("are refused with a second vote in one slot", () => {
    const place = trace.findIndex((entry) => isSign(entry, "prepare"));
    const vote = trace[place] as Sign;
    const claim = { ...vote.claim, blockHash: "ab".repeat(32) } as Sign["claim"];
    const twice = trace.toSpliced(place + 1, 0, { ...vote, claim });
    expect(() => checkTrace(setting, twice)).toThrow("ascend by round and kind");
  });

  it("are refused when a round change conceals the prepared block", () => {
    const { setting, trace } = tracedRun("liar", 0);
    const concealed = trace.map((entry) => {
      if (!isSign(entry, "roundChange") || entry.claim.kind !== "roundChange") return entry;
      return { ...entry, claim: { ...entry.claim, prepared: undefined } };
    });
    expect(() => checkTrace(setting, concealed)).toThrow("something else than it prepared");
  });
});

/**
 * `npm run model`, bundled by run.mjs: the full exploration with figures. Exit code 1 if a fork is
 * found where none may be, or none where the rules were changed for the worse. What does not fit
 * into the time is reported with the bound that was reached.
 */
import { readOptions } from "../../tools/options.mjs";
import { exploreRounds, movesOfRounds, type RoundSetting } from "./by-round.ts";
import { type Exploration, explore, play } from "./explore.ts";
import { failure15 } from "./failure-15.ts";
import { canDecide } from "./liveness.ts";
import { unsafeChanges } from "./mutants.ts";
import { decidedValues } from "./rules.ts";
import { poolOf, type Scope, type Setting, settingOf } from "./state.ts";
import { type Protocol, protocolOf, textOf } from "./types.ts";

const { minutes } = readOptions({ minutes: { type: "count", default: 10 } });
const endMs = performance.now() + minutes * 60_000;
const secondsSince = (startMs: number) => ((performance.now() - startMs) / 1_000).toFixed(1);
let failures = 0;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function expect(holds: boolean, claim: string): void {
  if (holds) return;
  failures += 1;
  print(`FAILED: ${claim}`);
}

/** Explores action by action and prints one line. */
function exploreActions(name: string, scope: Scope): { setting: Setting; found: Exploration } {
  const startMs = performance.now();
  const setting = settingOf(scope);
  const found = explore(setting, { isOver: () => performance.now() > endMs });
  const { stateCount, decidedCount, depth, isComplete, fork } = found;
  const end = fork ? `FORK in ${fork.length} moves` : isComplete ? "complete" : "time is over";
  print(
    `${name}: ${stateCount} states, ${decidedCount} with a decision, depth ${depth}, ${end}, ${secondsSince(startMs)} s`,
  );
  return { setting, found };
}

/** Explores round by round and prints one line. */
function exploreByRound(name: string, setting: RoundSetting, roundsMax?: number) {
  const startMs = performance.now();
  const found = exploreRounds(setting, roundsMax);
  const { stateCount, roundCount, fork } = found;
  const end = fork
    ? `FORK in ${fork.length} rounds`
    : `complete, the last new ones after ${roundCount - 1} rounds`;
  print(`${name}: ${stateCount} states, ${end}, ${secondsSince(startMs)} s`);
  return found;
}

/** The liar, the last validator, proposes in every round: whoever proposes could do no more. */
function unbounded(validatorCount: number, change: Partial<Protocol> = {}): RoundSetting {
  const liar = validatorCount - 1;
  const protocol = protocolOf(validatorCount, { proposerAt: () => liar, ...change });
  return { protocol, liars: 1 << liar, valueCount: 2, withRanks: true };
}

function exploreAnyRounds(): void {
  print("\nRound by round, any number of rounds, the liar proposes in all of them");
  for (const validatorCount of [4, 5]) {
    const found = exploreByRound(`n = ${validatorCount}`, unbounded(validatorCount));
    expect(found.fork === undefined, `agreement for n = ${validatorCount}`);
  }
  const threeValues = exploreByRound("n = 4, three values", { ...unbounded(4), valueCount: 3 });
  expect(threeValues.fork === undefined, "agreement with three values");
}

function exploreChangedRules(): void {
  print("\nChanged rules, each of which must fork");
  for (const { name, change, rounds } of unsafeChanges) {
    const fork = exploreByRound(name, unbounded(4, change)).fork;
    expect(fork?.length === rounds, `${name} forks within ${rounds} rounds`);
  }
}

function exploreFourRounds(): void {
  print("\nFour rounds, proposers in turn, validator 3 lies, commits of different rounds add up");
  const setting = (commitCoversRound: boolean): RoundSetting => ({
    protocol: protocolOf(4, { commitCoversRound }),
    liars: 0b1000,
    valueCount: 2,
    withRanks: false,
  });
  const fork = exploreByRound("round not in the signature", setting(false), 4).fork;
  expect(fork !== undefined, "four rounds fork when commits of different rounds add up");
  const kept = exploreByRound("round in the signature", setting(true), 4);
  expect(kept.fork === undefined, "four rounds agree");
  const scope = { protocol: setting(false).protocol, liars: 0b1000, roundCount: 4 };
  for (const rounds of [fork ?? [], failure15]) {
    const moves = movesOfRounds(setting(false), rounds);
    const pool = poolOf(settingOf(scope), play(settingOf(scope), moves));
    const decided = decidedValues(scope.protocol, pool);
    expect(decided.length === 2, "the moves of the fork are allowed and fork");
  }
  const moves = movesOfRounds(setting(false), failure15);
  for (const { validator, claim } of moves) print(`  validator ${validator}: ${textOf(claim)}`);
}

function exploreBounded(): void {
  print("\nAction by action, every interleaving, n = 4, one liar");
  const protocol = protocolOf(4);
  const scopes = (roundCount: number, liar: number) => ({ protocol, liars: 1 << liar, roundCount });
  for (const liar of [0, 1, 2]) {
    const withAll = { withJumps: true, withoutSymmetry: true };
    const scope = { ...scopes(2, liar), ...withAll };
    const { found } = exploreActions(
      `2 rounds, validator ${liar} lies, with jumps and without symmetry`,
      scope,
    );
    expect(found.fork === undefined, "agreement");
  }
  for (const [rounds, liar] of [2, 3, 4].flatMap((of) => [0, 1, 2].map((who) => [of, who]))) {
    if (performance.now() > endMs) continue;
    const name = `${rounds} rounds, validator ${liar} lies`;
    const { setting, found } = exploreActions(name, scopes(rounds as number, liar as number));
    expect(found.fork === undefined, `agreement: ${name}`);
    if (rounds === 4) continue;
    const startMs = performance.now();
    let stuck = 0;
    for (const state of found.states.all()) if (!canDecide(setting, state)) stuck += 1;
    expect(stuck === 0, `${stuck} states of these lead to no decision`);
    print(`  from all of them the honest validators alone can decide, ${secondsSince(startMs)} s`);
  }
}

exploreAnyRounds();
exploreChangedRules();
exploreFourRounds();
exploreBounded();
print(failures === 0 ? "\nall as it must be" : `\n${failures} failures`);
process.exitCode = failures === 0 ? 0 : 1;

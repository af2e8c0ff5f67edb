/** Tells one scenario as a log that can be read. */
import type { ConsensusEvent, Effect } from "../../../src/consensus/event.ts";
import { TwinsRun } from "./run.ts";
import { instanceNames, partitionsOf, partitionText, type TwinsSetup } from "./scenario.ts";

type Told = ConsensusEvent | Effect;

/** Returns the log of a scenario, line by line: partitions, all that moved, and the outcome. */
export function replay(setup: TwinsSetup, scenario: number): readonly string[] {
  const names = instanceNames(setup);
  const lines = partitionsOf(setup, scenario).map((partition, place) => {
    const part = setup.partitionsPerRound === 1 ? "" : `, part ${place % setup.partitionsPerRound}`;
    const round = Math.floor(place / setup.partitionsPerRound);
    return `round ${round}${part}: ${partitionText(setup, partition)}`;
  });
  const run = new TwinsRun(setup);
  for (const [place, partition] of partitionsOf(setup, scenario).entries())
    run.partitions[place] = partition;
  run.observe = ({ atMs, index, what }) => {
    const told = tell(what);
    if (told !== undefined)
      lines.push(`${String(atMs).padStart(6)} ${names[index]?.padEnd(3)}${told}`);
  };
  lines.push(outcomeOf(run, names));
  return lines;
}

function outcomeOf(run: TwinsRun, names: readonly string[]): string {
  try {
    run.advance();
  } catch (error) {
    return `UNSAFE: ${error instanceof Error ? error.message : String(error)}`;
  }
  const missing = run.honest.filter((index) => run.decided[index] === undefined);
  if (missing.length > 0)
    return `NOT LIVE: ${missing.map((index) => names[index]).join(" ")} decided nothing`;
  const hash = run.decided[run.honest[0] ?? 0]?.block.hash;
  return `all honest instances decided "${hash}"`;
}

function tell(what: Told): string | undefined {
  switch (what.kind) {
    case "message": {
      const { kind, round, validator } = what.message;
      return `hears ${kind} ${round} of ${validator}`;
    }
    case "sign": {
      const { claim } = what;
      const { prepared } = claim.kind === "roundChange" ? claim : { prepared: undefined };
      const block = claim.kind === "roundChange" ? prepared?.blockHash : claim.blockHash;
      const about = block === undefined ? "" : ` for "${block}"`;
      return `signs ${claim.kind} ${claim.round}${about}`;
    }
    case "checked":
      return what.valid ? undefined : `finds "${what.blockHash}" invalid`;
    case "decide":
      return `decides "${what.block.hash}" by commits of round ${what.certificate.round}`;
    case "appended":
      return `appends "${what.tip.hash}"`;
    case "timeout":
      return `times out in round ${what.round}`;
    default:
      return undefined;
  }
}

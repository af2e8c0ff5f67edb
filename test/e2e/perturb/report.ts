/** Tables of what runs of plans found out, for people. */
import type { Recovery } from "./recovery.ts";
import type { PlanReport } from "./run-plan.ts";

/**
 * Returns one line a plan (times to the next block since the end of perturbations, and in brackets
 * since a quorum answered), and one with all together if there are several.
 */
export function reportText(reports: readonly PlanReport[]): string {
  const lines = reports.map(
    ({ name, links, seconds, blocks, final, recoveries }) =>
      `plan ${name} by ${links}: ${seconds.toFixed(0)} s, ${blocks} blocks, ${final} final, ` +
      `next block after ${recoveries.map(textOf).join(", ")} ms`,
  );
  if (reports.length < 2) return lines.join("\n");
  const all = reports.flatMap(({ recoveries }) => recoveries);
  const sum = (of: (report: PlanReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  const total =
    `${reports.length} plans, ${(sum(({ seconds }) => seconds) / 60).toFixed(1)} minutes, ` +
    `${sum(({ blocks }) => blocks)} blocks, ${sum(({ final }) => final)} final, ` +
    `${all.length} recoveries: ${spread(all.map(({ sinceEndMs }) => sinceEndMs))} after the end, ` +
    `${spread(all.map(({ sinceQuorumMs }) => sinceQuorumMs))} after a quorum answered`;
  return [...lines, total].join("\n");
}

function textOf({ sinceEndMs, sinceQuorumMs }: Recovery): string {
  return `${sinceEndMs} (${sinceQuorumMs})`;
}

function spread(list: readonly number[]): string {
  const sorted = list.toSorted((left, right) => left - right);
  return `median ${sorted[sorted.length >> 1]} ms, longest ${sorted.at(-1)} ms`;
}

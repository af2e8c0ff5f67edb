/** Tables of what runs of plans found out, for people. */
import type { PlanReport } from "./run-plan.ts";

/** Returns one line a plan, and one with all together if there are several. */
export function reportText(reports: readonly PlanReport[]): string {
  const lines = reports.map(
    ({ name, links, seconds, blocks, final, recoveriesMs }) =>
      `plan ${name} by ${links}: ${seconds.toFixed(0)} s, ${blocks} blocks, ${final} final, ` +
      `next block after ${recoveriesMs.join(" ")} ms`,
  );
  if (reports.length < 2) return lines.join("\n");
  const all = reports.flatMap(({ recoveriesMs }) => recoveriesMs).sort((a, b) => a - b);
  const sum = (of: (report: PlanReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  const total =
    `${reports.length} plans, ${(sum(({ seconds }) => seconds) / 60).toFixed(1)} minutes, ` +
    `${sum(({ blocks }) => blocks)} blocks, ${sum(({ final }) => final)} final, ` +
    `${all.length} recoveries: median ${all[all.length >> 1]} ms, longest ${all.at(-1)} ms`;
  return [...lines, total].join("\n");
}

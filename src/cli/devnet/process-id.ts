/**
 * Tells a process from a later one with the same number: by its start time. A devnet ends only
 * processes that it started itself, however old its files are.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** A process at a time. */
export type ProcessId = { readonly pid: number; readonly startedAt: string };

/** Returns when a process was started, in the system's own terms; `undefined` when it has ended. */
export function startTimeOf(pid: number): string | undefined {
  return process.platform === "linux" ? linuxStartTime(pid) : otherStartTime(pid);
}

/** Tells whether a process still runs. */
export function isRunning({ pid, startedAt }: ProcessId): boolean {
  // A process that could not be started has neither number nor time.
  return typeof startedAt === "string" && startTimeOf(pid) === startedAt;
}

/** Sends a signal if the process still runs; answers whether it did. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): boolean {
  if (!isRunning(id)) return false;
  try {
    return process.kill(id.pid, signal);
  } catch {
    return false;
  }
}

function linuxStartTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The second field is the program's name in brackets and may hold anything, brackets too.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const isDead = fields[0] === "Z" || fields[0] === "X";
  return isDead ? undefined : fields[19];
}

function otherStartTime(pid: number): string | undefined {
  try {
    const text = execFileSync("ps", ["-o", "lstart=", "-p", `${pid}`], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}

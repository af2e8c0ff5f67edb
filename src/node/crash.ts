/**
 * The end of a process whose invariants do not hold: what happened is logged, the exit code is 70.
 * Nothing else is tried, because a node that is wrong about itself must not sign anything more.
 * Disk and signing record are made for being killed at any moment.
 *
 * A supervisor starts the node again. When that happens over and over, the node stays up but does
 * not vote and says why, so that operators find it answering instead of flickering:
 * `recentCrashes` counts for that. One line with the time a crash, in a file beside the ledger.
 *
 * A process may also end without a word: killed, without power, or by an abort within LevelDB over
 * a damaged file. A second file beside the ledger is there as long as a node has it open, so the
 * next start knows and looks more closely.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isLedgerError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";

/** Exit code of a broken invariant (sysexits: internal software error). */
const crashExitCode = 70;

/** As many crashes within `crashWindowMs` make the node stop voting. */
export const crashesMax = 3;
const crashWindowMs = 10 * 60_000;

/** Where crashes end; a real process has the real ones. */
type CrashEnd = {
  exit(code: number): void;
  nowMs(): number;
};

const realEnd: CrashEnd = { exit: (code) => process.exit(code), nowMs: () => Date.now() };

/**
 * From now on an uncaught error or an unhandled rejection ends the process.
 *
 * @param journalFile - Where the time of the crash is noted.
 * @returns What takes the handlers off again.
 */
export function endOnBrokenInvariant(
  { log, journalFile }: { readonly log: Log; readonly journalFile: string },
  end: CrashEnd = realEnd,
): () => void {
  const onError = (error: unknown) => {
    try {
      log.error({ error: described(error) }, "broken invariant: the node ends");
      note();
    } finally {
      end.exit(crashExitCode);
    }
  };
  const note = () => {
    try {
      appendFileSync(journalFile, `${end.nowMs()}\n`);
    } catch (cause) {
      const facts = { journalFile, error: described(cause) };
      log.error(facts, "this crash could not be noted: it does not count");
    }
  };
  // A rejection that nobody handles arrives here, too, as long as no handler of its own is set.
  process.on("uncaughtException", onError);
  return () => process.removeListener("uncaughtException", onError);
}

/** Returns where the crashes of a node are noted: beside its ledger, which may be wiped. */
export function crashJournalOf({ ledgerDirectory }: { readonly ledgerDirectory: string }): string {
  return `${ledgerDirectory}.crashes`;
}

/**
 * Notes that a node has its ledger open.
 *
 * @returns Whether the last one ended without `endOrderly`, and that.
 */
export function noteRunning({ ledgerDirectory }: { readonly ledgerDirectory: string }): {
  readonly hasCrashed: boolean;
  readonly endOrderly: () => void;
} {
  const file = `${ledgerDirectory}.running`;
  const hasCrashed = existsSync(file);
  try {
    writeFileSync(file, "");
  } catch {
    // A node that cannot write here says so at its first block; the mark is only a help.
  }
  return { hasCrashed, endOrderly: () => rmSync(file, { force: true }) };
}

/** Counts the crashes that `endOnBrokenInvariant` noted in the last ten minutes. */
export function recentCrashes(journalFile: string, nowMs: number = Date.now()): number {
  let text: string;
  try {
    text = readFileSync(journalFile, "utf8");
  } catch {
    return 0;
  }
  // One of the future is from a clock that was wrong, or a line that was cut short: it would
  // count for ever.
  const isRecent = (atMs: number) => atMs > nowMs - crashWindowMs && atMs <= nowMs + crashWindowMs;
  const recent = text.split("\n").filter((line) => isRecent(Number(line)));
  // Old crashes tell nothing any more; without this the file would only grow.
  if (recent.length === 0) rmSync(journalFile, { force: true });
  return recent.length;
}

/**
 * Tells whether an error of the start says that the program is wrong: neither what is refused with
 * a code, nor what the system says of a file or a port. Whoever meets it surfaces it.
 */
export function isBrokenInvariant(error: unknown): boolean {
  const isOfSystem = error instanceof Error && "syscall" in error;
  return !isLedgerError(error) && !isOfSystem;
}

/** Brings an error past all handlers to the top of the process. */
export function surface(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

function described(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}

/**
 * The terminal as commands see it: results on stdout, everything else on stderr. With `--json`
 * stdout carries JSON only, one value a line, so that it can be piped.
 */
import { setMaxListeners } from "node:events";
import { SingleBar } from "cli-progress";
import type { PassphraseSources } from "../node/passphrase.ts";

/** A growing count, of a total that may become known later. `done` wipes the bar. */
type Progress = { update(value: number, total?: number): void; done(): void };

/** What commands use instead of `process` and `console`. */
export type Terminal = {
  /** Whether `--json` was given. */
  readonly isJson: boolean;
  /** Prints a result: `value` with `--json`, else `text`. */
  result(value: unknown, text: string): void;
  /** Tells people what goes on, on stderr. */
  note(text: string): void;
  /** A bar on stderr if that is a terminal; nothing otherwise. */
  progress(label: string, total: number): Progress;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** For a passphrase that nobody gave otherwise. */
  readonly prompt: NonNullable<PassphraseSources["terminal"]>;
  /** Aborts at Ctrl-C or SIGTERM. From the first call on these no longer end the process. */
  interruption(): AbortSignal;
  /** Whether that has happened. */
  isInterrupted(): boolean;
};

/** The streams that a terminal writes to. */
export type Streams = {
  readonly out: Pick<NodeJS.WriteStream, "write">;
  readonly err: Pick<NodeJS.WriteStream, "write"> & { readonly isTTY?: boolean | undefined };
};

/** Makes the terminal of this process. */
export function processTerminal(isJson: boolean, streams: Streams = defaultStreams()): Terminal {
  const { out, err } = streams;
  let signal: AbortSignal | undefined;
  let barCount = 0;
  const openBar = (label: string, total: number): Progress => {
    const opened = bar(label, total);
    barCount += 1;
    return {
      ...opened,
      done: () => {
        barCount -= 1;
        opened.done();
      },
    };
  };
  return {
    isJson,
    result: (value, text) => {
      out.write(`${isJson ? JSON.stringify(value) : text}\n`);
    },
    note: (text) => {
      // A bar draws itself again below the note.
      err.write(`${barCount > 0 ? clearLine : ""}${text}\n`);
    },
    progress: (label, total) => (err.isTTY === true ? openBar(label, total) : silentBar),
    environment: process.env,
    prompt: {
      input: process.stdin,
      write: (text) => {
        err.write(text);
      },
      question: "Passphrase: ",
    },
    interruption: () => {
      signal ??= abortOnSignals();
      return signal;
    },
    isInterrupted: () => signal?.aborted === true,
  };
}

function defaultStreams(): Streams {
  endWithReader(process.stdout);
  endWithReader(process.stderr);
  return { out: process.stdout, err: process.stderr };
}

/** `| head` has read enough and gone: that is the end, and nothing to print a stack trace about. */
function endWithReader(stream: NodeJS.WriteStream): void {
  if (stream.listenerCount("error") > 0) return;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(1);
    throw error;
  });
}

function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  // One signal ends many requests at once, and each listens.
  setMaxListeners(256, controller.signal);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => controller.abort());
  return controller.signal;
}

/** To the start of the line, and wipe it. */
const clearLine = "\r\u001b[K";

const silentBar: Progress = { update() {}, done() {} };

function bar(label: string, total: number): Progress {
  const format = `${label.padEnd(12)} {bar} {percentage}% {value}/{total}`;
  const single = new SingleBar({
    format,
    stream: process.stderr,
    clearOnComplete: true,
    barCompleteChar: "#",
    barIncompleteChar: "-",
    hideCursor: true,
  });
  single.start(total, 0);
  return {
    update: (value, newTotal) => {
      if (newTotal !== undefined) single.setTotal(newTotal);
      single.update(value);
    },
    done: () => single.stop(),
  };
}

/** Lays out rows as columns: numbers to the right, text to the left. */
export function columns(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, index) => Math.max(...all.map((row) => (row[index] ?? "").length)));
  const isNumber = head.map(
    (_, index) => rows.length > 0 && rows.every((row) => /^-?[\d.,]*$/.test(row[index] ?? "")),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return isNumber[index] ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return all.map(line).join("\n");
}

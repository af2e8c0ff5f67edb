/**
 * How many bytes the ledger has on disk: the lengths of the files in its directory, asked one after
 * the other, so that nothing waits for it, and seldom. What was put aside (`lost/`) is not counted.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Cancel, realTimers, type Timers } from "./timers.ts";

const lookMs = 60_000;

/** Measures a directory from time to time. */
export class LedgerSize {
  readonly #directory: string;
  readonly #timers: Timers;
  #bytes: number | undefined;
  /** Measurements that were asked for and have not ended. */
  #openCount = 0;
  #last: Promise<unknown> = Promise.resolve();
  #stopLooking: Cancel = () => {};

  constructor(directory: string, timers: Timers = realTimers) {
    this.#directory = directory;
    this.#timers = timers;
  }

  /** Bytes when it was last measured; `undefined`: not yet, or it could not be. */
  get bytes(): number | undefined {
    return this.#bytes;
  }

  start(): void {
    this.#stopLooking = this.#timers.every(lookMs, () => {
      if (this.#openCount === 0) void this.measure();
    });
    void this.measure();
  }

  async stop(): Promise<void> {
    this.#stopLooking();
    await this.#last;
  }

  /** Measures what is there from now on, after what is under way. @returns As `bytes`. */
  measure(): Promise<number | undefined> {
    this.#openCount += 1;
    const measured = this.#last.then(async () => {
      // A disk that fails is the storage gate's to report.
      this.#bytes = await bytesIn(this.#directory).catch(() => undefined);
      this.#openCount -= 1;
      return this.#bytes;
    });
    this.#last = measured;
    return measured;
  }
}

async function bytesIn(directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(directory)) {
    // LevelDB deletes files meanwhile.
    const found = await stat(join(directory, name)).catch(() => undefined);
    if (found?.isFile() === true) bytes += found.size;
  }
  return bytes;
}

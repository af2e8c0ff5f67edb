/**
 * Warnings that others can cause as often as they like: the first of a kind is logged at once, the
 * next after a minute, with how many were left out. Else one liar fills the disk with our log.
 */
import type { Log } from "../base/log.ts";

const silenceMs = 60_000;
/** Kinds that are told apart; there are a few per member. */
const kindsMax = 1_024;

type Kind = { untilMs: number; omitted: number };

/** Logs each kind of warning seldom. */
export class SeldomLog {
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #kinds = new Map<string, Kind>();

  constructor(log: Log, nowMs: () => number = () => performance.now()) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Warns unless the same kind was logged within the last minute. */
  warn(kind: string, facts: object, message: string): void {
    const nowMs = this.#nowMs();
    const known = this.#kinds.get(kind);
    if (known !== undefined && nowMs < known.untilMs) {
      known.omitted += 1;
      return;
    }
    if (this.#kinds.size >= kindsMax) this.#kinds.clear();
    this.#kinds.set(kind, { untilMs: nowMs + silenceMs, omitted: 0 });
    const omitted = known?.omitted ?? 0;
    this.#log.warn(omitted === 0 ? facts : { ...facts, omitted }, message);
  }
}

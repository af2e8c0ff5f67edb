/**
 * Virtual time of the whole-node simulator. One event runs, then everything that follows from it
 * without waiting runs to its end (promises, and one turn of those who gave the event loop a turn),
 * then the next event comes. Nothing reads a real clock, so the order is that of the seed alone.
 */
import { setImmediate } from "node:timers/promises";
import type { Cancel, Timers } from "../../../src/node/timers.ts";

type Scheduled = { readonly atMs: number; readonly order: number; run: (() => void) | undefined };

/**
 * One life of a process, from its start to its crash. What was scheduled for a life ends with it;
 * while it is paused, all that comes waits in order.
 */
export class Life {
  isAlive = true;
  isPaused = false;
  readonly backlog: (() => void)[] = [];
}

/** Frames beyond this many are lost to a process that is paused: its sockets are full. */
const backlogMax = 4_000;

/** A queue of events in the order of their time, then of scheduling. */
export class VirtualTime {
  /** Milliseconds since the beginning. */
  nowMs = 0;
  /** Events that ran. */
  events = 0;
  #orders = 0;
  /** A binary heap. */
  readonly #heap: Scheduled[] = [];

  /** Has something run after a delay; in a life, only as long as it lasts. */
  after(delayMs: number, run: () => void, life?: Life): Cancel {
    const scheduled: Scheduled = {
      atMs: this.nowMs + Math.max(0, Math.ceil(delayMs)),
      order: this.#orders,
      run: life === undefined ? run : () => this.#inLife(life, run),
    };
    this.#orders += 1;
    this.#push(scheduled);
    return () => {
      scheduled.run = undefined;
    };
  }

  /** Timers of one life. */
  timersOf(life: Life): Timers {
    return {
      nowMs: () => this.nowMs,
      after: (delayMs, run) => this.after(delayMs, run, life),
      every: (periodMs, run) => this.#every(periodMs, run, life),
    };
  }

  /** Goes on with a life that was paused: what waited comes at once, in order. */
  resume(life: Life): void {
    life.isPaused = false;
    for (const run of life.backlog.splice(0)) this.after(0, run, life);
  }

  /** Runs until a condition holds, looked at after each event. @returns Whether it did in time. */
  async runUntil(condition: () => boolean, endMs: number): Promise<boolean> {
    while (!condition()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) {
        this.nowMs = Math.max(this.nowMs, endMs);
        return false;
      }
      this.#pop();
      if (next.run === undefined) continue;
      this.nowMs = next.atMs;
      this.events += 1;
      next.run();
      await setImmediate();
    }
    return true;
  }

  #inLife(life: Life, run: () => void): void {
    if (!life.isAlive) return;
    if (!life.isPaused) run();
    else if (life.backlog.length < backlogMax) life.backlog.push(run);
  }

  #every(periodMs: number, run: () => void, life: Life): Cancel {
    let cancel: Cancel = () => {};
    const tick = () => {
      // The next one first: `run` may cancel it.
      cancel = this.after(periodMs, tick, life);
      run();
    };
    cancel = this.after(periodMs, tick, life);
    return () => cancel();
  }

  #push(scheduled: Scheduled): void {
    const heap = this.#heap;
    let place = heap.push(scheduled) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(scheduled, heap[parent] as Scheduled)) break;
      heap[place] = heap[parent] as Scheduled;
      place = parent;
    }
    heap[place] = scheduled;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Scheduled;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (
        child + 1 < heap.length &&
        isBefore(heap[child + 1] as Scheduled, heap[child] as Scheduled)
      )
        child += 1;
      if (!isBefore(heap[child] as Scheduled, last)) break;
      heap[place] = heap[child] as Scheduled;
      place = child;
    }
    heap[place] = last;
  }
}

function isBefore(left: Scheduled, right: Scheduled): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}

/**
 * Events that wait for the consensus core, as few as can be.
 *
 * Invariants:
 *
 * (1) Messages of one validator that wait have at most `waitingBytesMax` together: none can fill
 *     the memory.
 * (2) Of each kind of tick only the last one waits, of appended blocks one right after the other
 *     as well. A step may be held up for hours when the disk is full, and they would pile up
 *     meanwhile.
 */
import type { ConsensusMessage } from "../base/format/message.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { ConsensusEvent } from "../consensus/event.ts";

const ticks: ReadonlySet<string> = new Set(["resend", "work"]);
/** Two proposals of the greatest size. */
const waitingBytesMax = 2 * limits.consensusFrameBytesMax;

/** A queue of events. */
export class PendingEvents {
  readonly #events: ConsensusEvent[] = [];
  readonly #bytesOf = new Map<PublicKey, number>();
  readonly #messageBytes = new WeakMap<ConsensusMessage, number>();

  /** Bytes of all messages that wait. */
  get waitingBytes(): number {
    return [...this.#bytesOf.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Adds an event that is no message. */
  add(event: ConsensusEvent): void {
    const { kind } = event;
    const place = ticks.has(kind) ? this.#events.findIndex((other) => other.kind === kind) : -1;
    if (place !== -1) this.#events.splice(place, 1);
    if (kind === "appended" && this.#events.at(-1)?.kind === kind) this.#events.pop();
    this.#events.push(event);
  }

  /**
   * Adds a message unless too much of its sender waits: consensus sends again.
   *
   * @returns Whether it was added.
   */
  addMessage(message: ConsensusMessage, bytes: number): boolean {
    const waiting = (this.#bytesOf.get(message.validator) ?? 0) + bytes;
    if (waiting > waitingBytesMax) return false;
    this.#bytesOf.set(message.validator, waiting);
    this.#messageBytes.set(message, bytes);
    this.#events.push({ kind: "message", message });
    return true;
  }

  /** Adds events before all that wait. */
  addFirst(events: readonly ConsensusEvent[]): void {
    this.#events.unshift(...events);
  }

  /** Takes the next event; `undefined` when none waits. */
  take(): ConsensusEvent | undefined {
    const event = this.#events.shift();
    if (event?.kind !== "message") return event;
    const { validator } = event.message;
    const bytes = this.#messageBytes.get(event.message) ?? 0;
    this.#bytesOf.set(validator, (this.#bytesOf.get(validator) ?? 0) - bytes);
    return event;
  }
}

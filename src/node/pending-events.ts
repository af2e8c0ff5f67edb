/** Events that wait for the consensus core, as few as can be. */
import type { ConsensusEvent } from "../consensus/event.ts";

/** Of these, one right after the other, only the last one matters. */
const mergedKinds: ReadonlySet<string> = new Set(["appended", "resend", "work"]);

/**
 * Adds an event to those that wait. A step may be held up for hours when the disk is full; ticks
 * and appended blocks would pile up meanwhile. Messages are bounded by whoever adds them.
 */
export function addEvent(events: ConsensusEvent[], event: ConsensusEvent): void {
  const last = events.at(-1)?.kind;
  if (event.kind === last && mergedKinds.has(last)) events.pop();
  events.push(event);
}

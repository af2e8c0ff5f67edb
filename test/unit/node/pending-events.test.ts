/** Claims about the queue before the core (invariants of pending-events.ts). */
import { expect, it } from "vitest";
import type { ConsensusEvent } from "../../../src/consensus/event.ts";
import { PendingEvents } from "../../../src/node/pending-events.ts";

function taken(events: PendingEvents): ConsensusEvent[] {
  const list: ConsensusEvent[] = [];
  for (let event = events.take(); event !== undefined; event = events.take()) list.push(event);
  return list;
}

const timeout = { kind: "timeout", height: 1, round: 0 } as const;

it("(2) ticks of an hour in which nothing moves leave one of each kind, the last", () => {
  const events = new PendingEvents();
  for (let second = 1; second <= 3_600; second += 1) {
    events.add({ kind: "work", height: second });
    events.add({ kind: "resend" });
    if (second === 7) events.add(timeout);
  }
  expect(taken(events)).toEqual([timeout, { kind: "work", height: 3_600 }, { kind: "resend" }]);
});

it("other events keep their order and are all taken", () => {
  const events = new PendingEvents();
  events.add(timeout);
  events.add({ ...timeout, round: 1 });
  events.addFirst([{ ...timeout, round: 7 }]);
  expect(taken(events).map((event) => "round" in event && event.round)).toEqual([7, 0, 1]);
});

/** Routes about events, and the evidence of bills. */
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { cursorText, parseCursor } from "./events.ts";
import { eventJson } from "./render.ts";
import { integerText, type Route, route } from "./route.ts";
import { EventsAnswer } from "./schemas.ts";

const { apiQueryRowsMax: rowsMax } = limits;
const From = z
  .string()
  .max(40)
  .optional()
  .describe(
    "Cursor `HEIGHT:INDEX` of the first event wanted, or `latest` for what comes after the tip; " +
      "default the very beginning.",
  );
const Part = z.string().min(1).max(limits.nameCharsMax);

/** Rows of the route table. */
export const eventRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/events",
    name: "listEvents",
    doc: "A page of the contracts' events, in order. A page may be short, even empty, before the end.",
    query: z.strictObject({
      from: From,
      limit: integerText(`1 to ${rowsMax}; default 100.`, { min: 1, max: rowsMax }).optional(),
    }),
    answers: { 200: { doc: "A page; go on at `next`.", schema: EventsAnswer } },
    errors: ["LEDGER_PRUNED"],
    handle: async ({ query: { from, limit = 100 } }, { node }) => {
      const cursor = parseCursor(from, "querystring.from");
      const { height, index } = cursor ?? { height: node.ledger.tip.height + 1, index: 0 };
      const page = await node.ledger.events({ fromHeight: height, fromIndex: index, limit });
      return { json: { events: page.events.map(eventJson), next: cursorText(page.next) } };
    },
  }),
  route({
    method: "GET",
    path: "/v1/events/stream",
    name: "followEvents",
    doc:
      "The same events as server-sent events: first all from the cursor on, then each as soon as it " +
      "is final. `data` is one event as in /v1/events; `id` is the cursor to go on at, also in the " +
      "pings between. After a break give the last `id` as `from`, or as the header Last-Event-ID, " +
      "which counts more. A client that stops reading is cut off; no event is ever left out.",
    query: z.strictObject({ from: From }),
    answers: { 200: { doc: "The stream.", type: "text/event-stream", schema: z.string() } },
    errors: ["API_EVENT_CLIENTS_FULL", "LEDGER_PRUNED"],
    handle: ({ query: { from }, lastEventId }, { streams }) => {
      const cursor =
        lastEventId === undefined
          ? parseCursor(from, "querystring.from")
          : parseCursor(lastEventId, "headers.last-event-id");
      return { stream: streams.open(cursor) };
    },
  }),
  route({
    method: "GET",
    path: "/v1/evidence/bills/:meter/:month/:n",
    name: "exportEvidence",
    doc:
      "The evidence bundle of a bill: everything it rests on with all proofs, as one file that can " +
      "be verified offline by whoever has the genesis file (docs/EVIDENCE.md).",
    params: z.strictObject({
      meter: Part.describe("Meter of the bill."),
      month: Part.describe("Month of the bill, such as 2019-01."),
      n: Part.describe("1 for the first bill of the month, 2 for its first correction."),
    }),
    answers: { 200: { doc: "The bundle.", schema: z.unknown() } },
    errors: ["API_BILL_UNKNOWN", "LEDGER_PRUNED"],
    handle: async ({ params: { meter, month, n } }, { node }) => {
      const bill = `${meter}/${month}/${n}`;
      const text = await node.exportEvidence(`billing/bill/${bill}`);
      if (text === undefined) throw new LedgerError("API_BILL_UNKNOWN", { bill });
      return { text, type: "application/json" };
    },
  }),
];

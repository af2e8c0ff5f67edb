/**
 * What a route of the API is. One table of them (routes.ts) makes the server, the OpenAPI page and
 * docs/HTTP_API.md, so none of the three can differ from the others.
 */
import type { ServerResponse } from "node:http";
import { z } from "zod";
import type { ErrorCode } from "../base/errors.ts";
import { hash32Pattern } from "../base/hash.ts";
import type { ApiNode } from "./api-node.ts";
import type { EventStreams } from "./events.ts";
import type { Metrics } from "./metrics.ts";

/** What handlers may use. */
export type RouteContext = {
  readonly node: ApiNode;
  readonly metrics: Metrics;
  readonly streams: EventStreams;
  /** The OpenAPI document of this server. */
  readonly openapi: () => object;
};

/** A request whose parts have their documented form. */
export type RouteInput<P = Record<string, unknown>, Q = Record<string, unknown>> = {
  readonly params: P;
  readonly query: Q;
  /** Empty but on routes that take a body. */
  readonly body: Uint8Array;
  readonly lastEventId: string | undefined;
  /** Fires when the client has gone. */
  readonly signal: () => AbortSignal;
};

/** What a handler answers: JSON of the documented form, text as it is, or a stream it takes over. */
export type Answer =
  | { readonly status?: number; readonly json: unknown }
  | { readonly status?: number; readonly text: string; readonly type: string }
  | { readonly stream: (response: ServerResponse) => void };

/** One documented answer. */
type RouteAnswer = {
  readonly doc: string;
  /** Default `application/json`. */
  readonly type?: string;
  readonly schema: z.ZodType;
};

type RouteParts = {
  readonly method: "GET" | "POST";
  /** With `:name` for parameters. */
  readonly path: string;
  /** Unique, a verb first: the OpenAPI operation id. */
  readonly name: string;
  readonly doc: string;
  /** It needs no ledger, so it is answered also while there is none. */
  readonly isAboutNode?: boolean;
  /** The body is the signed bytes of a transaction. */
  readonly takesTransaction?: boolean;
  readonly answers: Readonly<Record<number, RouteAnswer>>;
  /** Codes of this route beside those any request may meet. */
  readonly errors?: readonly ErrorCode[];
};

/** A row of the table. */
export type Route = RouteParts & {
  readonly params?: z.ZodObject | undefined;
  readonly query: z.ZodObject;
  readonly handle: (input: RouteInput, context: RouteContext) => Answer | Promise<Answer>;
};

const NoQuery = z.strictObject({});

/** Makes a row whose handler sees the types of its parameters and query. */
export function route<
  P extends z.ZodObject = typeof NoQuery,
  Q extends z.ZodObject = typeof NoQuery,
>(
  parts: RouteParts & {
    readonly params?: P;
    readonly query?: Q;
    readonly handle: (
      input: RouteInput<z.output<P>, z.output<Q>>,
      context: RouteContext,
    ) => Answer | Promise<Answer>;
  },
): Route {
  return { ...parts, query: parts.query ?? NoQuery, handle: parts.handle as Route["handle"] };
}

/** Whole numbers in an address; at most 15 digits, so they are safe integers. */
export function integerText(doc: string, bounds: { min?: number; max?: number } = {}) {
  const { min = 0, max = 999_999_999_999_999 } = bounds;
  return z
    .string()
    .regex(/^(0|[1-9]\d{0,14})$/, "expected a whole number without sign or leading zero")
    .transform(Number)
    .refine((value) => value >= min && value <= max, `expected ${min} to ${max}`)
    .describe(doc);
}

/** A hash in an address. */
export function hashText(doc: string) {
  return z.string().regex(hash32Pattern, "expected 64 lowercase hexadecimal digits").describe(doc);
}

/** A switch in an address: present as `1`, or absent. */
export function flagText(doc: string) {
  return z.literal("1", 'expected "1", or nothing').optional().describe(doc);
}

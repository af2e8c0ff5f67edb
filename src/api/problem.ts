/**
 * Errors as `application/problem+json` (RFC 9457) with the members that people and programs need:
 * `{code, facts, meaning, next, status}`. Every failure leaves the server in this form, those of
 * the HTTP library too; nothing of an unexpected error but its place in the log is told.
 */

import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { z } from "zod";
import { type ErrorCode, errorTable, isLedgerError, LedgerError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

/** The media type of problems. */
export const problemType = "application/problem+json";

/** Schema of a problem. */
export const Problem = z
  .object({
    code: z.string().describe("Stable code; all are listed in docs/ERRORS.md."),
    facts: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
      .describe("What the code is about in this case."),
    meaning: z.string().describe("What the code means."),
    next: z.string().describe("What to do next."),
    status: z.int().describe("The HTTP status of this answer."),
  })
  .describe("An error of this API (RFC 9457).");

/** A problem as it is sent. */
export type Problem = z.infer<typeof Problem>;

/** Returns the problem of an error. */
export function problemOf(error: LedgerError): Problem {
  const { httpStatus: status, meaning, next } = errorTable[error.code];
  const facts = Object.entries(error.facts).filter(([, fact]) => fact !== undefined);
  return {
    code: error.code,
    facts: Object.fromEntries(facts) as Problem["facts"],
    meaning,
    next,
    status,
  };
}

/** An error of the HTTP library, as far as it is looked at. */
type HttpError = {
  readonly code?: unknown;
  readonly statusCode?: unknown;
  readonly validation?: readonly { readonly instancePath?: string; readonly message?: string }[];
  readonly validationContext?: string;
};

/** What the answer needs of the request. */
type RequestFacts = {
  readonly id: string;
  readonly contentType: string | undefined;
  readonly contentLength: string | undefined;
};

/** Returns the typed error for whatever was thrown while answering. */
export function ledgerErrorOf(error: unknown, request: RequestFacts): LedgerError {
  if (isLedgerError(error)) return error;
  const { code, statusCode, validation, validationContext } = error as HttpError;
  const options = { cause: error };
  if (validation !== undefined) {
    const { instancePath = "", message = "" } = validation[0] ?? {};
    const path = instancePath === "/" ? "" : instancePath;
    const place = (validationContext ?? "") + path.replaceAll("/", ".");
    return new LedgerError("API_INPUT_INVALID", { place, reason: message }, options);
  }
  switch (code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE": {
      // Without the header nobody knows: the rest of the body is not read.
      const announced = Number(request.contentLength);
      const bytes = Number.isSafeInteger(announced) ? announced : null;
      const { transactionBytesMax: bytesMax } = limits;
      return new LedgerError("TRANSACTION_TOO_LARGE", { bytes, bytesMax }, options);
    }
    case "FST_ERR_MAX_PARAM_LENGTH":
      return new LedgerError("API_INPUT_INVALID", { place: "params", reason: "too long" }, options);
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return contentTypeError(request.contentType, options);
    default: {
      const isClients = typeof statusCode === "number" && statusCode < 500;
      if (!isClients) return new LedgerError("API_INTERNAL", { request: request.id }, options);
      return new LedgerError("API_REQUEST_INVALID", { reason: String(code) }, options);
    }
  }
}

/** Says that a body came as something else than signed bytes. */
export function contentTypeError(
  contentType: string | undefined,
  options?: ErrorOptions,
): LedgerError {
  const facts = { contentType: contentType ?? null, expected: "application/octet-stream" };
  return new LedgerError("API_CONTENT_TYPE_INVALID", facts, options);
}

/** Answers a request that is not HTTP, on the bare socket, and closes it. */
export function answerBrokenRequest(error: { readonly code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
  const isHeader = error.code === "HPE_HEADER_OVERFLOW";
  const known = isHeader
    ? new LedgerError("API_HEADER_TOO_LARGE", { bytesMax: limits.apiHeaderBytesMax })
    : new LedgerError("API_REQUEST_INVALID", { reason: error.code ?? "malformed" });
  const body = JSON.stringify(problemOf(known));
  const { httpStatus } = errorTable[known.code];
  socket.end(
    `HTTP/1.1 ${httpStatus} ${STATUS_CODES[httpStatus]}\r\ncontent-type: ${problemType}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** Codes that every request may meet. */
export const commonErrors: readonly ErrorCode[] = [
  "API_HOST_REFUSED",
  "API_ORIGIN_REFUSED",
  "API_INPUT_INVALID",
  "API_ROUTE_UNKNOWN",
  "API_REQUEST_INVALID",
  "API_HEADER_TOO_LARGE",
  "API_INTERNAL",
  "NODE_FETCHING_SNAPSHOT",
];

/** Routes about transactions: send, look up, wait for, prove. */
import { z } from "zod";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { evidenceTransactionOf } from "../base/format/evidence.ts";
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import type { ApiTransactionStatus } from "./api-node.ts";
import { callJson, transactionJson } from "./render.ts";
import {
  type Answer,
  flagText,
  hashText,
  integerText,
  type Route,
  type RouteContext,
  type RouteInput,
  route,
} from "./route.ts";
import { PendingAnswer, ProofAnswer, TransactionAnswer } from "./schemas.ts";

const { apiWaitMsMax: waitMsMax, apiWaitMsDefault: waitMsDefault } = limits;

const Wait = {
  wait: z
    .literal("final")
    .optional()
    .describe("`final`: hold the answer until the transaction is final or dropped."),
  timeoutMs: integerText(
    `How long to hold it, up to ${waitMsMax}; default ${waitMsDefault}. Then it is \`pending\`.`,
    { max: waitMsMax },
  ).optional(),
};

type WaitQuery = { readonly wait?: "final" | undefined; readonly timeoutMs?: number | undefined };

/** Rows of the route table. */
export const transactionRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/transactions",
    name: "submitTransaction",
    doc:
      "Submits a signed transaction: the body is its exact bytes. The same bytes may be sent again " +
      "at any time and to any node; they are carried out once. What has expired by the clock only is " +
      "`pending` until the next block: one under way may still hold it.",
    takesTransaction: true,
    query: z.strictObject(Wait),
    answers: {
      200: { doc: "It is final, or was dropped while waiting.", schema: TransactionAnswer },
      202: { doc: "Held in memory. Only a receipt is a promise.", schema: PendingAnswer },
    },
    errors: [
      "API_CONTENT_TYPE_INVALID",
      "TRANSACTION_TOO_LARGE",
      "CODEC_INVALID",
      "JSON_INVALID",
      "TRANSACTION_CHAIN_MISMATCH",
      "TRANSACTION_SIGNATURE_INVALID",
      "TRANSACTION_EXPIRED",
      "TRANSACTION_EXPIRY_TOO_FAR",
      "TRANSACTION_SENDER_UNKNOWN",
      "TRANSACTION_SENDER_SUSPENDED",
      "TRANSACTION_ROLE_MISSING",
      "TRANSACTION_GAS_LIMIT",
      "TRANSACTION_NONCE_USED",
      "TRANSACTION_NONCE_TOO_OLD",
      "TRANSACTION_NONCE_TOO_FAR",
      "TRANSACTION_NONCE_CONFLICT",
      "MEMPOOL_FULL",
      "MEMPOOL_SENDER_SHARE",
      "LEDGER_DIVERGENCE",
    ],
    handle: async (input, context) => {
      const submission = await submit(input.body, context);
      const { id, status } = submission;
      // What is pending needs no look-up, unless somebody waits for its end.
      if (status === "pending" && input.query.wait === undefined)
        return { status: 202, json: { id, status } };
      const now = await statusOf(id, input, context);
      const json = transactionJson(id, now) ?? { id, status: "pending" };
      return { status: json.status === "pending" ? 202 : 200, json };
    },
  }),
  route({
    method: "GET",
    path: "/v1/transactions/:id",
    name: "getTransaction",
    doc: "What the node knows of a transaction; with `wait=final` as soon as it is final or dropped.",
    params: z.strictObject({ id: hashText("Id of the transaction.") }),
    query: z.strictObject({
      ...Wait,
      call: flagText("`1`: with what the transaction asked for, once it is final."),
    }),
    answers: { 200: { doc: "Status, with the receipt if final.", schema: TransactionAnswer } },
    errors: ["API_TRANSACTION_UNKNOWN", "LEDGER_PRUNED"],
    handle: async (input, context) => {
      const { id } = input.params;
      const status = await statusOf(id, input, context);
      if (status.status === "pruned")
        throw new LedgerError("LEDGER_PRUNED", { height: null, baseHeight: status.baseHeight });
      const json = transactionJson(id, status);
      if (json === undefined) throw new LedgerError("API_TRANSACTION_UNKNOWN", { id });
      if (input.query.call === undefined || status.status !== "final") return { json };
      const stored = await context.node.ledger.readBlock(status.height);
      const bytes = stored?.block.transactions[status.index];
      return { json: bytes === undefined ? json : { ...json, call: callJson(bytes) } };
    },
  }),
  route({
    method: "GET",
    path: "/v1/transactions/:id/proof",
    name: "proveTransaction",
    doc:
      "All that proves a final transaction and its receipt to whoever has the genesis file: signed " +
      "bytes, receipt, paths, header, certificate. Verify it; docs/EVIDENCE.md says how.",
    params: z.strictObject({ id: hashText("Id of the transaction.") }),
    answers: { 200: { doc: "The proof.", schema: ProofAnswer } },
    errors: ["API_TRANSACTION_UNKNOWN", "LEDGER_PRUNED"],
    handle: async ({ params: { id } }, { node }): Promise<Answer> => {
      const proof = await node.ledger.proveTransaction(id);
      if (proof === undefined) throw new LedgerError("API_TRANSACTION_UNKNOWN", { id });
      return { json: evidenceTransactionOf(proof) };
    },
  }),
];

async function submit(bytes: Uint8Array, { node, metrics }: RouteContext) {
  const startMs = performance.now();
  try {
    const submission = await node.submit(bytes);
    if (submission.status === "pending") metrics.onSubmitted(submission.id, startMs);
    return submission;
  } catch (error) {
    if (isLedgerError(error)) metrics.onRefused(error.code);
    throw error;
  }
}

function statusOf(
  id: Hash,
  { query, signal }: RouteInput<unknown, WaitQuery>,
  { node }: RouteContext,
): Promise<ApiTransactionStatus> {
  if (query.wait === undefined) return node.ledger.status(id);
  const { timeoutMs = waitMsDefault } = query;
  return node.ledger.waitFinal(id, { timeoutMs, signal: signal() });
}

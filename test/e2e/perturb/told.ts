/**
 * Sends a transaction to a node, or asks for its fate, and writes down what the node says at the
 * moment it says it: a node that is killed before it can prove its word has given it all the same.
 *
 * It judges nothing but proofs: one that does not hold is written down as such, for the audit.
 */
import { isLedgerError } from "../../../src/base/errors.ts";
import { headerHash } from "../../../src/base/format/block.ts";
import type { Transaction } from "../../../src/base/format/transaction.ts";
import type { LedgerClient } from "../../../src/client/client.ts";
import type { FinalTransaction, Trust } from "../../../src/client/finality.ts";
import type { TransactionStatus } from "../../../src/client/schemas.ts";
import type { History } from "./history.ts";

/** How long a node may hold the answer. */
const patienceMs = 1_500;

/** A node as a client sees it, and where its words are written down. */
export type Asked = {
  readonly node: number;
  readonly client: Pick<LedgerClient, "submit" | "transaction" | "final">;
  readonly history: History;
};

/** Sends the bytes. @returns Whether the node took them. */
export async function submitTold({ id, bytes }: Transaction, asked: Asked): Promise<boolean> {
  const { client, history, node } = asked;
  history.append({ kind: "sent", id, node });
  try {
    const answer = await client.submit(bytes);
    if (answer.status === "pending") history.append({ kind: "accepted", id, node });
    noteStatus(asked, id, answer);
    return answer.status === "pending";
  } catch (error) {
    if (!isLedgerError(error)) throw error;
    if (error.code !== "CLIENT_UNREACHABLE")
      history.append({ kind: "refused", id, node, code: error.code });
    return false;
  }
}

/**
 * Asks for the fate, which the node may hold back for a while; what it calls final it must prove.
 *
 * @returns The status, `undefined` when there is none or a final one was not proven.
 */
export async function askTold(
  { id, bytes }: Transaction,
  asked: Asked & { readonly trust: Trust },
): Promise<TransactionStatus["status"] | undefined> {
  const { client, history, node, trust } = asked;
  try {
    const answer = await client.transaction(id, { waitMs: patienceMs });
    noteStatus(asked, id, answer);
    if (answer?.status !== "final") return answer?.status;
    noteProven(asked, await client.final(id, trust, bytes));
    return "final";
  } catch (error) {
    if (!isLedgerError(error)) throw error;
    const text = error.message.slice(0, 300);
    if (error.code === "CLIENT_PROOF_INVALID") history.append({ kind: "unproven", id, node, text });
    // Being gone tells nothing. An answer that is none is written down for who looks for a cause.
    else if (error.code !== "CLIENT_UNREACHABLE")
      history.append({ kind: "noted", text: `node ${node}: ${text}` });
    return undefined;
  }
}

/** Writes down what was proven final. */
export function noteProven(
  { node, history }: Pick<Asked, "node" | "history">,
  { header, index, receipt, transaction }: FinalTransaction,
): void {
  const place = { height: header.height, index, blockHash: headerHash(header) };
  const { outcome } = receipt;
  history.append({ kind: "final", id: transaction.id, node, ...place, outcome });
}

function noteStatus(
  { node, history }: Asked,
  id: Transaction["id"],
  answer: TransactionStatus | undefined,
): void {
  if (answer?.status === "dropped")
    history.append({ kind: "dropped", id, node, code: answer.code });
  if (answer?.status !== "final") return;
  const { height, index, receipt } = answer;
  history.append({ kind: "final", id, node, height, index, outcome: receipt.outcome });
}

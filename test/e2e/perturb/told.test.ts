/** What a node says is in the history, even if it can say nothing more. */
import { expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import type { Transaction } from "../../../src/base/format/transaction.ts";
import type { Trust } from "../../../src/client/finality.ts";
import type { TransactionStatus } from "../../../src/client/schemas.ts";
import { History } from "./history.ts";
import { type Asked, askTold, submitTold } from "./told.ts";

const id = "ab".repeat(32);
const transaction = { id, bytes: Uint8Array.of(1) } as unknown as Transaction;
const final = {
  ...{ id, status: "final", height: 7, index: 2 },
  receipt: { outcome: "ok" },
} as TransactionStatus;
const told = { kind: "final", id, node: 3, height: 7, index: 2, outcome: "ok" };

/** Node 3, which gives one status and fails to prove it. */
function asked(status: TransactionStatus, failure: LedgerError): Asked & { trust: Trust } {
  const client = {
    submit: async () => status,
    transaction: async () => status,
    final: () => Promise.reject(failure),
  };
  return { node: 3, client, history: new History(), trust: {} as Trust };
}

const gone = new LedgerError("CLIENT_UNREACHABLE", { nodes: "node 3", reason: "gone" });
const withoutTime = ({ history }: Asked) => history.entries.map(({ atMs: _, ...entry }) => entry);

it("a node that is killed before it proves its word has given it", async () => {
  const node = asked(final, gone);
  expect(await askTold(transaction, node)).toBeUndefined();
  expect(withoutTime(node)).toEqual([told]);
});

it("what is called final when it is sent again is kept", async () => {
  const node = asked(final, gone);
  expect(await submitTold(transaction, node)).toBe(false);
  expect(withoutTime(node)).toEqual([{ kind: "sent", id, node: 3 }, told]);
});

it("a proof that does not hold is kept as such", async () => {
  const failure = new LedgerError("CLIENT_PROOF_INVALID", { subject: id, reason: "no path" });
  const node = asked(final, failure);
  expect(await askTold(transaction, node)).toBeUndefined();
  expect(withoutTime(node)).toEqual([
    told,
    { kind: "unproven", id, node: 3, text: expect.stringContaining("no path") },
  ]);
});

it("drops, and nothing while it waits, are kept", async () => {
  const dropped = asked({ id, status: "dropped", code: "TRANSACTION_EXPIRED" }, gone);
  expect(await askTold(transaction, dropped)).toBe("dropped");
  expect(withoutTime(dropped)).toEqual([
    { kind: "dropped", id, node: 3, code: "TRANSACTION_EXPIRED" },
  ]);
  const pending = asked({ id, status: "pending" }, gone);
  expect(await askTold(transaction, pending)).toBe("pending");
  expect(withoutTime(pending)).toEqual([]);
});

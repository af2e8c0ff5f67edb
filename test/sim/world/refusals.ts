/**
 * What a client may believe of a refusal. Some say that a transaction will never become final; the
 * chain must bear them out, and until then the transaction counts as open.
 */
import type { Transaction } from "../../../src/base/format/transaction.ts";
import { limits } from "../../../src/base/limits.ts";
import { type Canon, Violation } from "./checkers.ts";

/** How the chain bears each out that no other node and no later time lifts. */
const grounds: Readonly<Record<string, (transaction: Transaction, canon: Canon) => boolean>> = {
  TRANSACTION_EXPIRED: ({ expiresAtMs }, canon) => expiresAtMs <= canon.timeMs + 1,
  TRANSACTION_NONCE_USED: ({ sender, nonce }, canon) => canon.noncesOf(sender).has(nonce),
  TRANSACTION_NONCE_TOO_OLD: ({ sender, nonce }, canon) =>
    [...canon.noncesOf(sender)].some((used) => used - limits.replayWindowBits >= nonce),
};

/**
 * Tells whether a refusal says that a transaction will never be final.
 *
 * @throws {Violation} When it speaks of another one of that nonce, and there is none.
 */
export function isTelling({ id, nonce }: Transaction, code: string, hasRival: boolean): boolean {
  if (code !== "TRANSACTION_NONCE_CONFLICT") return code in grounds;
  // It lasts as long as the other one is pending: brought again, it finds its nonce used or free.
  if (!hasRival)
    throw new Violation("refusal", `${id.slice(0, 8)} has no rival for nonce ${nonce}`);
  return false;
}

/** What a node said, and the height up to which it has no blocks and so cannot know better. */
export type Refusal = { readonly code: string; readonly baseHeight: number };

/**
 * Tells whether the chain bears such a refusal out by now.
 *
 * @throws {Violation} When the transaction itself is in a block that the node has.
 */
export function isGrounded(
  transaction: Transaction,
  { code, baseHeight }: Refusal,
  canon: Canon,
): boolean {
  const { id } = transaction;
  if ((canon.heightOf(id) ?? 0) > baseHeight)
    throw new Violation("refusal", `${id.slice(0, 8)} is final, and refused as ${code}`);
  return grounds[code]?.(transaction, canon) ?? false;
}

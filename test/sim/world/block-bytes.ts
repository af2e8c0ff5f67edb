/**
 * What blocks are hashed from, put together from docs/DATA_FORMAT.md apart from the product, and
 * the state that follows from receipts.
 */
import { hash } from "node:crypto";
import type { Block, Header } from "../../../src/base/format/block.ts";
import { didOf } from "../../../src/base/format/did.ts";
import type { Receipt } from "../../../src/base/format/receipt.ts";
import type { Transaction } from "../../../src/base/format/transaction.ts";
import { windowTextOf } from "../../e2e/perturb/reference.ts";
import { HashedState, listRoot, valueHash } from "./merkle.ts";
import { packHash, packInteger, taggedArray } from "./signed-bytes.ts";

/** The hash by which a block is known. */
export function headerHashOf(header: Header): string {
  const { validatorsHash, nextValidatorsHash, gasUsed } = header;
  const fields = [
    packInteger(0),
    packHash(header.chainId),
    packInteger(header.height),
    packHash(header.parentHash),
    packInteger(header.timestampMs),
    packHash(header.proposer),
    packHash(header.transactionsRoot),
    packHash(header.receiptsRoot),
    packHash(header.stateRoot),
    packHash(validatorsHash),
    packHash(nextValidatorsHash),
    packInteger(gasUsed),
  ];
  return hash("sha256", taggedArray("block", fields));
}

/** A receipt as a leaf of its block's tree. */
export function receiptBytesOf(receipt: Receipt): Buffer {
  const { transactionId, outcome, gasUsed, events, changes } = receipt;
  return packList([
    packHash(transactionId),
    packText(outcome),
    packInteger(gasUsed),
    packList(
      events.map(({ contract, topic, json }) => packList([contract, topic, json].map(packText))),
    ),
    packList(
      changes.map(({ key, valueHash: of }) =>
        packList([packText(key), of === undefined ? Buffer.of(0xc0) : packHash(of)]),
      ),
    ),
  ]);
}

/** Returns which root of a header does not follow from the lists of its block, if one does not. */
export function wrongListRoot(block: Block, receipts: readonly Receipt[]): string | undefined {
  const { header, transactions } = block;
  if (listRoot(transactions) !== header.transactionsRoot) return "transactionsRoot";
  const isOfReceipts = listRoot(receipts.map(receiptBytesOf)) === header.receiptsRoot;
  return isOfReceipts ? undefined : "receiptsRoot";
}

/** The state of a chain as far as its blocks tell: what receipts list, and who used which nonce. */
export class ChainState {
  readonly #state: HashedState;
  readonly #nonces = new Map<string, Set<number>>();

  constructor(genesis: Iterable<readonly [key: string, value: string]>) {
    this.#state = new HashedState(genesis);
  }

  /** Value hashes by key. */
  get hashes(): ReadonlyMap<string, string> {
    return this.#state.hashes;
  }

  root(): string {
    return this.#state.root();
  }

  /** Nonces of a sender that are used. */
  noncesOf(sender: string): ReadonlySet<number> {
    return this.#nonces.get(sender) ?? new Set();
  }

  /** Takes in the transactions of a block with their receipts. */
  apply(transactions: readonly Transaction[], receipts: readonly Receipt[]): void {
    for (const { changes } of receipts)
      for (const { key, valueHash: of } of changes) this.#state.set(key, of);
    for (const { sender, nonce } of transactions) {
      const used = this.#nonces.get(sender) ?? new Set();
      this.#nonces.set(sender, used.add(nonce));
    }
    for (const sender of new Set(transactions.map((transaction) => transaction.sender)))
      this.#state.set(
        `system/window/${didOf(sender)}`,
        valueHash(windowTextOf(this.noncesOf(sender))),
      );
  }
}

function packText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const count = bytes.length;
  const head =
    count < 0x20
      ? Buffer.of(0xa0 + count)
      : count < 0x100
        ? Buffer.of(0xd9, count)
        : count < 0x10000
          ? Buffer.of(0xda, count >> 8, count & 255)
          : Buffer.of(0xdb, count >>> 24, (count >> 16) & 255, (count >> 8) & 255, count & 255);
  return Buffer.concat([head, bytes]);
}

/** A tuple of fewer than 65,536 elements. */
function packList(items: readonly Buffer[]): Buffer {
  const count = items.length;
  const head = count < 16 ? Buffer.of(0x90 + count) : Buffer.of(0xdc, count >> 8, count & 255);
  return Buffer.concat([head, ...items]);
}

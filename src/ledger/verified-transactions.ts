/**
 * Decodes and verifies transactions once a node (D7). What is known is keyed by the hash of the
 * whole signed bytes, so of body *and* signature: a known body with another signature is verified
 * like any other.
 *
 * Verification is asynchronous towards the caller (D21): it gives the event loop a turn between
 * slices (check-turns.ts), and may move to a worker without a change outside.
 */
import { isLedgerError, LedgerError } from "../base/errors.ts";
import {
  decodeTransaction,
  type Transaction,
  verifyTransaction,
} from "../base/format/transaction.ts";
import { type Hash, hashOf } from "../base/hash.ts";
import type { Verifier } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import { blockUnitsPerTurn, CheckTurns, unitsOf } from "./check-turns.ts";
import type { CheckPayer } from "./ledger-types.ts";

/** For what this node does on its own account. */
const nobody: CheckPayer = { ready: async () => {}, pay: (work) => work() };

/** The stateless half of admission, with a bounded memory. */
export class VerifiedTransactions {
  readonly #chainId: Hash;
  readonly #verifier: Verifier;
  readonly #bytesMax: number;
  /** In order of arrival, so the oldest goes first. */
  readonly #known = new Map<Hash, Transaction>();
  readonly #turns = new CheckTurns();
  #bytes = 0;

  constructor(options: {
    readonly chainId: Hash;
    readonly verifier: Verifier;
    /** Sum of signed bytes kept; default `limits.verifiedBytesMax`. */
    readonly bytesMax?: number;
  }) {
    this.#chainId = options.chainId;
    this.#verifier = options.verifier;
    this.#bytesMax = options.bytesMax ?? limits.verifiedBytesMax;
  }

  /**
   * Decodes and verifies one transaction.
   *
   * @param payer - Who waits and pays for it; default nobody.
   * @throws {LedgerError} of class `stateless`.
   */
  async check(bytes: Uint8Array, payer: CheckPayer = nobody): Promise<Transaction> {
    await payer.ready();
    await this.#turns.take(unitsOf(bytes, true));
    const known = payer.pay(() => this.#find(bytes));
    if (known !== undefined) return known;
    await this.#turns.take(unitsOf(bytes, false));
    return payer.pay(() => this.#verify(bytes));
  }

  /** Checks those of a block; the refused ones come back as their errors, each in its place. */
  async checkAll(list: readonly Uint8Array[]): Promise<(Transaction | LedgerError)[]> {
    const results: (Transaction | LedgerError)[] = [];
    let unitsLeft = 0;
    for (const bytes of list) {
      if (unitsLeft <= 0) {
        await this.#turns.take(blockUnitsPerTurn, true);
        unitsLeft = blockUnitsPerTurn;
      }
      const known = this.#find(bytes);
      unitsLeft -= unitsOf(bytes, known !== undefined);
      results.push(known ?? this.#verified(bytes));
    }
    return results;
  }

  /**
   * Keeps a transaction that `check` gave. Only those that the state admits are kept: else a flood
   * of well-signed transactions of strangers would push out the ones that blocks will hold.
   */
  remember(transaction: Transaction): void {
    const key = hashOf(transaction.bytes);
    if (this.#known.has(key)) return;
    this.#known.set(key, transaction);
    this.#bytes += transaction.bytes.length;
    for (const [oldest, { bytes }] of this.#known) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#known.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }

  #find(bytes: Uint8Array): Transaction | undefined {
    if (bytes.length > limits.transactionBytesMax) return undefined;
    return this.#known.get(hashOf(bytes));
  }

  #verify(bytes: Uint8Array): Transaction {
    const transaction = decodeTransaction(bytes);
    if (transaction.chainId !== this.#chainId)
      throw new LedgerError("TRANSACTION_CHAIN_MISMATCH", {
        chainId: transaction.chainId,
        expected: this.#chainId,
      });
    if (!verifyTransaction(transaction, this.#verifier))
      throw new LedgerError("TRANSACTION_SIGNATURE_INVALID", { id: transaction.id });
    return transaction;
  }

  #verified(bytes: Uint8Array): Transaction | LedgerError {
    try {
      return this.#verify(bytes);
    } catch (error) {
      if (isLedgerError(error)) return error;
      throw error;
    }
  }
}

/**
 * The outbox of a gateway: keeps every reading from the moment the source may forget it until its
 * finality is proven. It sends nothing and verifies nothing; sender.ts does.
 *
 * Invariants:
 *
 * (1) What `accept` took is in exactly one place: queued, in one live transaction, refused, or
 *     counted as final. Every move is one atomic, synced batch.
 * (2) A signed transaction is on disk before it can be sent, so that after a kill the very same
 *     bytes are sent again.
 * (3) A nonce is used for one body only: the next one is on disk with the transaction that took it.
 * (4) The position in the source moves in the batch that takes the readings before it.
 *
 * | key | value |
 * |---|---|
 * | `q/<sequence, 16 digits>` | a queued reading |
 * | `t/<nonce, 16 digits>` | `StoredTransaction` |
 * | `x/<sequence>` | a refused reading with the code |
 * | `m/outbox` | `Meta` |
 */
import { Level } from "level";
import { assert } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import type { Reading } from "./source-csv.ts";

/** A signed transaction with the readings in it. */
export type StoredTransaction = {
  readonly nonce: number;
  readonly id: string;
  /** Signed bytes, hexadecimal. */
  readonly bytes: string;
  readonly expiresAtMs: number;
  readonly readings: readonly Reading[];
};

/** A reading that the ledger refused for good, with the code of the receipt or of admission. */
export type RefusedReading = { readonly reading: Reading; readonly code: string };

/** Where a source stands. */
export type SourcePosition = { readonly source: string; readonly rows: number };

/** How much is where. */
export type OutboxCounts = {
  readonly queued: number;
  readonly inFlight: number;
  readonly final: number;
  readonly refused: number;
};

type Meta = {
  readonly nextSequence: number;
  /** 0 until the first nonce is known. */
  readonly nextNonce: number;
  readonly position: SourcePosition;
  readonly counts: OutboxCounts;
};

type Signer = (readings: readonly Reading[], nonce: number) => StoredTransaction;
type Operation = { type: "put"; key: string; value: unknown } | { type: "del"; key: string };

const metaKey = "m/outbox";
const emptyMeta: Meta = {
  nextSequence: 1,
  nextNonce: 0,
  position: { source: "", rows: 0 },
  counts: { queued: 0, inFlight: 0, final: 0, refused: 0 },
};
const digits = (value: number) => String(value).padStart(16, "0");

/** A durable outbox. Calls run one after the other. */
export class Outbox {
  readonly #database: Level<string, unknown>;
  #meta: Meta;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(database: Level<string, unknown>, meta: Meta) {
    this.#database = database;
    this.#meta = meta;
  }

  /** Opens or creates an outbox. @throws {LedgerError} GATEWAY_OUTBOX_UNREADABLE */
  static async open(directory: string): Promise<Outbox> {
    const database = new Level<string, unknown>(directory, { valueEncoding: "json" });
    try {
      await database.open();
      const meta = ((await database.get(metaKey)) ?? emptyMeta) as Meta;
      return new Outbox(database, meta);
    } catch (cause) {
      const inner = (cause as { cause?: { code?: string } }).cause?.code ?? "";
      const reason = inner === "LEVEL_LOCKED" ? "another gateway has it open" : inner;
      throw new LedgerError("GATEWAY_OUTBOX_UNREADABLE", { directory, reason }, { cause });
    }
  }

  get counts(): OutboxCounts {
    return this.#meta.counts;
  }

  get position(): SourcePosition {
    return this.#meta.position;
  }

  /** The next nonce, or 0 when it has to be learned from a node first. */
  get nextNonce(): number {
    return this.#meta.nextNonce;
  }

  /** Starts nonces at a value; later calls change nothing (3). */
  startNonces(first: number): Promise<void> {
    return this.#alone(async () => {
      if (this.#meta.nextNonce === 0) await this.#write([], { nextNonce: first });
    });
  }

  /** Takes readings over from a source, which may forget them afterwards (1), (4). */
  accept(readings: readonly Reading[], position: SourcePosition): Promise<void> {
    return this.#alone(async () => {
      const { nextSequence } = this.#meta;
      const operations = readings.map((value, index): Operation => {
        return { type: "put", key: `q/${digits(nextSequence + index)}`, value };
      });
      await this.#write(operations, {
        position,
        nextSequence: nextSequence + readings.length,
        counts: this.#counts({ queued: readings.length }),
      });
    });
  }

  /**
   * Signs the next queued readings and keeps the transaction (2).
   *
   * @returns `undefined` when nothing is queued.
   */
  sign(countMax: number, signer: Signer): Promise<StoredTransaction | undefined> {
    return this.#alone(async () => {
      const rows = await this.#database.iterator({ gt: "q/", lt: "q0", limit: countMax }).all();
      if (rows.length === 0) return undefined;
      const readings = rows.map(([, value]) => value as Reading);
      const { nextNonce } = this.#meta;
      const transaction = signer(readings, nextNonce);
      await this.#write(
        [...rows.map(([key]): Operation => ({ type: "del", key })), put(transaction)],
        {
          nextNonce: nextNonce + 1,
          counts: this.#counts({ queued: -rows.length, inFlight: rows.length }),
        },
      );
      return transaction;
    });
  }

  /** Live transactions in the order of their nonces. */
  async live(): Promise<StoredTransaction[]> {
    const values = await this.#database.values({ gt: "t/", lt: "t0" }).all();
    return values as StoredTransaction[];
  }

  /** Forgets a transaction whose finality is proven. */
  forget(transaction: StoredTransaction): Promise<void> {
    const count = transaction.readings.length;
    return this.#alone(() =>
      this.#write([remove(transaction)], {
        counts: this.#counts({ inFlight: -count, final: count }),
      }),
    );
  }

  /** Puts others in the place of a transaction that can have no effect any more (1). */
  replace(
    transaction: StoredTransaction,
    parts: readonly (readonly Reading[])[],
    signer: Signer,
  ): Promise<StoredTransaction[]> {
    const count = parts.reduce((sum, part) => sum + part.length, 0);
    assert(count === transaction.readings.length, "a replacement holds the same readings");
    return this.#alone(async () => {
      const { nextNonce } = this.#meta;
      const replacements = parts.map((part, index) => signer(part, nextNonce + index));
      await this.#write([remove(transaction), ...replacements.map(put)], {
        nextNonce: nextNonce + parts.length,
      });
      return replacements;
    });
  }

  /** Sets the one reading of a transaction aside; it stays here with the code. */
  refuse(transaction: StoredTransaction, code: string): Promise<void> {
    const [reading, ...others] = transaction.readings;
    assert(reading !== undefined && others.length === 0, "readings are refused one by one");
    return this.#alone(async () => {
      const { nextSequence } = this.#meta;
      const refused: RefusedReading = { reading: reading as Reading, code };
      const key = `x/${digits(nextSequence)}`;
      await this.#write([remove(transaction), { type: "put", key, value: refused }], {
        nextSequence: nextSequence + 1,
        counts: this.#counts({ inFlight: -1, refused: 1 }),
      });
    });
  }

  /** The first refused readings, in the order they were refused. */
  async refused(countMax: number): Promise<RefusedReading[]> {
    const query = { gt: "x/", lt: "x0", limit: countMax };
    return (await this.#database.values(query).all()) as RefusedReading[];
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#database.close();
  }

  /** Runs one change at a time: nonces, sequences and counts are read and written together. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(change);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  #counts(delta: Partial<OutboxCounts>): OutboxCounts {
    const { queued, inFlight, final, refused } = this.#meta.counts;
    return {
      queued: queued + (delta.queued ?? 0),
      inFlight: inFlight + (delta.inFlight ?? 0),
      final: final + (delta.final ?? 0),
      refused: refused + (delta.refused ?? 0),
    };
  }

  async #write(operations: readonly Operation[], change: Partial<Meta>): Promise<void> {
    const meta = { ...this.#meta, ...change };
    const batch: Operation[] = [...operations, { type: "put", key: metaKey, value: meta }];
    // `sync` is an option of LevelDB that the common interface does not know.
    await this.#database.batch(batch, { sync: true } as object);
    this.#meta = meta;
  }
}

function put(transaction: StoredTransaction): Operation {
  return { type: "put", key: `t/${digits(transaction.nonce)}`, value: transaction };
}

function remove({ nonce }: StoredTransaction): Operation {
  return { type: "del", key: `t/${digits(nonce)}` };
}

/**
 * The outbox of a gateway: keeps every reading from the moment the source may forget it until its
 * finality is proven. It sends nothing and verifies nothing; delivery.ts does.
 *
 * Invariants:
 *
 * (1) What `accept` took is in exactly one place: queued, in one live transaction, refused, or
 *     counted as final. Every move is one atomic, synced batch.
 * (2) A signed transaction is on disk before it can be sent, so that after a kill the very same
 *     bytes are sent again.
 * (3) A nonce is used for one body only: the next one is on disk with the transaction that took it.
 * (4) The position in a source moves in the batch that takes the readings before it.
 * (5) After a write that failed nothing is written any more: whether it is on disk is not known,
 *     and a further one could break (1) or (3). Opening again shows what is.
 *
 * | key | value |
 * |---|---|
 * | `q/<sequence, 16 digits>` | `Queued`: a queued reading |
 * | `t/<nonce, 16 digits>` | `StoredTransaction` |
 * | `x/<sequence>` | `RefusedReading` |
 * | `p/<source>` | rows of the source that were taken |
 * | `m/outbox` | `Meta` |
 */
import { mkdirSync } from "node:fs";
import { Level } from "level";
import { assert } from "../base/assert.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { Reading } from "./source-csv.ts";

/** A signed transaction with the readings in it. */
export type StoredTransaction = {
  readonly nonce: number;
  readonly id: string;
  /** Signed bytes, hexadecimal. */
  readonly bytes: string;
  readonly expiresAtMs: number;
  readonly readings: readonly Reading[];
  /** When the oldest of the readings was accepted, UTC milliseconds. */
  readonly acceptedAtMs: number;
};

/** What signing adds to readings and a nonce. */
export type SignedPart = Pick<StoredTransaction, "id" | "bytes" | "expiresAtMs">;

/** Signs readings with a nonce. Synchronous, so that nothing comes between nonce and disk. */
export type SignReadings = (readings: readonly Reading[], nonce: number) => SignedPart;

/** A reading that the ledger refused for good, with the code of its receipt. */
export type RefusedReading = { readonly reading: Reading; readonly code: string };

/** Where a source stands. */
export type SourcePosition = {
  /** Names the source and its very content. */
  readonly source: string;
  readonly rows: number;
};

/** How many readings are where. */
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
  readonly counts: OutboxCounts;
};

type Queued = { readonly reading: Reading; readonly acceptedAtMs: number };
type Database = Level<string, unknown>;
type Operation = { type: "put"; key: string; value: unknown } | { type: "del"; key: string };

const metaKey = "m/outbox";
const emptyMeta: Meta = {
  nextSequence: 1,
  nextNonce: 0,
  counts: { queued: 0, inFlight: 0, final: 0, refused: 0 },
};
const digits = (value: number) => String(value).padStart(16, "0");

/** A durable outbox. Changes run one after the other. */
export class Outbox {
  readonly #database: Database;
  readonly #directory: string;
  #meta: Meta;
  #turn: Promise<unknown> = Promise.resolve();
  #broken: LedgerError | undefined;

  private constructor(database: Database, directory: string, meta: Meta) {
    this.#database = database;
    this.#directory = directory;
    this.#meta = meta;
  }

  /** Opens or creates an outbox. @throws {LedgerError} GATEWAY_OUTBOX_UNREADABLE */
  static async open(directory: string): Promise<Outbox> {
    let database: Database | undefined;
    try {
      mkdirSync(directory, { recursive: true });
      database = new Level<string, unknown>(directory, { valueEncoding: "json" });
      await database.open();
      const meta = ((await database.get(metaKey)) ?? emptyMeta) as Meta;
      return new Outbox(database, directory, meta);
    } catch (cause) {
      await database?.close().catch(() => {});
      const reason = reasonOf(cause);
      throw new LedgerError("GATEWAY_OUTBOX_UNREADABLE", { directory, reason }, { cause });
    }
  }

  /** How many readings are where. */
  get counts(): OutboxCounts {
    return this.#meta.counts;
  }

  /** The next nonce, or 0 when it has to be learned first. */
  get nextNonce(): number {
    return this.#meta.nextNonce;
  }

  /** Skips nonces below `least`; never goes back (3). */
  raiseNonce(least: number): Promise<void> {
    return this.#alone(async () => {
      if (this.#meta.nextNonce < least) await this.#write([], { nextNonce: least });
    });
  }

  /** Rows of a source that were taken; 0 for one never seen. */
  async rowsTaken(source: string): Promise<number> {
    return ((await this.#database.get(positionKey(source))) ?? 0) as number;
  }

  /**
   * Takes readings over from a source, which may forget them afterwards (1), (4).
   *
   * @param nowMs - UTC milliseconds, for the age of what waits.
   */
  accept(readings: readonly Reading[], position: SourcePosition, nowMs: number): Promise<void> {
    return this.#alone(async () => {
      const { nextSequence } = this.#meta;
      const operations = readings.map((reading, index): Operation => {
        const value: Queued = { reading, acceptedAtMs: nowMs };
        return { type: "put", key: `q/${digits(nextSequence + index)}`, value };
      });
      operations.push({ type: "put", key: positionKey(position.source), value: position.rows });
      await this.#write(operations, {
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
  sign(countMax: number, signer: SignReadings): Promise<StoredTransaction | undefined> {
    return this.#alone(async () => {
      const rows = await this.#database.iterator({ gt: "q/", lt: "q0", limit: countMax }).all();
      if (rows.length === 0) return undefined;
      const { nextNonce } = this.#meta;
      assert(nextNonce > 0, "the first nonce is known before anything is signed");
      const queued = rows.map(([, value]) => value as Queued);
      const readings = queued.map(({ reading }) => reading);
      const acceptedAtMs = Math.min(...queued.map((one) => one.acceptedAtMs));
      const signed = signer(readings, nextNonce);
      const transaction = { nonce: nextNonce, ...signed, readings, acceptedAtMs };
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
    signer: SignReadings,
  ): Promise<StoredTransaction[]> {
    const count = parts.reduce((sum, part) => sum + part.length, 0);
    assert(count === transaction.readings.length, "a replacement holds the same readings");
    return this.#alone(async () => {
      const { nextNonce } = this.#meta;
      const { acceptedAtMs } = transaction;
      const replacements = parts.map((readings, index) => {
        const nonce = nextNonce + index;
        return { nonce, ...signer(readings, nonce), readings, acceptedAtMs };
      });
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
      const refused: RefusedReading = { reading, code };
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

  /** When the oldest reading that waits was accepted; `undefined` when none waits. */
  async oldestAcceptedAtMs(): Promise<number | undefined> {
    const queued = await this.#database.values({ gt: "q/", lt: "q0", limit: 1 }).all();
    const waiting = [...(await this.live()), ...(queued as Queued[])];
    if (waiting.length === 0) return undefined;
    return waiting.reduce((least, one) => Math.min(least, one.acceptedAtMs), Number.MAX_VALUE);
  }

  /** Ends what is under way and gives the directory free. */
  async close(): Promise<void> {
    await this.#turn;
    await this.#database.close();
  }

  /** Runs one change at a time: nonces, sequences and counts are read and written together. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(() => {
      if (this.#broken !== undefined) throw this.#broken;
      return change();
    });
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
    try {
      // `sync` is an option of LevelDB that the common interface does not know.
      await this.#database.batch(batch, { sync: true } as object);
    } catch (cause) {
      const facts = { directory: this.#directory, reason: reasonOf(cause) };
      this.#broken = new LedgerError("GATEWAY_OUTBOX_WRITE_FAILED", facts, { cause });
      throw this.#broken;
    }
    this.#meta = meta;
  }
}

function positionKey(source: string): string {
  return `p/${source}`;
}

function put(transaction: StoredTransaction): Operation {
  return { type: "put", key: `t/${digits(transaction.nonce)}`, value: transaction };
}

function remove({ nonce }: StoredTransaction): Operation {
  return { type: "del", key: `t/${digits(nonce)}` };
}

/** LevelDB wraps what the system said. */
function reasonOf(error: unknown): string {
  if (isLedgerError(error)) return error.message;
  const { code, message, cause } = error as NodeJS.ErrnoException;
  const inner = (cause as NodeJS.ErrnoException | undefined) ?? { code, message };
  if (inner.code === "LEVEL_LOCKED") return "another gateway has it open";
  return [inner.code, inner.message].filter((text) => text !== undefined).join(": ");
}

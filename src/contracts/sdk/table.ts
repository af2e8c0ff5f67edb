/**
 * Typed tables over the state: `table<T>("reading")` owns the keys `<contract>/reading/<key>`.
 *
 * A key may have parts divided by "/", such as `<meter>/<instant>`; entries lie in the order of
 * their UTF-8 bytes, so a part that sorts as text gives range and neighbour queries.
 *
 * Invariants:
 *
 * (1) A table belongs to the contract whose call first uses it; a module that declares tables is
 *     imported by one contract only. Others read through `foreignTable`.
 * (2) No query leaves the table: bounds are always below `<contract>/<table>/`.
 */
import { currentHost } from "./host.ts";
import { jsonText } from "./json.ts";

/** One entry of a query: the key without the contract, the table and `within`. */
export type Entry<T> = { readonly key: string; readonly value: T };

/** Bounds of a query; all keys in it are relative to `within`. */
export type RangeQuery = {
  /** Leading key part or parts, without the last "/". */
  readonly within?: string;
  readonly fromInclusive?: string;
  readonly toExclusive?: string;
  readonly reverse?: boolean;
  /** Entries at most, 1..1000; 1000 when left out. */
  readonly limit?: number;
};

let runningContract = "";

/** Names the contract whose call runs; set by the entry before each call. */
export function enterContract(name: string): void {
  runningContract = name;
}

/** A table that this contract only reads. */
export class ReadTable<T> {
  readonly #name: string;
  #contract: string | undefined;
  #prefix = "";

  constructor(name: string, contract?: string) {
    this.#name = name;
    this.#contract = contract;
    if (contract !== undefined) this.#prefix = `${contract}/${name}/`;
  }

  /** Returns the full state key of an entry, as receipts and proofs name it. */
  stateKey(key: string): string {
    if (this.#contract === undefined) {
      this.#contract = runningContract;
      this.#prefix = `${runningContract}/${this.#name}/`;
    }
    return this.#prefix + key;
  }

  /** Returns the value of a key, or undefined. */
  get(key: string): T | undefined {
    const value = currentHost().get(this.stateKey(key));
    return value === undefined ? undefined : (JSON.parse(value) as T);
  }

  /** Tells whether a key has a value. */
  has(key: string): boolean {
    return currentHost().get(this.stateKey(key)) !== undefined;
  }

  /** Returns the entries of a range, in key order unless reversed. */
  range(query: RangeQuery = {}): Entry<T>[] {
    const base = this.stateKey(query.within === undefined ? "" : `${query.within}/`);
    const from = base + (query.fromInclusive ?? "");
    // "0" follows "/" in ASCII, so this bound is just behind every key of the base.
    const to = query.toExclusive === undefined ? `${base.slice(0, -1)}0` : base + query.toExclusive;
    if (from >= to) return [];
    const found = currentHost().range(from, to, query.reverse === true, query.limit ?? 1_000);
    return (JSON.parse(found) as [string, string][]).map(([key, value]) => ({
      key: key.slice(base.length),
      value: JSON.parse(value) as T,
    }));
  }

  /** Returns the nearest entry below `key` among those within `within`. */
  before(within: string, key: string): Entry<T> | undefined {
    return this.range({ within, toExclusive: key, reverse: true, limit: 1 })[0];
  }

  /** Returns the nearest entry at or above `key` among those within `within`. */
  atOrAfter(within: string, key: string): Entry<T> | undefined {
    return this.range({ within, fromInclusive: key, limit: 1 })[0];
  }
}

/** A table that this contract owns. */
export class Table<T> extends ReadTable<T> {
  /** Writes a value; the host stores its canonical form. @throws {Error} without a JSON form. */
  set(key: string, value: T): void {
    currentHost().set(this.stateKey(key), jsonText(value));
  }

  /** Writes a value whose JSON text the caller made; for hot paths. */
  setText(key: string, valueJson: string): void {
    currentHost().set(this.stateKey(key), valueJson);
  }

  /** Removes a key; absent keys stay absent. */
  delete(key: string): void {
    currentHost().delete(this.stateKey(key));
  }
}

/** Declares a table of this contract. */
export function table<T>(name: string): Table<T> {
  return new Table<T>(name);
}

/** Declares a table of another contract, to read. */
export function foreignTable<T>(contract: string, name: string): ReadTable<T> {
  return new ReadTable<T>(name, contract);
}

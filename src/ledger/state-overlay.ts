/**
 * The state as the transactions of an unfinished block see it: a base state with changes on top.
 * The base must not change meanwhile; nothing here writes to it.
 */
import { compareUtf8 } from "../base/bytes.ts";
import { type Hash, valueHashOf } from "../base/hash.ts";
import type { KeyRange, StateChange, StateReader } from "./types.ts";

type Entry = { readonly value: string | undefined; readonly valueHash: Hash | undefined };

/** The changed keys, ascending, of which those of a range stand in first..end (excluded). */
type ChangedKeys = {
  readonly keys: readonly string[];
  readonly first: number;
  readonly end: number;
};

/** A readable state with uncommitted changes. */
export class StateOverlay implements StateReader {
  readonly #base: StateReader;
  readonly #entries = new Map<string, Entry>();
  /** Changed keys, ascending, as far as a range needed them. */
  #sorted: string[] = [];
  #unsorted: string[] = [];
  /** Keys that are deleted here, whether or not the base has them. */
  #deletedCount = 0;

  constructor(base: StateReader) {
    this.#base = base;
  }

  get(key: string): string | undefined {
    const entry = this.#entries.get(key);
    return entry === undefined ? this.#base.get(key) : entry.value;
  }

  /** Sets or (`undefined`) deletes a key. @returns The hash of the new value. */
  set(key: string, value: string | undefined): Hash | undefined {
    const valueHash = value === undefined ? undefined : valueHashOf(value);
    const before = this.#entries.get(key);
    if (before === undefined) this.#unsorted.push(key);
    else if (before.value === undefined) this.#deletedCount -= 1;
    if (value === undefined) this.#deletedCount += 1;
    this.#entries.set(key, { value, valueHash });
    return valueHash;
  }

  range(range: KeyRange): readonly (readonly [key: string, value: string])[] {
    const changed = this.#changedIn(range);
    if (changed.first === changed.end) return this.#base.range(range);
    // Deleted keys may take places of the base's answer, so that many more are asked for.
    const limit = range.limit + this.#hiddenBy(changed);
    return this.#merge(range, this.#base.range({ ...range, limit }), changed);
  }

  hiddenRows(range: KeyRange): number {
    return this.#hiddenBy(this.#changedIn(range));
  }

  /** Returns the net changes with their hashes, ascending by key bytes. */
  netChanges(): {
    readonly changes: readonly StateChange[];
    readonly hashes: readonly (readonly [key: string, valueHash: Hash | undefined])[];
  } {
    const keys = this.#sortedKeys();
    const entry = (key: string) => this.#entries.get(key) as Entry;
    return {
      changes: keys.map((key) => [key, entry(key).value] as const),
      hashes: keys.map((key) => [key, entry(key).valueHash] as const),
    };
  }

  /** Walks changed keys and the base's rows side by side, no further than the limit. */
  #merge(
    { reverse, limit }: KeyRange,
    base: readonly (readonly [string, string])[],
    changed: ChangedKeys,
  ): [string, string][] {
    const step = reverse ? -1 : 1;
    const rows: [string, string][] = [];
    let place = reverse ? changed.end - 1 : changed.first;
    let row = 0;
    while (rows.length < limit) {
      const key = place >= changed.first && place < changed.end ? changed.keys[place] : undefined;
      const next = base[row];
      if (key === undefined && next === undefined) break;
      const order = compareHeads(key, next?.[0]) * step;
      if (key === undefined || (next !== undefined && order > 0)) {
        rows.push([...(next as readonly [string, string])]);
        row += 1;
        continue;
      }
      const value = this.#entries.get(key)?.value;
      if (value !== undefined) rows.push([key, value]);
      place += step;
      if (order === 0) row += 1;
    }
    return rows;
  }

  #changedIn({ from, to }: KeyRange): ChangedKeys {
    const keys = this.#sortedKeys();
    const first = lowerBound(keys, from);
    return { keys, first, end: Math.max(first, lowerBound(keys, to)) };
  }

  #hiddenBy({ first, end }: ChangedKeys): number {
    return Math.min(this.#deletedCount, end - first);
  }

  #sortedKeys(): readonly string[] {
    const added = this.#unsorted;
    this.#unsorted = [];
    if (added.length > 16) this.#sorted = this.#sorted.concat(added).sort(compareUtf8);
    else for (const key of added) this.#sorted.splice(lowerBound(this.#sorted, key), 0, key);
    return this.#sorted;
  }
}

/** Order of two keys of which one may have run out; then it says nothing. */
function compareHeads(changed: string | undefined, base: string | undefined): number {
  return changed === undefined || base === undefined ? -1 : compareUtf8(changed, base);
}

/** Index of the first key that is not below `bound`. */
function lowerBound(keys: readonly string[], bound: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareUtf8(keys[middle] as string, bound) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

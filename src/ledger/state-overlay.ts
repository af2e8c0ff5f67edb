/**
 * The state as the transactions of an unfinished block see it: a base state with changes on top.
 * The base must not change meanwhile; nothing here writes to it.
 */
import { compareUtf8 } from "../base/bytes.ts";
import { type Hash, valueHashOf } from "../base/hash.ts";
import type { KeyRange, StateChange, StateReader } from "./types.ts";

type Entry = { readonly value: string | undefined; readonly valueHash: Hash | undefined };

/** A readable state with uncommitted changes. */
export class StateOverlay implements StateReader {
  readonly #base: StateReader;
  readonly #entries = new Map<string, Entry>();
  /** Changed keys, ascending, as far as a range needed them. */
  #sorted: string[] = [];
  #unsorted: string[] = [];

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
    if (!this.#entries.has(key)) this.#unsorted.push(key);
    this.#entries.set(key, { value, valueHash });
    return valueHash;
  }

  range(range: KeyRange): readonly (readonly [key: string, value: string])[] {
    const changed = this.#changedKeys(range);
    if (changed.length === 0) return this.#base.range(range);
    const deleted = changed.filter((key) => this.#entries.get(key)?.value === undefined).length;
    // Deleted keys may take places of the base's answer, so that many more are asked for.
    const base = this.#base.range({ ...range, limit: range.limit + deleted });
    return this.#merge(range, base, changed);
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

  #merge(
    range: KeyRange,
    base: readonly (readonly [string, string])[],
    changed: readonly string[],
  ): [string, string][] {
    const direction = range.reverse ? -1 : 1;
    const rows: [string, string][] = [];
    let next = 0;
    const takeChanged = () => {
      const key = changed[next] as string;
      const value = this.#entries.get(key)?.value;
      if (value !== undefined) rows.push([key, value]);
      next += 1;
    };
    for (const [key, value] of base) {
      while (next < changed.length && compareUtf8(changed[next] as string, key) * direction < 0)
        takeChanged();
      if (changed[next] === key) takeChanged();
      else rows.push([key, value]);
    }
    while (next < changed.length) takeChanged();
    return rows.slice(0, range.limit);
  }

  /** Changed keys of a range, in its direction. */
  #changedKeys({ from, to, reverse }: KeyRange): string[] {
    const keys = this.#sortedKeys();
    const inside = keys.slice(lowerBound(keys, from), lowerBound(keys, to));
    return reverse ? inside.reverse() : inside;
  }

  #sortedKeys(): readonly string[] {
    const added = this.#unsorted;
    this.#unsorted = [];
    if (added.length > 16) this.#sorted = this.#sorted.concat(added).sort(compareUtf8);
    else for (const key of added) this.#sorted.splice(lowerBound(this.#sorted, key), 0, key);
    return this.#sorted;
  }
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

/**
 * Bounded cache of state values: the least recently used go first. The bound counts UTF-16 units
 * of keys and values, which is within a factor of two of the bytes they take.
 */

/** A cache of texts by key. */
export class ValueCache {
  readonly #charsMax: number;
  readonly #values = new Map<string, string>();
  #chars = 0;

  constructor(charsMax: number) {
    this.#charsMax = charsMax;
  }

  /** Returns a value and marks it as used; `undefined` when it is not in the cache. */
  get(key: string): string | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    // A Map keeps the order of insertion, so the oldest entry is the least recently used.
    this.#values.delete(key);
    this.#values.set(key, value);
    return value;
  }

  /** Keeps a value; `undefined` forgets the key. */
  set(key: string, value: string | undefined): void {
    const old = this.#values.get(key);
    if (old !== undefined) {
      this.#values.delete(key);
      this.#chars -= key.length + old.length;
    }
    if (value === undefined) return;
    this.#values.set(key, value);
    this.#chars += key.length + value.length;
    for (const [oldestKey, oldest] of this.#values) {
      if (this.#chars <= this.#charsMax) return;
      this.#values.delete(oldestKey);
      this.#chars -= oldestKey.length + oldest.length;
    }
  }
}

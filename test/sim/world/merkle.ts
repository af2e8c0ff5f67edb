/**
 * Roots that headers promise, computed from docs/DATA_FORMAT.md ("Trees") apart from the product:
 * by the recursive definitions, where the product builds levels or folds a sequence.
 */
import { hash } from "node:crypto";

type Leaf = { readonly key: string; readonly bits: string; readonly digest: Buffer };

const emptyRoot = hash("sha256", "");

/** Returns the RFC 6962 root of a list. */
export function listRoot(items: readonly Uint8Array[]): string {
  return items.length === 0 ? emptyRoot : listDigest(items).toString("hex");
}

function listDigest(items: readonly Uint8Array[]): Buffer {
  const [only, ...more] = items;
  if (only !== undefined && more.length === 0) return digest(Buffer.of(0), only);
  // The largest power of two below the count.
  let split = 1;
  while (2 * split < items.length) split *= 2;
  return digest(Buffer.of(1), listDigest(items.slice(0, split)), listDigest(items.slice(split)));
}

/** A set of keys with the hashes of their values, and its root. */
export class HashedState {
  readonly #leaves = new Map<string, Leaf>();
  readonly #hashes = new Map<string, string>();

  constructor(entries: Iterable<readonly [key: string, value: string]> = []) {
    for (const [key, value] of entries) this.set(key, valueHash(value));
  }

  /** Value hashes by key. */
  get hashes(): ReadonlyMap<string, string> {
    return this.#hashes;
  }

  /** Gives a key a value, or none. */
  set(key: string, valueHash: string | undefined): void {
    if (valueHash === undefined) {
      this.#leaves.delete(key);
      this.#hashes.delete(key);
      return;
    }
    const bits = this.#leaves.get(key)?.bits ?? bitsOf(key);
    const leaf = digest(Buffer.of(2), Buffer.from(valueHash, "hex"), Buffer.from(key));
    this.#leaves.set(key, { key, bits, digest: leaf });
    this.#hashes.set(key, valueHash);
  }

  root(): string {
    const leaves = [...this.#leaves.values()];
    leaves.sort((left, right) => (left.bits < right.bits ? -1 : 1));
    return leaves.length === 0 ? emptyRoot : stateDigest(leaves).toString("hex");
  }
}

/** Returns what stands in the state for a value. */
export function valueHash(value: string): string {
  return hash("sha256", value);
}

function stateDigest(leaves: readonly Leaf[]): Buffer {
  const first = leaves[0] as Leaf;
  const last = leaves.at(-1) as Leaf;
  if (leaves.length === 1) return first.digest;
  // In order, so what the first and the last share is shared by all.
  let split = 0;
  while (first.bits[split] === last.bits[split]) split += 1;
  const middle = leaves.findIndex(({ bits }) => bits[split] === "1");
  const place = Buffer.of(3, split >> 8, split & 255);
  return digest(place, stateDigest(leaves.slice(0, middle)), stateDigest(leaves.slice(middle)));
}

/** For each byte a 1 and its eight bits, and a 0 at the end. */
function bitsOf(key: string): string {
  const bytes = Array.from(Buffer.from(key), (byte) => `1${byte.toString(2).padStart(8, "0")}`);
  return `${bytes.join("")}0`;
}

function digest(...parts: readonly Uint8Array[]): Buffer {
  return hash("sha256", Buffer.concat(parts), "buffer");
}

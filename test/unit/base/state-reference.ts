/**
 * The state tree in its plainest form: keys as texts of "0" and "1", split by recursion. Slow and
 * short, so that it can be compared with the specification by eye. Tests compare all else with it.
 */
import { createHash } from "node:crypto";

export type ReferenceEntry = readonly [key: string, valueHash: string];

/** Nine bits a byte (a 1 and the byte), and a 0 at the end. */
export function bitsOf(key: string): string {
  const bytes = [...Buffer.from(key, "utf8")];
  return `${bytes.map((byte) => `1${byte.toString(2).padStart(8, "0")}`).join("")}0`;
}

/** Root over entries in any order. */
export function referenceRoot(entries: readonly ReferenceEntry[]): string {
  if (entries.length === 0) return digest([]);
  return hashOf(entries.map(([key, valueHash]) => ({ key, valueHash, bits: bitsOf(key) })));
}

type Leaf = { readonly key: string; readonly valueHash: string; readonly bits: string };

function hashOf(leaves: readonly Leaf[]): string {
  const [first] = leaves as [Leaf];
  if (leaves.length === 1)
    return digest([Buffer.of(2), Buffer.from(first.valueHash, "hex"), Buffer.from(first.key)]);
  let split = 0;
  while (leaves.every(({ bits }) => bits[split] === first.bits[split])) split += 1;
  const side = (bit: string) => hashOf(leaves.filter(({ bits }) => bits[split] === bit));
  const head = Buffer.of(3, Math.floor(split / 256), split % 256);
  return digest([head, Buffer.from(side("0"), "hex"), Buffer.from(side("1"), "hex")]);
}

function digest(parts: readonly Buffer[]): string {
  return createHash("sha256").update(Buffer.concat(parts)).digest("hex");
}

/**
 * Cost of the state tree at 500,000 keys: time a batch of changes, memory a key, proof time and
 * size. Run: `npx vitest bench --run bench/state-tree.bench.ts --execArgv=--expose-gc`.
 *
 * Keys look like those of the metering contract. Every batch is applied to the same tree, so each
 * round does the same work; figures for a chain of versions differ by garbage collection only.
 */
import { createHash } from "node:crypto";
import { bench, describe } from "vitest";
import type { Hash } from "../src/base/hash.ts";
import { verifyInclusion } from "../src/base/proof/state-proof.ts";
import { StateTree } from "../src/ledger/state-tree.ts";

const keyCount = 500_000;

function digest(text: string): Hash {
  return createHash("sha256").update(text).digest("hex");
}

function keyOf(index: number): string {
  const meter = digest(`meter ${index % 1_000}`).slice(0, 8);
  return `metering/reading/${meter}/${String(Math.floor(index / 1_000)).padStart(8, "0")}`;
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const entries = Array.from({ length: keyCount }, (_, index) => keyOf(index))
  .sort()
  .map((key) => [key, digest(key)] as const);
const heapBefore = heapBytes();
const startedMs = performance.now();
const tree = StateTree.fromSorted(entries);
const builtMs = performance.now() - startedMs;
const treeBytes = heapBytes() - heapBefore;

const [sampleKey, sampleHash] = entries[keyCount / 2] as readonly [string, Hash];
const sampleProof = tree.proveInclusion(sampleKey) as { path: readonly unknown[] };
const proofJsonBytes = JSON.stringify(sampleProof).length;

console.log(
  `build ${builtMs.toFixed(0)} ms; ${globalThis.gc ? `${Math.round(treeBytes / keyCount)} B` : "? B (run node with --expose-gc)"} a key; ` +
    `proof: ${sampleProof.path.length} siblings, ${sampleProof.path.length * 34} B packed, ${proofJsonBytes} B as JSON`,
);

/** Changes spread over the whole tree, half of them to new keys. */
function batchOf(changeCount: number): (readonly [string, Hash])[] {
  const keys = Array.from({ length: changeCount }, (_, index) => {
    const key = keyOf((index * 314_159) % keyCount);
    return index % 2 === 0 ? key : `${key}x`;
  });
  return [...new Set(keys)].sort().map((key) => [key, digest(`${key} changed`)] as const);
}

describe("state tree of 500,000 keys (divide by the batch size)", () => {
  for (const changeCount of [1, 100, 1_000, 5_000]) {
    const batch = batchOf(changeCount);
    bench(`apply a batch of ${batch.length}`, () => void tree.apply(batch), { time: 500 });
  }
  bench("get", () => void tree.get(sampleKey), { time: 200 });
  bench("prove inclusion", () => void tree.proveInclusion(sampleKey), { time: 200 });
  const proof = tree.proveInclusion(sampleKey);
  bench(
    "verify inclusion, portable SHA-256",
    () => {
      if (proof === undefined) throw new Error("the sample key is present");
      verifyInclusion(proof, { key: sampleKey, valueHash: sampleHash }, tree.root);
    },
    { time: 200 },
  );
  bench("list 1,000 keys", () => void tree.keys({ from: sampleKey, limit: 1_000 }), { time: 200 });
});

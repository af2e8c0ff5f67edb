/** The benchmark of faults says so when a bound does not hold, and counts what never came back. */
import { expect, it } from "vitest";

// Plain JavaScript without types.
const moduleOf = (file: string) => import(new URL(`../../../bench/${file}`, import.meta.url).href);
const { judge } = await moduleOf("fault-bounds.mjs");
const { percentiles } = await moduleOf("load.mjs");

const phase = { final: 3_000, lost: 0, refused: {}, p50Ms: 80, p99Ms: 150 };
const good = {
  ...{ healthy: phase, dying: phase, oneDead: { ...phase, p50Ms: 100, p99Ms: 1_300 } },
  ...{ heightBefore: 90, heightAfter: 90, firstBlockMs: 3_000 },
};

it("holds for a good run", () => {
  expect(new Set(Object.values(judge(good).holds))).toEqual(new Set([true]));
});

it.each<[string, object]>([
  ["p50Ratio", { oneDead: { ...phase, p50Ms: 105 } }],
  ["p99MoreMs", { oneDead: { ...phase, p99Ms: 1_351 } }],
  ["firstBlockMs", { firstBlockMs: Number.POSITIVE_INFINITY }],
  ["noneLost", { healthy: { ...phase, lost: 1 } }],
  ["noneLost", { dying: { ...phase, final: 0 } }],
  ["noneRefused", { dying: { ...phase, refused: { MEMPOOL_FULL: 1 } } }],
  ["noBlockWithoutQuorum", { heightAfter: 91 }],
  ["noBlockWithoutQuorum", { heightBefore: -1, heightAfter: -1 }],
])("%s alone does not hold with %j", (bound, change) => {
  const { holds } = judge({ ...good, ...change });
  expect(Object.keys(holds).filter((name) => !holds[name])).toEqual([bound]);
});

it("what never became final counts in the percentiles", () => {
  const latenciesMs = Array.from({ length: 98 }, (_, index) => 98 - index);
  expect(percentiles(latenciesMs, 98)).toEqual({ p50Ms: 50, p95Ms: 94, p99Ms: 98, maxMs: 98 });
  const never = Number.POSITIVE_INFINITY;
  expect(percentiles(latenciesMs, 100)).toMatchObject({ p50Ms: 51, p99Ms: never, maxMs: never });
});

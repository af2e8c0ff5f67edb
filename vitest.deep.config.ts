import { defineConfig } from "vitest/config";
import base from "./vitest.config.ts";

const deep = (names: readonly string[]) => names.map((name) => `test/deep/${name}.test.ts`);

/** What computes on one core and has no bounds of time: two files at a time. */
const computing = [
  ...deep(["codec-fuzz", "disk-damage", "disk-kills", "model", "node-versions", "removed-fixes"]),
  ...deep(["signing-cuts", "snapshot-liars", "time-jacking", "twins", "two-proposals"]),
  "test/e2e/store-kill.test.ts",
  "test/e2e/replay-kill.test.ts",
  "test/unit/ledger/verify-chain.test.ts",
];

/** What runs processes with bounds of time, or takes both cores itself: one file after the other. */
const alone = ["test/deep/**/*.test.ts"];

const common = { ...base.test, env: { DEEP: "1" }, testTimeout: 900_000, isolate: true };
const { resolve } = base;

/** `npm run test:deep`: what takes longer than `npm test` may; kill tests with more kills. */
export default defineConfig({
  test: {
    projects: [
      {
        resolve,
        test: {
          ...common,
          ...{ name: "computing", include: computing, exclude: [] },
          ...{ maxWorkers: 2, sequence: { groupOrder: 0 } },
        },
      },
      {
        resolve,
        test: {
          ...common,
          ...{ name: "alone", include: alone, exclude: computing },
          ...{ maxWorkers: 1, fileParallelism: false, sequence: { groupOrder: 1 } },
        },
      },
    ],
  },
});

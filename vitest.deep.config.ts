import { inTwoGroups } from "./vitest.groups.ts";

const deep = (names: readonly string[]) => names.map((name) => `test/deep/${name}.test.ts`);

/**
 * `npm run test:deep`: what takes longer than `npm test` may; kill tests with more kills. What runs
 * processes with bounds of time, or takes both cores itself, is alone.
 */
export default inTwoGroups({
  sharing: [
    ...deep(["codec-fuzz", "disk-damage", "disk-damage-nodes", "disk-kills", "model"]),
    ...deep(["node-versions", "removed-fixes", "signing-cuts", "snapshot", "snapshot-liars"]),
    ...deep(["time-jacking", "twins", "two-proposals"]),
    "test/e2e/store-kill.test.ts",
    "test/e2e/replay-kill.test.ts",
    "test/unit/ledger/verify-chain.test.ts",
  ],
  all: ["test/deep/**/*.test.ts"],
  test: { env: { DEEP: "1" }, testTimeout: 900_000 },
});

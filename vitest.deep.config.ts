import { mergeConfig } from "vitest/config";
import base from "./vitest.config.ts";

/** `npm run test:deep`: what takes longer than `npm test` may; kill tests with more kills. */
export default mergeConfig(
  { ...base, test: { ...base.test, include: [], exclude: [] } },
  {
    test: {
      include: [
        "test/deep/**/*.test.ts",
        "test/e2e/store-kill.test.ts",
        "test/e2e/replay-kill.test.ts",
        "test/unit/ledger/verify-chain.test.ts",
      ],
      env: { DEEP: "1" },
      testTimeout: 900_000,
      isolate: true,
      fileParallelism: false,
    },
  },
);

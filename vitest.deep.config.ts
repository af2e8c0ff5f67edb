import { mergeConfig } from "vitest/config";
import base from "./vitest.config.ts";

/** `npm run test:deep`: what takes longer than `npm test` may. */
export default mergeConfig(
  { ...base, test: { ...base.test, include: [], exclude: [] } },
  { test: { include: ["test/deep/**/*.test.ts"], testTimeout: 900_000, fileParallelism: false } },
);

import { mergeConfig } from "vitest/config";
import base from "./vitest.config.ts";

/** Tests with real processes or networks, one file after the other: they would take each other's cores. */
export default mergeConfig(
  { ...base, test: { ...base.test, include: [], exclude: [] } },
  { test: { include: ["test/e2e/**/*.test.ts"], isolate: true, fileParallelism: false } },
);

import { mergeConfig } from "vitest/config";
import base from "./vitest.config.ts";

/** Tests that may catch a mutation of the consensus core (`stryker.config.json`): nothing random. */
export default mergeConfig(
  { ...base, test: { ...base.test, include: [] } },
  { test: { include: ["test/unit/consensus/**/*.test.ts", "test/scenario/**/*.test.ts"] } },
);

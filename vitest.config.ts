import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Unit, property, golden and scenario tests. Processes and networks: vitest.e2e.config.ts. */
export default defineConfig({
  resolve: {
    alias: {
      "loopledger/contract": fileURLToPath(new URL("src/contracts/sdk/index.ts", import.meta.url)),
    },
  },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/deep/**", "test/e2e/**"],
    testTimeout: 30_000,
    maxWorkers: 2,
    // Files share loaded modules: the product has no state in them but the injected hash, which
    // gives the same bytes. It halves the time.
    isolate: false,
  },
});

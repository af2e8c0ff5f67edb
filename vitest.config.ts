import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: {
    alias: {
      "loopledger/contract": fileURLToPath(new URL("src/contracts/sdk/index.ts", import.meta.url)),
    },
  },
  test: { include: ["test/**/*.test.ts"], exclude: ["test/deep/**"], testTimeout: 30_000 },
});

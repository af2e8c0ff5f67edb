import { mergeConfig } from "vitest/config";
import base from "./vitest.config.ts";

/**
 * `npm run coverage`: what must be trusted has no branch that its own tests do not take. Lines that
 * cannot be reached carry `v8 ignore` with a reason; docs/TESTING.md lists and counts them.
 */
export default mergeConfig(
  { ...base, test: { ...base.test, include: [] } },
  {
    test: {
      include: [
        "test/unit/base/**/*.test.ts",
        "test/unit/consensus/**/*.test.ts",
        "test/property/codec.test.ts",
        "test/property/json.test.ts",
        "test/property/replay-window.test.ts",
        "test/unit/ledger/replay-window.test.ts",
        "test/golden/**/*.test.ts",
        "test/scenario/**/*.test.ts",
      ],
      coverage: {
        enabled: true,
        provider: "v8",
        include: ["src/consensus/**/*.ts", "src/base/format/**/*.ts", "src/base/proof/**/*.ts"],
        // Types alone: nothing to run.
        exclude: ["src/consensus/event.ts"],
        reporter: [["text", { skipFull: true }], "json"],
        reportsDirectory: "node_modules/.cache/coverage",
        reportOnFailure: true,
        thresholds: { branches: 100, functions: 100, lines: 100 },
      },
    },
  },
);

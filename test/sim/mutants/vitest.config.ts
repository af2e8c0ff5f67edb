/** Runs tests of the project against one mutant: `MUTANT=<name> vitest --config <this file>`. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { applyMutant } from "./mutant.ts";
import { mutants } from "./table.ts";

const name = process.env.MUTANT;
const mutant = mutants.find((each) => each.name === name);
if (name !== undefined && mutant === undefined) throw new Error(`no mutant "${name}"`);

const root = fileURLToPath(new URL("../../..", import.meta.url));

export default defineConfig({
  root,
  resolve: {
    alias: { "loopledger/contract": `${root}src/contracts/sdk/index.ts` },
  },
  plugins: [
    {
      name: "mutant",
      enforce: "pre",
      transform: (code: string, id: string) =>
        mutant !== undefined && id === `${root}src/${mutant.file}`
          ? { code: applyMutant(mutant, code), map: null }
          : undefined,
    },
  ],
  // On a busy machine a test that waits must not pass for one that found something.
  test: { testTimeout: 120_000, retry: 2, maxWorkers: 1, isolate: false, bail: 1 },
});

/**
 * Every injected bug still fits the code, in exactly one place, or `npm run sim:mutants` would test
 * less than its table says. When it fails, bring the row up to date with the changed code.
 */
import { readFileSync } from "node:fs";
import { transformSync } from "esbuild";
import { expect, it } from "vitest";
import { applyMutant } from "./mutant.ts";
import { mutants } from "./table.ts";

const root = new URL("../../../", import.meta.url).pathname;

it("each injected bug fits one place, and what results is TypeScript", () => {
  const misfits = mutants.flatMap((mutant) => {
    try {
      const source = readFileSync(`${root}src/${mutant.file}`, "utf8");
      transformSync(applyMutant(mutant, source), { loader: "ts" });
      return [];
    } catch (error) {
      return [String(error)];
    }
  });
  expect(misfits).toEqual([]);
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
});

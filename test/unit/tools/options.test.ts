import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const run = (script: string, ...args: string[]) =>
  spawnSync(process.execPath, [script, ...args], { cwd: root, encoding: "utf8" });

describe("options of the project's commands", () => {
  const scripts = [
    "bench/faults.mjs",
    "bench/run.mjs",
    "test/model/run.mjs",
    "test/sim/mutants/run.mjs",
    "test/sim/run.mjs",
    "test/sim/twins/run.mjs",
    "tools/disk-kills.mjs",
    "tools/mutation.mjs",
    "tools/perturb.mjs",
  ];

  it.each(scripts)("%s tells its options", (script) => {
    const { status, stdout, stderr } = run(script, "--help");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^`npm run [a-z:]+`: [\s\S]*\n {2}--[a-z]/);
    expect(stdout).not.toContain("*/");
  });

  it.each([
    ["--seeds", "many", "--seeds many: expected a whole number from 1 on"],
    ["--seeds", "0", "--seeds 0: expected a whole number from 1 on"],
    ["--seeds", "1e3", "--seeds 1e3: expected a whole number from 1 on"],
    ["--from", "9007199254740993", "--from 9007199254740993: expected a whole number from 0 on"],
    ["--sedes", "5", "Unknown option '--sedes'"],
    ["--model", "--no-shrink", "--model goes with --seed only"],
    ["--without", "loss", "--without goes with --seed only"],
  ])("a simulation does not run with %s %s", (name, value, message) => {
    const { status, stdout, stderr } = run("test/sim/run.mjs", name, value);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).toContain("--help shows the options");
    expect(stderr.trim().split("\n")).toHaveLength(2);
  });

  it("a choice is one of those there are", () => {
    const { status, stderr } = run("tools/perturb.mjs", "--links", "wires");
    expect(status).toBe(2);
    expect(stderr).toContain("--links wires: expected one of namespaces, proxy");
  });

  it("a command in TypeScript ends with the exit code of its options", () => {
    const { status, stderr } = run("test/sim/mutants/run.mjs", "--sample", "none");
    expect(status).toBe(2);
    expect(stderr).toContain("--sample none: expected a whole number from 1 on");
  });
});

/** The checkers that mutants are run against, in order, each in a process of its own. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { build, type Plugin } from "esbuild";
import type { Verdict } from "./core-check.ts";
import { applyMutant, type Mutant } from "./mutant.ts";

/** Root of the project; the command is run from there. */
export const root = process.cwd();

/** One way to find out that something is wrong. */
export type Checker = {
  readonly name: string;
  /** What is counted until it is found. */
  readonly unit: "scenarios" | "seeds" | "test";
  /** Files below src that it runs; it cannot see changes of others. */
  readonly sees: (file: string) => boolean;
  readonly run: (mutant: Mutant | undefined, folder: string) => Promise<Verdict>;
};

/** A mutant may never come to an end. */
const processMsMax = 300_000;

/** What a process said, and whether it had to be ended. */
export type Ended = { readonly output: string; readonly isLate: boolean };

function runProcess(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const stdio: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"];
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio,
    });
    let output = "";
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, processMsMax);
    child.stdout.on("data", (data) => {
      output += String(data);
    });
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      resolve({ output, isLate });
    });
  });
}

const breakdown = (caught: string): Verdict => ({ caught, isBreakdown: true, after: 1 });

/** Reads what a process with a checker in it printed last. */
export function verdictOf({ output, isLate }: Ended): Verdict {
  if (isLate) return breakdown("it never ends");
  const line = output.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith("{")) return breakdown("the process breaks down");
  const { caught, after } = JSON.parse(line);
  return { caught: caught?.split("\n")[0], after };
}

function mutating(mutant: Mutant | undefined): Plugin {
  return {
    name: "mutant",
    setup: ({ onLoad }) => {
      onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
        if (mutant === undefined || path !== `${root}/src/${mutant.file}`) return undefined;
        return { contents: applyMutant(mutant, readFileSync(path, "utf8")), loader: "ts" };
      });
    },
  };
}

/** Bundles a checker with the mutant in it, and runs it. */
function bundled(entry: string, ...args: readonly string[]): Checker["run"] {
  return async (mutant, folder) => {
    const outfile = `${folder}/${entry}.mjs`;
    await build({
      entryPoints: [`${root}/test/sim/mutants/${entry}.ts`],
      bundle: true,
      packages: "external",
      platform: "node",
      format: "esm",
      outfile,
      logLevel: "error",
      plugins: [mutating(mutant)],
    });
    return verdictOf(await runProcess([outfile, ...args]));
  };
}

/** What vitest reports as JSON. */
export type Report = {
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
};

function tests(paths: readonly string[], excluded: readonly string[] = []): Checker["run"] {
  return async (mutant, folder) => {
    const report = `${folder}/report.json`;
    const config = "test/sim/mutants/vitest.config.ts";
    const args = ["run", "--config", config, "--reporter=json", `--outputFile=${report}`];
    args.push(...excluded.flatMap((path) => ["--exclude", path]));
    const env = mutant === undefined ? {} : { MUTANT: mutant.name };
    const { isLate } = await runProcess(["node_modules/vitest/vitest.mjs", ...args, ...paths], env);
    if (isLate) return breakdown("it never ends");
    if (!existsSync(report)) return breakdown("the process breaks down");
    return testVerdict(JSON.parse(readFileSync(report, "utf8")));
  };
}

/** Reads a report: a test that failed says more than one that took too long, or did not load. */
export function testVerdict({ testResults }: Report): Verdict {
  const results = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map((result) => ({
      ...result,
      name: `${shortName(name)}: ${result.fullName}`,
    })),
  );
  const failed = results.filter(({ status }) => status === "failed");
  const isLate = ({ failureMessages = [] }: (typeof failed)[number]) =>
    failureMessages.every((message) => /(Test|Hook) timed out in \d+ms/.test(message));
  const telling = failed.find((result) => !isLate(result));
  if (telling !== undefined) return { caught: telling.name, after: 1 };
  const [late] = failed;
  if (late !== undefined) return breakdown(`${late.name} takes too long`);
  const broken = testResults.find(({ message }) => message !== "");
  if (broken !== undefined) return breakdown(`${shortName(broken.name)} does not load`);
  return { after: results.filter(({ status }) => status !== "pending").length };
}

function shortName(path: string): string {
  return path.slice(path.indexOf("/test/") + 6).replace(".test.ts", "");
}

const isOfProtocol = (file: string) => /^(consensus|base)\//.test(file);
/** Twins fakes signatures. */
const isOfCore = (file: string) => isOfProtocol(file) && !file.startsWith("base/format/");

/** Hundreds of heights: they come after the others. */
const livenessTests = "test/unit/consensus/liveness.test.ts";

/** In the order in which they are tried, the quicker ones first. */
export const checkers: readonly Checker[] = [
  { name: "Twins", unit: "scenarios", sees: isOfCore, run: bundled("core-check", "twins", "400") },
  {
    name: "cluster",
    unit: "seeds",
    sees: isOfProtocol,
    run: bundled("core-check", "cluster", "16"),
  },
  {
    name: "tests of the core",
    unit: "test",
    sees: isOfProtocol,
    run: tests(
      [
        "test/unit/consensus",
        "test/unit/base/proof",
        "test/unit/base/proposer-schedule.test.ts",
        "test/unit/base/signing-record.test.ts",
      ],
      [livenessTests],
    ),
  },
  {
    name: "tests of liveness",
    unit: "test",
    sees: isOfProtocol,
    run: tests([livenessTests]),
  },
  {
    name: "whole nodes",
    unit: "seeds",
    sees: () => true,
    run: bundled("world-check", "12"),
  },
  {
    name: "tests of the shell",
    unit: "test",
    sees: () => true,
    run: tests(
      ["test/unit/node", "test/unit/ledger", "test/property/replay.test.ts"],
      // They damage files of a whole chain, and take long.
      ["test/unit/ledger/verify-chain.test.ts", "test/unit/ledger/repair.test.ts"],
    ),
  },
];

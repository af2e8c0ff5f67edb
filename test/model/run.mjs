/**
 * `npm run model [-- --minutes M]`: explores the executable model of the protocol (main.ts) as far
 * as the time allows, 10 minutes by default, and prints what was found. Exit code 1 on a fork.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));
const cache = `${root}/node_modules/.cache/loopledger-model`;
const bundle = `${cache}/main-${process.pid}.mjs`;

try {
  mkdirSync(cache, { recursive: true });
  await build({
    entryPoints: [`${root}/test/model/main.ts`],
    outfile: bundle,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "error",
  });
  // Four rounds have tens of millions of states, of about 100 bytes each.
  const args = ["--max-old-space-size=6000", bundle, ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  process.exitCode = status ?? 1;
} finally {
  rmSync(bundle, { force: true });
}

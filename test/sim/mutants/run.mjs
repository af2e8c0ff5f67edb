/** Bundles command.ts, which Node 20 cannot run as it is, and runs it in the project. */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const root = fileURLToPath(new URL("../../..", import.meta.url));
// Beside the packages, which the bundle still imports.
const folder = `${root}node_modules/.cache/loopledger-mutants-${process.pid}`;
mkdirSync(folder, { recursive: true });
try {
  const bundle = `${folder}/command.mjs`;
  buildSync({
    entryPoints: [fileURLToPath(new URL("command.ts", import.meta.url))],
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    outfile: bundle,
    logLevel: "error",
  });
  const { status } = spawnSync(process.execPath, [bundle, ...process.argv.slice(2)], {
    cwd: root,
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

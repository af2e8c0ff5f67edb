/** Node 20 cannot run TypeScript: bundles a command and runs it, with the arguments of this process. */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { helpIfAsked } from "./options.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Runs `entry`, a file beside the script `scriptUrl`, in the root of the project. `nodeFlags` come
 * before it. Its exit code becomes that of this process.
 */
export async function runBundled(scriptUrl, entry, nodeFlags = []) {
  helpIfAsked(scriptUrl);
  // Beside the packages, which the bundle still imports.
  const folder = `${root}node_modules/.cache/loopledger-command-${process.pid}`;
  const bundle = `${folder}/${basename(entry, ".ts")}.mjs`;
  mkdirSync(folder, { recursive: true });
  try {
    await build({
      entryPoints: [fileURLToPath(new URL(entry, scriptUrl))],
      outfile: bundle,
      bundle: true,
      packages: "external",
      platform: "node",
      format: "esm",
      target: "node20",
      sourcemap: "inline",
      logLevel: "error",
    });
    const args = ["--enable-source-maps", ...nodeFlags, bundle, ...process.argv.slice(2)];
    const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
    process.exitCode = status ?? 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

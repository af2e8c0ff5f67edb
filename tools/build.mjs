/**
 * Builds `dist`: the node with tsc, the metered contract engine, the bundles of the standard
 * contracts. Prints to stderr only.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { stamp } from "./build-stamp.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

function run(args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}

rmSync(`${root}/dist`, { recursive: true, force: true });
run(["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"]);
run(["tools/build-engine.mjs"]);
run(["tools/build-contracts.mjs"]);
stamp();

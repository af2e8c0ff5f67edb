/**
 * Makes a fresh clone ready: installs what the lock file says when `node_modules` is missing or
 * differs, and builds when `dist` is older than its sources. Everything prints to stderr, so that
 * `npm run -s demo -- --json` keeps stdout for its one object.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) {
    console.error(`setup: "${command} ${args.join(" ")}" failed; see its output above`);
    process.exit(status ?? 1);
  }
}

/** Compares the packages of the lock file with those npm wrote down when it installed. */
function isInstalled() {
  const marker = `${root}/node_modules/.package-lock.json`;
  if (!existsSync(marker)) return false;
  const wanted = JSON.parse(readFileSync(`${root}/package-lock.json`, "utf8")).packages;
  const installed = JSON.parse(readFileSync(marker, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === "" || optional === true || installed[path]?.version === version,
  );
}

if (!isInstalled()) {
  console.error("setup: installing packages ...");
  // The prebuilt binaries load without their install scripts, so no script of a package runs.
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=warn"]);
}
const { isBuilt } = await import("./build-stamp.mjs");
if (!isBuilt()) {
  console.error("setup: building ...");
  run(process.execPath, ["tools/build.mjs"]);
}

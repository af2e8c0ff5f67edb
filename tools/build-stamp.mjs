/** Tells whether `dist` was built from the sources that are here now, by a hash over them. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const stampFile = `${root}/dist/.stamp`;
const inputs = [
  "src",
  "contracts",
  "tools",
  "tsconfig.json",
  "tsconfig.build.json",
  "package-lock.json",
];

function* filesBelow(path) {
  if (!existsSync(path)) return;
  if (!statSync(path).isDirectory()) yield path;
  else for (const name of readdirSync(path).sort()) yield* filesBelow(`${path}/${name}`);
}

function sourcesHash() {
  const hash = createHash("sha256");
  for (const input of inputs)
    for (const file of filesBelow(`${root}/${input}`))
      hash.update(file.slice(root.length)).update("\0").update(readFileSync(file)).update("\0");
  return hash.digest("hex");
}

/** True when the stamp of the last whole build equals the sources. */
export function isBuilt() {
  return existsSync(stampFile) && readFileSync(stampFile, "utf8") === sourcesHash();
}

/** Writes the stamp; called last, so that a broken build is never taken for a whole one. */
export function stamp() {
  writeFileSync(stampFile, sourcesHash());
}

/**
 * Bundles the standard contracts after the TypeScript build:
 * `dist/contracts-bundles/<name>.js` and `<name>.json`, what the contract says of itself.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildContract } from "../dist/contracts/build.js";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const folder = path("dist/contracts-bundles");

mkdirSync(folder, { recursive: true });
for (const contract of ["metering", "billing"]) {
  const { name, source, description } = await buildContract(path(`contracts/${contract}/index.ts`));
  writeFileSync(`${folder}/${name}.js`, source);
  writeFileSync(`${folder}/${name}.json`, `${description}\n`);
  console.error(`built contract ${name}: ${source.length} characters`);
}

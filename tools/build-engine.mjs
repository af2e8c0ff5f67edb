/**
 * Writes the metered contract engine beside the built code: `dist/contracts/quickjs.metered.wasm`.
 * Runs after `tsc`. Prints the engine hash, which a genesis pins.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { buildMeteredEngine } from "../dist/contracts/engine.js";

const bytes = buildMeteredEngine();
writeFileSync(new URL("../dist/contracts/quickjs.metered.wasm", import.meta.url), bytes);
const hash = createHash("sha256").update(bytes).digest("hex");
process.stderr.write(`contract engine ${hash}, ${bytes.length} bytes\n`);

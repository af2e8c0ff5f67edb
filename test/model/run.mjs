/**
 * `npm run model`: explores the executable model of the protocol (docs/TESTING.md) as far as the time
 * allows and prints what was found. Ends with 0 when no fork is found where none may be.
 *
 *   --minutes M    how long (10)
 */
import { runBundled } from "../../tools/run-bundled.mjs";

// Four rounds have tens of millions of states, of about 100 bytes each.
await runBundled(import.meta.url, "main.ts", ["--max-old-space-size=6000"]);

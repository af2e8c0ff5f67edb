/**
 * `npm run sim:mutants`: changes the source in one place at a time and runs checkers until one finds
 * it (docs/TESTING.md). Ends with 0 when all are found, and nothing in the unchanged code.
 *
 *   --only TEXT    those with the text in their name or file
 *   --sample N     N of them drawn at random, with --seed S (1)
 *   --every        what every checker says, not only the first that finds something
 *   --list         their names and files
 *   --json         one array
 */
import { runBundled } from "../../../tools/run-bundled.mjs";

await runBundled(import.meta.url, "command.ts");

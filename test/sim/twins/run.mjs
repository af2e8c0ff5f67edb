/**
 * `npm run twins`: the real consensus cores in rounds with partitions, a liar as two instances with
 * one key (docs/TESTING.md). Ends with 0 when all scenarios are safe and live; with more twins than
 * may be faulty, when a fork was found.
 *
 *   --validators N (4), --twins N (1), --leader N (0): the first proposer that is a twin
 *   --rounds N     rounds with partitions of their own (4)
 *   --partitions N of each round, 1 to 3 (1); --deaf: who hears nothing, instead of two sets
 *   --each         each scenario from its own start, though beginnings are alike
 *   --sample N     N random scenarios, with --seed S (1)
 *   --scenario N   one, with a log of all that moved
 *   --json         one object; each failure has the command that replays it
 */
import { runBundled } from "../../../tools/run-bundled.mjs";

await runBundled(import.meta.url, "command.ts");

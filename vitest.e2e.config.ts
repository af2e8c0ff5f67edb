import { inTwoGroups } from "./vitest.groups.ts";

const e2e = (names: readonly string[]) => names.map((name) => `test/e2e/${name}.test.ts`);

/** Tests with real processes or networks. Most take both cores, or have bounds of time: alone. */
export default inTwoGroups({
  sharing: e2e([
    ...["backup", "cli", "key-safety", "readme", "refusals", "replay-kill", "start-crash"],
    "store-kill",
  ]),
  all: ["test/e2e/**/*.test.ts"],
});

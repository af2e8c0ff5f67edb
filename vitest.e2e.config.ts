import { defineConfig } from "vitest/config";
import base from "./vitest.config.ts";

const e2e = (names: readonly string[]) => names.map((name) => `test/e2e/${name}.test.ts`);

/** What starts one process at a time, or waits for processes without bounds of time: two files at a time. */
const sharing = e2e([
  ...["backup", "cli", "key-safety", "readme", "refusals", "replay-kill", "start-crash"],
  "store-kill",
]);

const common = { ...base.test, isolate: true };
const { resolve } = base;

/** Tests with real processes or networks. Most have one file after the other: they take both cores. */
export default defineConfig({
  test: {
    projects: [
      {
        resolve,
        test: {
          ...common,
          ...{ name: "sharing", include: sharing, exclude: [] },
          ...{ maxWorkers: 2, sequence: { groupOrder: 0 } },
        },
      },
      {
        resolve,
        test: {
          ...common,
          ...{ name: "alone", include: ["test/e2e/**/*.test.ts"], exclude: sharing },
          ...{ maxWorkers: 1, fileParallelism: false, sequence: { groupOrder: 1 } },
        },
      },
    ],
  },
});

import { defineConfig } from "vitest/config";
import base from "./vitest.config.ts";

/**
 * Test files in two groups, one after the other: `sharing`, two files at a time, and the rest of `all`
 * alone, one file after the other.
 */
export function inTwoGroups(options: {
  readonly sharing: readonly string[];
  readonly all: readonly string[];
  readonly test?: { readonly env?: Record<string, string>; readonly testTimeout?: number };
}) {
  const { resolve } = base;
  const test = { ...base.test, ...options.test, isolate: true };
  const sharing = {
    ...{ name: "sharing", include: [...options.sharing], exclude: [] },
    ...{ maxWorkers: 2, sequence: { groupOrder: 0 } },
  };
  const alone = {
    ...{ name: "alone", include: [...options.all], exclude: [...options.sharing] },
    ...{ maxWorkers: 1, fileParallelism: false, sequence: { groupOrder: 1 } },
  };
  const projects = [sharing, alone].map((group) => ({ resolve, test: { ...test, ...group } }));
  return defineConfig({ test: { projects } });
}

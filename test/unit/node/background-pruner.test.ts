/** What the pruner does about a disk that does not answer; how it prunes: unit/ledger/pruning. */
import { expect, it } from "vitest";
import type { Log } from "../../../src/base/log.ts";
import type { LedgerStore } from "../../../src/ledger/store.ts";
import { BackgroundPruner } from "../../../src/node/background-pruner.ts";
import { VirtualTimers } from "./virtual-timers.ts";

it("tries again when a read failed, and says so", async () => {
  let reads = 0;
  const get = async () => {
    reads += 1;
    throw Object.assign(new Error("IO error: too many open files"), { code: "LEVEL_IO_ERROR" });
  };
  const warnings: string[] = [];
  const log = { warn: (_facts: object, text: string) => warnings.push(text) } as unknown as Log;
  const timers = new VirtualTimers();
  const store = { records: { database: { get } } } as unknown as LedgerStore;
  const pruner = new BackgroundPruner({
    ...{ store, log, timers },
    ...{ keepBlocks: 128, keptHeight: undefined },
  });
  pruner.start();
  await timers.advance(5_000);
  await pruner.stop();
  expect(reads).toBe(3);
  expect(new Set(warnings)).toEqual(new Set(["pruning did not end; it is tried again"]));
});

/** What the pruner does about a disk that does not answer; how it prunes: unit/ledger/pruning. */
import { expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import type { Log } from "../../../src/base/log.ts";
import type { LedgerStore } from "../../../src/ledger/store.ts";
import { BackgroundPruner } from "../../../src/node/background-pruner.ts";
import { VirtualTimers } from "./virtual-timers.ts";

/** @returns What it does in 5 s when its first question to the database fails. */
async function pruneFailing(error: Error) {
  const seen = { reads: 0, warnings: new Set<string>(), reported: [] as unknown[] };
  const get = async () => {
    seen.reads += 1;
    throw error;
  };
  const log = { warn: (_facts: object, text: string) => seen.warnings.add(text) } as unknown as Log;
  const timers = new VirtualTimers();
  const store = { records: { database: { get } } } as unknown as LedgerStore;
  const pruner = new BackgroundPruner({
    ...{ store, log, timers },
    ...{ keepBlocks: 128, keptHeight: undefined },
    storage: { report: (fault) => seen.reported.push(fault) },
  });
  pruner.start();
  await timers.advance(5_000);
  await pruner.stop();
  return seen;
}

const warnings = new Set(["pruning did not end; it is tried again"]);

it("tries again when a read failed, and says so", async () => {
  const failed = Object.assign(new Error("too many open files"), { code: "LEVEL_IO_ERROR" });
  expect(await pruneFailing(failed)).toEqual({ reads: 3, warnings, reported: [] });
});

it("tells the gate to the disk when a write failed, as nobody may write for long", async () => {
  const full = new LedgerError("LEDGER_WRITE_FAILED", { height: 1, reason: "no space left" });
  expect(await pruneFailing(full)).toEqual({ reads: 3, warnings, reported: [full, full, full] });
});

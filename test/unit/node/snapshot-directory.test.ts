/** Each step by which a ledger is replaced lasts before the next one begins. */
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { install, snapshotDirectories } from "../../../src/node/snapshot-directory.ts";

it("(2) syncs the names after each rename", async () => {
  const parent = await mkdtemp(join(tmpdir(), "loopledger-names-"));
  const handle = await open(parent, "r");
  const synced = vi.spyOn(Object.getPrototypeOf(handle) as { sync(): Promise<void> }, "sync");
  try {
    const ledger = join(parent, "ledger");
    await mkdir(ledger);
    await mkdir(snapshotDirectories(ledger).download);
    await install(ledger);
    // The download is ready, the old ledger is moved away, the new one is in its place.
    expect(synced).toHaveBeenCalledTimes(3);
  } finally {
    synced.mockRestore();
    await handle.close();
    await rm(parent, { recursive: true });
  }
});

/** When a node begins with a snapshot at all. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { silentLog } from "../../../src/base/log.ts";
import { prepareLedger, type SnapshotStart } from "../../../src/node/snapshot-start.ts";

/** With so many members, without configured peers, told to stop as soon as it looks for others. */
async function prepared(memberCount: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "loopledger-start-"));
  const stopped = AbortSignal.abort();
  const member = (index: number) => ({ peerKey: `did:key:${index}` });
  const start = {
    config: { ledgerDirectory: join(directory, "ledger"), sync: "snapshot", p2p: { peers: [] } },
    genesis: { members: Array.from({ length: memberCount }, (_, index) => member(index)) },
    ...{ log: silentLog, signal: stopped },
  };
  try {
    await prepareLedger(start as unknown as SnapshotStart);
  } finally {
    await rm(directory, { recursive: true });
  }
}

it("asks nobody for a snapshot where there is nobody", async () => {
  await expect(prepared(1)).resolves.toBeUndefined();
});

it("asks others where there are some", async () => {
  // Of a network that cannot be started, as the genesis here is none.
  await expect(prepared(4)).rejects.toThrow();
});

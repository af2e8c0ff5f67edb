/** A snapshot that takes the place of a ledger: interruptions and silent peers, on any disk. */
import { beforeAll, describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { silentLog } from "../../../src/base/log.ts";
import { ChainReader } from "../../../src/ledger/chain-reader.ts";
import type { Database } from "../../../src/ledger/database.ts";
import { isPruning, moveBase } from "../../../src/ledger/pruning.ts";
import { putRecord } from "../../../src/ledger/records.ts";
import { SnapshotSource } from "../../../src/ledger/snapshot-source.ts";
import { SnapshotWriter } from "../../../src/ledger/snapshot-writer.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { AppendInput } from "../../../src/ledger/types.ts";
import type { SnapshotPeers } from "../../../src/node/snapshot-download.ts";
import {
  dropPassedDownload,
  type ReplacementParts,
  replaceByFetched,
} from "../../../src/node/snapshot-replacement.ts";
import { TestChain, testGenesis, testVerifier } from "../../helpers/chain.ts";
import { allKeys, memoryDatabase, watchedDatabase } from "../../helpers/databases.ts";

const genesis = testGenesis("test ledger", { snapshotInterval: 16 });
const context = { genesis, verifier: testVerifier };
/** More keys than one batch deletes. */
const staleKeys = 2_500;

describe("the replacement of a ledger", () => {
  let store: LedgerStore;
  let source: SnapshotSource;
  let inputs: AppendInput[];

  /** Directories that are names; time that passes at once. */
  const partsOf = (directories: Map<string, Database>, peers: SnapshotPeers): ReplacementParts => {
    let nowMs = 0;
    return {
      ledgerDirectory: "ledger",
      directories: {
        has: (path) => directories.has(path),
        rename: async (from, to) => {
          directories.set(to, directories.get(from) as Database);
          directories.delete(from);
        },
        remove: async (path) => {
          directories.delete(path);
        },
      },
      openDatabase: async (path) => {
        const database = directories.get(path) ?? memoryDatabase();
        directories.set(path, database);
        return database;
      },
      startNetwork: async () => ({ ...peers, stop: async () => {} }),
      ...{ context, log: silentLog, signal: new AbortController().signal },
      timers: {
        nowMs: () => nowMs,
        after: (delayMs, run) => {
          const timer = setImmediate(() => {
            nowMs += delayMs;
            run();
          });
          return () => clearImmediate(timer);
        },
        every: () => () => {},
      },
    };
  };
  const honest: SnapshotPeers = {
    connectedPeers: () => ["a"],
    requestManifest: async () => (await source.manifest(32)) as Uint8Array,
    requestChunk: async (_peer, height, from) => (await source.chunk(height, from)) as Uint8Array,
  };

  beforeAll(async () => {
    store = await LedgerStore.open({ database: memoryDatabase(), genesis, log: silentLog });
    inputs = await new TestChain(genesis).blocks(34);
    for (const input of inputs) await store.append(input);
    source = new SnapshotSource(store, { bytesMax: 1_000, entriesMax: 5 });
  });

  it("begins with blocks when those who answer have no snapshot, however silent others are", async () => {
    const directories = new Map<string, Database>();
    const peers: SnapshotPeers = {
      connectedPeers: () => ["without", "silent"],
      requestManifest: (peer) =>
        peer === "silent"
          ? new Promise(() => {})
          : Promise.reject(
              new LedgerError("P2P_SYNC_PRUNED", { peer, request: "manifest", height: 0 }),
            ),
      requestChunk: () => new Promise(() => {}),
    };
    expect(await replaceByFetched(partsOf(directories, peers))).toBe(false);
    expect([...directories.keys()]).toEqual([]);
  });

  it("gives up a download that cannot be opened, and begins it anew", async () => {
    const directories = new Map<string, Database>();
    const parts = partsOf(directories, honest);
    let failures = 1;
    const openDatabase = async (path: string) => {
      failures -= 1;
      const facts = { directory: path, reason: "CURRENT is missing", salvageable: true };
      if (failures === 0) throw new LedgerError("LEDGER_STORE_UNREADABLE", facts);
      return parts.openDatabase(path);
    };
    expect(await replaceByFetched({ ...parts, openDatabase })).toBe(true);
    expect([...directories.keys()]).toEqual(["ledger"]);
  });

  it("(2) keeps a download for which nobody was there, until the ledger has passed it", async () => {
    const directories = new Map<string, Database>();
    const begin = async (height: number) => {
      const database = memoryDatabase();
      const writer = await SnapshotWriter.open(database, context);
      await writer.begin((await source.manifest(height)) as Uint8Array);
      directories.set("ledger.snapshot", database);
    };
    const parts = partsOf(directories, { ...honest, connectedPeers: () => [] });
    const above = (height: number) => {
      const tip = inputs[height - 1]?.block.header;
      return { ...parts, context: { ...context, tip } };
    };
    await begin(16);
    expect(await replaceByFetched(above(7))).toBe(false);
    await dropPassedDownload(parts, 15);
    expect([...directories.keys()]).toEqual(["ledger.snapshot"]);
    await dropPassedDownload(parts, 16);
    expect([...directories.keys()]).toEqual([]);
    await dropPassedDownload(parts, 16);
    expect([...directories.keys()]).toEqual([]);

    await begin(16);
    expect(await replaceByFetched(above(30))).toBe(false);
    expect([...directories.keys()]).toEqual([]);
  });

  it("starts a node whose download cannot be looked at, and leaves it", async () => {
    const directories = new Map([["ledger.snapshot", memoryDatabase()]]);
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (_: object, message: string) => warnings.push(message) };
    const facts = { directory: "", reason: "no space left on device", salvageable: false };
    const failing = (error: Error) => ({
      ...partsOf(directories, honest),
      log,
      openDatabase: () => Promise.reject(error),
    });
    await dropPassedDownload(failing(new LedgerError("LEDGER_STORE_UNREADABLE", facts)), 16);
    expect(warnings).toEqual([expect.stringContaining("cannot be looked at")]);
    await expect(dropPassedDownload(failing(new Error("a bug")), 16)).rejects.toThrow("a bug");
    expect([...directories.keys()]).toEqual(["ledger.snapshot"]);
  });

  it("does not go on with what is left of a download that a kill kept from being deleted", async () => {
    const database = memoryDatabase();
    const writer = await SnapshotWriter.open(database, context);
    await writer.begin((await source.manifest(16)) as Uint8Array);
    const stale = Array.from({ length: staleKeys }, (_, index) =>
      putRecord(`h/${index.toString().padStart(6, "0")}`, new Uint8Array(0)),
    );
    await database.batch(stale, { sync: true });
    let batches = 0;
    const killed = watchedDatabase(database, () => {
      batches += 1;
      if (batches > 1) throw new Error("killed");
    });
    const again = await SnapshotWriter.open(killed, context);
    expect(again.height).toBe(16);
    await expect(again.begin((await source.manifest(32)) as Uint8Array)).rejects.toThrow("killed");
    expect((await allKeys(database)).length).toBeGreaterThan(1_000);
    expect((await SnapshotWriter.open(database, context)).height).toBeUndefined();
  });

  it("answers for a transaction below the base as for one that is gone, also before it is", async () => {
    const database = memoryDatabase();
    const pruning = await LedgerStore.open({ database, genesis, log: silentLog });
    for (const input of inputs) await pruning.append(input);
    const reader = new ChainReader(pruning);
    const idOf = (height: number) => inputs[height - 1]?.transactionIds[0] as string;
    expect(await reader.findFinal(idOf(16))).toMatchObject({ height: 16 });
    await moveBase(pruning, 16);
    expect(await isPruning(pruning)).toBe(true);
    expect(await reader.findFinal(idOf(16))).toBeUndefined();
    expect(await reader.findFinal(idOf(17))).toMatchObject({ height: 17 });
  });
});

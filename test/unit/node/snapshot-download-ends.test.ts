/** Downloads of a snapshot that nobody can answer, that the ledger has passed, or that find nobody. */
import { beforeAll, describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { encode } from "../../../src/base/format/codec.ts";
import { silentLog as log } from "../../../src/base/log.ts";
import type { Database } from "../../../src/ledger/database.ts";
import { putRecord, recordKeys } from "../../../src/ledger/records.ts";
import { decodeChunk, encodeChunk } from "../../../src/ledger/snapshot-format.ts";
import { SnapshotSource } from "../../../src/ledger/snapshot-source.ts";
import { SnapshotWriter } from "../../../src/ledger/snapshot-writer.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import { SnapshotDownload, type SnapshotPeers } from "../../../src/node/snapshot-download.ts";
import { encodeSyncRequest, requestBytesMax } from "../../../src/p2p/sync-format.ts";
import { TestChain, testGenesis, testVerifier } from "../../helpers/chain.ts";
import { memoryDatabase } from "../../helpers/databases.ts";
import { VirtualTimers } from "./virtual-timers.ts";

const genesis = testGenesis("test ledger", { snapshotInterval: 16 });
const context = { genesis, verifier: testVerifier };
const minuteMs = 60_000;

describe("the download of a snapshot", () => {
  let source: SnapshotSource;
  let timers: VirtualTimers;

  const manifestOf = async (height: number) => (await source.manifest(height)) as Uint8Array;
  const chunkOf = async (height: number, from: string) =>
    (await source.chunk(height, from)) as Uint8Array;
  const silence = (peer: string) =>
    new LedgerError("P2P_SYNC_FAILED", { peer, request: "chunk", reason: "is a refusal" });
  /** As on the wire: what is longer than any request is refused before it is looked at. */
  const honest: SnapshotPeers = {
    connectedPeers: () => ["a", "b", "c"],
    requestManifest: () => manifestOf(32),
    requestChunk: async (peer, height, from) => {
      const { length } = encodeSyncRequest({ kind: "chunk", height, from });
      if (length > requestBytesMax) throw silence(peer);
      return chunkOf(height, from);
    },
  };
  const begun = async (height: number, database: Database = memoryDatabase()) => {
    const writer = await SnapshotWriter.open(database, context);
    await writer.begin(await manifestOf(height));
    await writer.add(await chunkOf(height, ""));
    return writer;
  };
  /** Says where the next chunk begins, as an earlier version may have been told by a liar. */
  const plant = async (database: Database, next: string) => {
    const record = encode([await manifestOf(32), next, 1]);
    await database.batch([putRecord(recordKeys.snapshot, record)], { sync: true });
    return SnapshotWriter.open(database, context);
  };
  /** Runs it until it ends, or the time is over. */
  const run = async (
    peers: SnapshotPeers,
    { writer, aboveHeight = 0, forMs }: Run,
  ): Promise<{ readonly height: number | undefined } | undefined> => {
    const { signal } = new AbortController();
    const download = new SnapshotDownload({ peers, writer, context, log, signal, timers });
    let ended: { readonly height: number | undefined } | undefined;
    void download.run({ aboveHeight }).then((height) => {
      ended = { height };
    });
    const endMs = timers.nowMs() + forMs;
    while (ended === undefined && timers.nowMs() < endMs) await timers.advance(500);
    return ended;
  };
  type Run = {
    readonly writer: SnapshotWriter;
    readonly aboveHeight?: number;
    readonly forMs: number;
  };

  beforeAll(async () => {
    const store = await LedgerStore.open({ database: memoryDatabase(), genesis, log });
    for (const input of await new TestChain(genesis).blocks(34)) await store.append(input);
    source = new SnapshotSource(store, { bytesMax: 1_000, entriesMax: 5 });
    timers = new VirtualTimers();
  });

  it("is not led by a liar to where no honest peer can answer", async () => {
    let lies = 0;
    const peers: SnapshotPeers = {
      ...honest,
      // It lies once and leaves.
      connectedPeers: () => (lies > 0 ? ["a", "b", "c"] : ["liar"]),
      requestChunk: async (peer, height, from) => {
        if (peer !== "liar") return honest.requestChunk(peer, height, from);
        const chunk = decodeChunk(await chunkOf(height, from));
        const last = chunk.entries.at(-1)?.[0] as string;
        lies += 1;
        // Below the next key, so that the range holds.
        return encodeChunk({ ...chunk, to: `${last}${"\u0001".repeat(300)}` });
      },
    };
    const writer = await SnapshotWriter.open(memoryDatabase(), context);
    expect(await run(peers, { writer, forMs: minuteMs / 2 })).toEqual({ height: 32 });
    expect(lies).toBe(1);
  });

  it("is begun anew when it goes on at no key, and takes an empty end", async () => {
    const database = memoryDatabase();
    await begun(32, database);
    const beyond = await plant(database, `toy/${"\u0001".repeat(300)}`);
    expect(beyond.height).toBeUndefined();

    const writer = await begun(32, database);
    while (writer.next !== undefined) await writer.add(await chunkOf(32, writer.next));
    const atEnd = await plant(database, "~");
    expect(decodeChunk(await chunkOf(32, "~"))).toMatchObject({ entries: [], to: undefined });
    expect(await run(honest, { writer: atEnd, forMs: minuteMs })).toEqual({ height: 32 });
  });

  it("(2) is given up for a newer one when all who are there keep silent for a minute", async () => {
    const mute: SnapshotPeers = {
      ...honest,
      requestChunk: (peer, height, from) =>
        height === 16 ? Promise.reject(silence(peer)) : chunkOf(height, from),
    };
    expect(await run(mute, { writer: await begun(16), forMs: minuteMs / 2 })).toBeUndefined();
    expect(await run(mute, { writer: await begun(16), forMs: 2 * minuteMs })).toEqual({
      height: 32,
    });
  });

  it("(2) goes on when those who serve it come back after long", async () => {
    const startMs = timers.nowMs();
    const peers: SnapshotPeers = {
      ...honest,
      connectedPeers: () => (timers.nowMs() - startMs < 5 * minuteMs ? [] : ["a"]),
    };
    expect(await run(peers, { writer: await begun(16), forMs: 6 * minuteMs })).toEqual({
      height: 16,
    });
  });

  it("(5) does not go on with one that the ledger has passed", async () => {
    const goal = { aboveHeight: 30, forMs: minuteMs };
    expect(await run(honest, { writer: await begun(16), ...goal })).toEqual({ height: 32 });
    const none = { writer: await begun(32), aboveHeight: 32, forMs: minuteMs };
    expect(await run(honest, none)).toEqual({ height: undefined });
  });

  it("(6) keeps nobody from its ledger who finds nobody for a minute", async () => {
    const nobody: SnapshotPeers = { ...honest, connectedPeers: () => [] };
    const open = () => SnapshotWriter.open(memoryDatabase(), context);
    const goal = { aboveHeight: 7, forMs: minuteMs / 2 };
    expect(await run(nobody, { writer: await open(), ...goal })).toBeUndefined();
    const longer = { ...goal, forMs: 1.1 * minuteMs };
    expect(await run(nobody, { writer: await open(), ...longer })).toEqual({ height: undefined });
    expect(await run(nobody, { writer: await begun(16), ...longer })).toEqual({
      height: undefined,
    });
    // Without a ledger there is nothing to go on with.
    const fresh = { writer: await open(), forMs: 5 * minuteMs };
    expect(await run(nobody, fresh)).toBeUndefined();
  });
});

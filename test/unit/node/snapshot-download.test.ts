/** Fetching a snapshot from peers of whom some lie, keep silent, or have it no more. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { type Log, silentLog } from "../../../src/base/log.ts";
import { decodeChunk, encodeChunk } from "../../../src/ledger/snapshot-format.ts";
import { SnapshotSource } from "../../../src/ledger/snapshot-source.ts";
import { SnapshotWriter } from "../../../src/ledger/snapshot-writer.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import {
  install,
  isFresh,
  settle,
  snapshotDirectories,
} from "../../../src/node/snapshot-directory.ts";
import { SnapshotDownload, type SnapshotPeers } from "../../../src/node/snapshot-download.ts";
import { realTimers } from "../../../src/node/timers.ts";
import { TestChain, testGenesis, testVerifier } from "../../helpers/chain.ts";
import { allKeys, memoryDatabase } from "../../helpers/databases.ts";
import { VirtualTimers } from "./virtual-timers.ts";

const genesis = testGenesis("test ledger", { snapshotInterval: 16 });
const context = { genesis, verifier: testVerifier };
const bounds = { bytesMax: 1_000, entriesMax: 5 };
const log = silentLog;

/** What a peer answers; the defaults are those of an honest one. */
type Answers = {
  manifest?(height: number): Promise<Uint8Array>;
  chunk?(height: number, from: string): Promise<Uint8Array>;
};

describe("the download of a snapshot", () => {
  let store: LedgerStore;
  let source: SnapshotSource;

  const gone = (peer: string, height = 0) =>
    new LedgerError("P2P_SYNC_PRUNED", { peer, request: "chunk", height });
  const network = (answers: Record<string, Answers>) => {
    const asked: Record<string, number> = {};
    const peers: SnapshotPeers = {
      connectedPeers: () => Object.keys(answers),
      requestManifest: async (peer, height) => {
        const own = await answers[peer]?.manifest?.(height);
        const bytes = own ?? (await source.manifest(height === 0 ? 32 : height));
        if (bytes === undefined) throw gone(peer);
        return bytes;
      },
      requestChunk: async (peer, height, from) => {
        asked[peer] = (asked[peer] ?? 0) + 1;
        const bytes =
          (await answers[peer]?.chunk?.(height, from)) ?? (await source.chunk(height, from));
        if (bytes === undefined) throw gone(peer);
        return bytes;
      },
    };
    return { peers, asked };
  };
  const fetchFrom = async (answers: Record<string, Answers>, database = memoryDatabase()) => {
    const { peers, asked } = network(answers);
    const writer = await SnapshotWriter.open(database, context);
    const { signal } = new AbortController();
    const parts = { peers, writer, context, log, signal, wait: async () => {} };
    const height = await new SnapshotDownload(parts).run({ aboveHeight: 0 });
    return { height, asked, database };
  };
  const chunksOf = async (height: number) => {
    const froms: string[] = [];
    for (let from: string | undefined = ""; from !== undefined; ) {
      froms.push(from);
      from = decodeChunk((await source.chunk(height, from)) as Uint8Array).to;
    }
    return froms;
  };
  const expectWhole = async (database: ReturnType<typeof memoryDatabase>, height = 32) => {
    const began = await LedgerStore.open({ database, genesis, log });
    expect({ height: began.tip.height, base: began.baseHeight }).toEqual({ height, base: height });
  };

  beforeAll(async () => {
    store = await LedgerStore.open({ database: memoryDatabase(), genesis, log });
    for (const input of await new TestChain(genesis).blocks(34)) await store.append(input);
    source = new SnapshotSource(store, bounds);
  });

  it("takes the newest one, and asks the peers in turn", async () => {
    const old = { manifest: async () => (await source.manifest(16)) as Uint8Array };
    const { height, asked, database } = await fetchFrom({ a: old, b: {}, c: {} });
    expect(height).toBe(32);
    expect(Object.keys(asked).sort()).toEqual(["a", "b", "c"]);
    await expectWhole(database);
  });

  it("drops a peer that lies and asks the others for the chunk", async () => {
    const lies: Record<string, Answers> = {
      value: {
        chunk: async (height, from) => {
          const chunk = decodeChunk((await source.chunk(height, from)) as Uint8Array);
          const [[key, value] = ["", ""], ...rest] = chunk.entries;
          return encodeChunk({ ...chunk, entries: [[key, `${value}0`], ...rest] });
        },
      },
      otherHeight: { chunk: async (_, from) => (await source.chunk(16, from)) as Uint8Array },
      noise: { chunk: async () => Uint8Array.of(1, 2, 3) },
      manifest: { manifest: async () => Uint8Array.of(0xc1) },
      honest: {},
    };
    const { height, asked, database } = await fetchFrom(lies);
    expect(height).toBe(32);
    expect(asked).toMatchObject({ value: 1, otherHeight: 1, noise: 1 });
    expect(asked.manifest).toBeUndefined();
    await expectWhole(database);
  });

  it("leaves a silent peer alone and goes on with the others", async () => {
    const silent = new LedgerError("P2P_SYNC_FAILED", { peer: "a", request: "chunk", reason: "" });
    const { height, asked } = await fetchFrom({
      a: { chunk: () => Promise.reject(silent) },
      b: {},
    });
    expect(height).toBe(32);
    expect(asked.a).toBe(1);
  });

  it("goes on where it was, and begins anew only when nobody has that snapshot any more", async () => {
    const database = memoryDatabase();
    const writer = await SnapshotWriter.open(database, context);
    await writer.begin((await source.manifest(16)) as Uint8Array);
    await writer.add((await source.chunk(16, "")) as Uint8Array);
    const heights: number[] = [];
    const froms: string[] = [];
    const noting = {
      chunk: async (height: number, from: string) => {
        heights.push(height);
        froms.push(from);
        return (await source.chunk(height, from)) as Uint8Array;
      },
    };
    await fetchFrom({ a: noting }, database);
    expect(new Set(heights)).toEqual(new Set([16]));
    expect(froms).not.toContain("");
    await expectWhole(database, 16);

    const other = memoryDatabase();
    const stale = await SnapshotWriter.open(other, context);
    await stale.begin((await source.manifest(16)) as Uint8Array);
    await stale.add((await source.chunk(16, "")) as Uint8Array);
    const forgetful = {
      chunk: async (height: number, from: string) => {
        if (height === 16) throw gone("a", 32);
        return (await source.chunk(height, from)) as Uint8Array;
      },
    };
    const { height } = await fetchFrom({ a: forgetful, b: forgetful }, other);
    expect(height).toBe(32);
    await expectWhole(other);
  });

  it("is begun anew when the disk did not keep what was written", async () => {
    const database = memoryDatabase();
    const writer = await SnapshotWriter.open(database, context);
    await writer.begin((await source.manifest(32)) as Uint8Array);
    while (writer.next !== undefined)
      await writer.add((await source.chunk(32, writer.next)) as Uint8Array);
    const [key] = (await allKeys(database)).filter((each) => each.startsWith("s/"));
    const record = await database.get(key as string);
    const damaged = Uint8Array.from(record as Uint8Array);
    damaged[damaged.length - 1] = (damaged.at(-1) as number) ^ 1;
    await database.batch([{ type: "put", key: key as string, value: damaged }], { sync: true });
    expect((await fetchFrom({ a: {} }, database)).height).toBe(32);
    await expectWhole(database);
  });

  it("asks a peer that kept it waiting seldom, and says which one", async () => {
    let nowMs = 0;
    const silent = new LedgerError("P2P_SYNC_FAILED", { peer: "a", request: "chunk", reason: "" });
    const keepWaiting = () => {
      nowMs += 20_000;
      return Promise.reject(silent);
    };
    const { peers, asked } = network({ a: { manifest: keepWaiting, chunk: keepWaiting }, b: {} });
    const writer = await SnapshotWriter.open(memoryDatabase(), context);
    const { signal } = new AbortController();
    const named: unknown[] = [];
    const warn = (facts: object) => named.push(facts);
    const timers = { ...realTimers, nowMs: () => nowMs };
    const wait = async (delayMs: number) => {
      nowMs += delayMs;
    };
    const parts = { peers, writer, context, log: { ...log, warn }, signal, wait, timers };
    expect(await new SnapshotDownload(parts).run({ aboveHeight: 0 })).toBe(32);
    expect(asked.a).toBeUndefined();
    expect(nowMs).toBeLessThan(40_000);
    expect(named).toMatchObject([{ peer: "a", restMs: 200_000 }]);
  });

  describe("with peers that keep silent", () => {
    const silent = { manifest: () => new Promise<never>(() => {}) };
    const none = { manifest: () => Promise.reject(gone("a")) };
    const never = () => new Promise<never>(() => {});
    const runFor = async (
      answers: Record<string, Answers>,
      forMs: number,
      timers = new VirtualTimers(),
      to: Log = log,
    ) => {
      const { peers } = network(answers);
      const writer = await SnapshotWriter.open(memoryDatabase(), context);
      const { signal } = new AbortController();
      const parts = { peers, writer, context, log: to, signal, timers };
      let ended: { readonly height: number | undefined } | undefined;
      void new SnapshotDownload(parts).run({ aboveHeight: 0 }).then((height) => {
        ended = { height };
      });
      for (let ms = 0; ms < forMs; ms += 100) await timers.advance(100);
      return { ended, begun: writer.height };
    };

    it("(4) begins with what others offer within two seconds", async () => {
      expect(await runFor({ a: silent, b: {}, c: silent }, 2_000)).toMatchObject({ begun: 32 });
    });

    it("(4) takes a newer one that comes a little later than the first", async () => {
      const timers = new VirtualTimers();
      const offer = (delayMs: number, height: number) => async () => {
        await new Promise<void>((resolve) => timers.after(delayMs, resolve));
        return (await source.manifest(height)) as Uint8Array;
      };
      const answers = { near: { manifest: offer(10, 16) }, far: { manifest: offer(900, 32) } };
      expect(await runFor(answers, 20_000, timers)).toMatchObject({ ended: { height: 32 } });
    });

    it("(4) begins with blocks as soon as without them when others have none", async () => {
      expect(await runFor({ a: silent, b: none }, 6_500)).toEqual({
        ...{ ended: { height: undefined }, begun: undefined },
      });
    });

    it("waits longer when nobody says anything", async () => {
      expect((await runFor({ a: silent, b: silent }, 7_500)).ended).toBeUndefined();
      expect((await runFor({ a: silent, b: silent }, 9_500)).ended).toEqual({ height: undefined });
    });

    it("(1) asks another one after three seconds, as often as that takes", async () => {
      const answers = { a: { chunk: never }, b: { chunk: never }, c: {} };
      expect(await runFor(answers, 9_000)).toMatchObject({ begun: 32, ended: undefined });
      expect(await runFor(answers, 15_000)).toMatchObject({ ended: { height: 32 } });
    });

    it("(1) takes what comes late, and asks few for the same over a slow line", async () => {
      const timers = new VirtualTimers();
      const asked: string[] = [];
      const chunk = async (height: number, from: string) => {
        asked.push(from);
        await new Promise<void>((resolve) => timers.after(8_000, resolve));
        return (await source.chunk(height, from)) as Uint8Array;
      };
      const peers = Object.fromEntries(["a", "b", "c", "d", "e"].map((peer) => [peer, { chunk }]));
      const chunks = (await chunksOf(32)).length;
      const found = await runFor(peers, chunks * 8_100 + 2_000, timers);
      expect(found).toMatchObject({ ended: { height: 32 } });
      // Two for the first; then it is known how long it takes.
      expect(asked.length).toBe(chunks + 1);
    });

    it("(2) goes on with one that is on its way slowly, though others have a newer one only", async () => {
      const timers = new VirtualTimers();
      let asked = 0;
      const slow = {
        manifest: async () => (await source.manifest(16)) as Uint8Array,
        chunk: async (height: number, from: string) => {
          asked += 1;
          const delayMs = asked === 1 ? 8_000 : 12_000;
          await new Promise<void>((resolve) => timers.after(delayMs, resolve));
          return (await source.chunk(height, from)) as Uint8Array;
        },
      };
      const newer = {
        manifest: async () => {
          if (asked === 0) throw gone("newer");
          return (await source.manifest(32)) as Uint8Array;
        },
        chunk: async (height: number, from: string) => {
          if (height === 16) throw gone("newer", 32);
          return (await source.chunk(height, from)) as Uint8Array;
        },
      };
      const found = await runFor({ slow, newer }, 300_000, timers);
      expect(found).toMatchObject({ ended: { height: 16 } });
    });

    it("does not hold a late chunk of one snapshot against another", async () => {
      const timers = new VirtualTimers();
      const after = (delayMs: number) =>
        new Promise<void>((resolve) => timers.after(delayMs, resolve));
      const liars: object[] = [];
      let isOld = true;
      const manifest = async () => (await source.manifest(isOld ? 16 : 32)) as Uint8Array;
      const answer = async (height: number, from: string, delayMs: number) => {
        await after(delayMs);
        return (await source.chunk(height, from)) as Uint8Array;
      };
      const answers = {
        slow: {
          manifest,
          chunk: (height: number, from: string) =>
            answer(height, from, height === 16 ? 15_000 : 10),
        },
        quick: {
          manifest,
          chunk: async (height: number, from: string) => {
            isOld = false;
            if (height === 16) throw gone("quick", 32);
            return answer(height, from, 5_000);
          },
        },
      };
      const warn = (facts: object, message: string) =>
        message.includes("snapshot is wrong") && liars.push(facts);
      const found = await runFor(answers, 120_000, timers, { ...log, warn });
      expect(found).toMatchObject({ ended: { height: 32 } });
      expect(liars).toEqual([]);
    });

    it("(2) begins anew when it is gone elsewhere, though one that had it never answers", async () => {
      let isGone = false;
      const chunk = async (height: number, from: string) => {
        if (height === 16 && isGone) throw gone("b", 32);
        isGone = true;
        return (await source.chunk(height, from)) as Uint8Array;
      };
      const manifest = async () => (await source.manifest(isGone ? 32 : 16)) as Uint8Array;
      const timers = new VirtualTimers();
      const timeout = new LedgerError("P2P_SYNC_FAILED", { peer: "a", request: "", reason: "" });
      const late = () =>
        new Promise<never>((_, reject) => timers.after(20_000, () => reject(timeout)));
      const mute = { manifest, chunk: late };
      expect(await runFor({ b: { manifest, chunk } }, 4_000)).toMatchObject({
        ended: { height: 32 },
      });
      isGone = false;
      const answers = { a: mute, b: { manifest, chunk } };
      expect(await runFor(answers, 60_000, timers)).toMatchObject({ ended: { height: 32 } });
    });

    it("(2) goes on with what it has when the one server was away and nobody has a newer one", async () => {
      const timers = new VirtualTimers();
      const timeout = new LedgerError("P2P_SYNC_FAILED", { peer: "a", request: "", reason: "" });
      let asked = 0;
      const froms: string[] = [];
      const chunk = async (height: number, from: string) => {
        asked += 1;
        froms.push(from);
        if (asked === 3)
          await new Promise((_, reject) => timers.after(20_000, () => reject(timeout)));
        return (await source.chunk(height, from)) as Uint8Array;
      };
      const newcomer = { ...none, chunk: () => Promise.reject(gone("b")) };
      const found = await runFor({ a: { chunk }, b: newcomer }, 300_000, timers);
      expect(found).toMatchObject({ ended: { height: 32 } });
      // The third one twice, the others once: nothing was fetched anew.
      expect(froms.length).toBe(new Set(froms).size + 1);
    });

    it("asks the only one again soon, though it kept silent", async () => {
      const timers = new VirtualTimers();
      const timeout = new LedgerError("P2P_SYNC_FAILED", { peer: "a", request: "", reason: "" });
      let asked = 0;
      const chunk = async (height: number, from: string) => {
        asked += 1;
        if (asked === 3)
          await new Promise((_, reject) => timers.after(20_000, () => reject(timeout)));
        return (await source.chunk(height, from)) as Uint8Array;
      };
      const found = await runFor({ a: { chunk } }, 60_000, timers);
      expect(found).toMatchObject({ ended: { height: 32 } });
    });

    it("takes a manifest that took a while", async () => {
      const slow = {
        manifest: async () => {
          for (let turn = 0; turn < 40; turn += 1)
            await new Promise((resolve) => setImmediate(resolve));
          return (await source.manifest(32)) as Uint8Array;
        },
      };
      expect(await runFor({ a: slow, b: none }, 4_000)).toMatchObject({ ended: { height: 32 } });
    });
  });

  it("ends without one when nobody has any", async () => {
    const none = { manifest: () => Promise.reject(gone("a")) };
    expect((await fetchFrom({ a: none, b: none })).height).toBeUndefined();
  });

  it("ends when the node is to stop", async () => {
    const stopping = new AbortController();
    const writer = await SnapshotWriter.open(memoryDatabase(), context);
    const { peers } = network({});
    const wait = async () => stopping.abort();
    const parts = { peers, writer, context, log, signal: stopping.signal, wait };
    const download = new SnapshotDownload(parts).run({ aboveHeight: 0 });
    await expect(download).rejects.toMatchObject({ code: "NODE_STOPPED" });
  });
});

describe("the directory of a ledger that is replaced", () => {
  it("holds the old ledger or the new one after a kill between any two steps", async () => {
    const parent = await mkdtemp(join(tmpdir(), "loopledger-replace-"));
    const ledger = join(parent, "ledger");
    const { download, ready, replaced } = snapshotDirectories(ledger);
    const make = async (directory: string, text: string) => {
      await mkdir(directory, { recursive: true });
      await writeFile(join(directory, "CURRENT"), text);
    };
    const content = () => readFile(join(ledger, "CURRENT"), "utf8");
    /** What is there at each moment of a replacement, and what settling makes of it. */
    const moments: [string, [string, string][], string][] = [
      [
        "before",
        [
          [ledger, "old"],
          [download, "half"],
        ],
        "old",
      ],
      [
        "ready",
        [
          [ledger, "old"],
          [ready, "new"],
        ],
        "new",
      ],
      [
        "moved away",
        [
          [replaced, "old"],
          [ready, "new"],
        ],
        "new",
      ],
      [
        "in its place",
        [
          [ledger, "new"],
          [replaced, "old"],
        ],
        "new",
      ],
      [
        "ready twice",
        [
          [ledger, "old"],
          [ready, "new"],
          [replaced, "older"],
        ],
        "new",
      ],
    ];
    try {
      for (const [moment, directories, expected] of moments) {
        for (const [directory, text] of directories) await make(directory, text);
        await settle(ledger);
        expect(await content(), moment).toBe(expected);
        expect([await isFresh(ready), await isFresh(replaced)], moment).toEqual([true, true]);
        await rm(ledger, { recursive: true });
        await rm(download, { recursive: true, force: true });
      }
      expect(await isFresh(ledger)).toBe(true);
      await make(ledger, "old");
      await make(download, "new");
      await install(ledger);
      expect(await content()).toBe("new");
    } finally {
      await rm(parent, { recursive: true });
    }
  });
});

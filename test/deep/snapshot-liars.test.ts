/**
 * Peers that lie over real libp2p while a real node fetches a snapshot: the node finishes with what
 * the honest ones serve, names each liar in its log, keeps nothing that is not proven, and tells
 * over HTTP meanwhile how far it is. The peers live in this process and serve a ledger that real
 * nodes decided.
 */
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Stream } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { createLibp2p } from "libp2p";
import { afterAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { didOf } from "../../src/base/format/did.ts";
import { genesisBlock } from "../../src/base/format/genesis.ts";
import { silentLog } from "../../src/base/log.ts";
import { openDatabase } from "../../src/ledger/database.ts";
import {
  decodeChunk,
  decodeManifest,
  encodeChunk,
  encodeManifest,
} from "../../src/ledger/snapshot-format.ts";
import { SnapshotSource } from "../../src/ledger/snapshot-source.ts";
import { LedgerStore } from "../../src/ledger/store.ts";
import { encodeDecided } from "../../src/node/chain-follower.ts";
import { openKeyFile } from "../../src/node/key-file.ts";
import { peerKeyOf, privateKeyOf } from "../../src/p2p/identity.ts";
import { Network } from "../../src/p2p/network.ts";
import { until, useDevnet } from "../helpers/devnet.ts";
import { runCli } from "../helpers/run-cli.ts";

type Peer = { readonly key: string; readonly address: string };
/** What a peer serves instead of the truth. */
type Lie = Partial<Pick<SnapshotSource, "manifest" | "chunk">>;
type LogLine = { readonly msg: string; readonly peer?: string; readonly error?: string };

/** Many chunks of a small state, so that every peer has its turn. */
const bounds = { bytesMax: 20_000, entriesMax: 2 };
const pieceBytes = 64 * 1024;

describe("a node whose peers lie about the snapshot", { timeout: 240_000 }, () => {
  const devnet = useDevnet({
    isDown: true,
    parameters: { snapshotInterval: 16, heartbeatMs: 100 },
  });
  const closers: (() => unknown)[] = [];
  const late = () => devnet().node(3);
  let seed = 100;
  let store: LedgerStore;
  let source: SnapshotSource;

  afterAll(async () => {
    for (const close of closers.reverse()) await close();
  });

  const nextSeed = () => {
    seed += 1;
    return new Uint8Array(32).fill(seed);
  };
  /** Keys of a node of the devnet, so that it stays a peer when the snapshot is there. */
  const seedOfNode = async (index: number) => {
    const { configFile } = devnet().node(index).files;
    const config = parse(await readFile(configFile, "utf8"));
    const place = (path: string) => resolve(dirname(configFile), path);
    const file = place(config.peerKeyFile);
    const passphrase = (await readFile(place(config.passphraseFile), "utf8")).trim();
    return (await openKeyFile({ file, passphrase, purpose: "peer" })).seed;
  };
  const lateKey = async () => {
    const { publicKey } = await privateKeyOf(await seedOfNode(3));
    return Buffer.from(publicKey.raw).toString("hex");
  };
  const manifestOf = async (height: number) => (await source.manifest(height)) as Uint8Array;
  const chunkOf = async (height: number, from: string) =>
    (await source.chunk(height, from)) as Uint8Array;

  /** Starts a peer that serves the truth but for a lie. */
  const serve = async (lie: Lie, ownSeed?: Uint8Array): Promise<Peer> => {
    const peerSeed = ownSeed ?? nextSeed();
    const { chainId } = store;
    const network = await Network.start({
      ...{ chainId, peerSeed, log: silentLog, peers: [] },
      listen: ["/ip4/127.0.0.1/tcp/0"],
      allowedPeerKeys: [await lateKey()],
      handlers: {
        onTransactions: (_from, transactions) => transactions.map(() => "ignore" as const),
        onConsensusMessage: () => {},
        status: () => ({ ...store.tip, clockMs: Date.now() }),
        readBlocks: async (from) => {
          const stored = await store.readBlockBytes(from);
          return stored === undefined ? [] : [encodeDecided(stored.block, stored.certificate)];
        },
        snapshots: {
          heights: source.heights,
          manifest: lie.manifest ?? manifestOf,
          chunk: lie.chunk ?? chunkOf,
        },
      },
    });
    closers.push(() => network.stop());
    return { key: network.ownKey, address: network.listenAddresses[0] as string };
  };

  /** Starts a peer that answers every request with bytes that do not end. */
  const serveEndless = async (): Promise<Peer & { sentBytes(): number }> => {
    const privateKey = await privateKeyOf(nextSeed());
    let sent = 0;
    const raw = await createLibp2p({
      privateKey,
      addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      connectionMonitor: { enabled: false },
    });
    const flood = async (stream: Stream) => {
      // A frame of one byte, "answered"; then everything else.
      stream.send(Uint8Array.of(0, 0, 0, 1, 0));
      while (stream.status === "open") {
        const isRoom = stream.send(new Uint8Array(pieceBytes));
        sent += pieceBytes;
        if (!isRoom) await stream.onDrain({ signal: AbortSignal.timeout(60_000) });
        // The honest peers live in this process, too.
        await new Promise((done) => setImmediate(done));
      }
    };
    await raw.handle(`/loopledger/${store.chainId}/sync/0`, (stream) => {
      flood(stream).catch(() => {});
    });
    closers.push(() => raw.stop());
    const address = raw
      .getMultiaddrs()[0]
      ?.toString()
      .replace(/\/p2p\/.*/, "") as string;
    return { key: peerKeyOf(raw.peerId) as string, address, sentBytes: () => sent };
  };

  const logLines = (): LogLine[] =>
    late()
      .logEnd(100_000)
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line));
  const named = (message: string) =>
    new Set(logLines().flatMap(({ msg, peer }) => (msg.includes(message) ? [peer] : [])));

  it("finishes with the honest ones, names the liars and keeps nothing of theirs", async () => {
    const founders = devnet().nodes.slice(0, 3);
    for (const node of founders) node.start();
    await until(
      "there are two snapshots",
      async () => {
        const heights = await Promise.all(
          founders.map(async (node) => (await node.status())?.height),
        );
        return heights.every((height) => (height ?? 0) >= 34);
      },
      60_000,
    );
    await Promise.all(founders.map((node) => node.stop()));
    const database = await openDatabase(devnet().node(0).files.ledgerDirectory);
    const genesis = genesisBlock(devnet().genesis);
    store = await LedgerStore.open({ database, genesis, log: silentLog });
    closers.push(() => store.close());
    source = new SnapshotSource(store, bounds);

    let letGo: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const honest = [
      await serve({}, await seedOfNode(0)),
      await serve(
        {
          // Holds the download until HTTP was asked how far it is.
          chunk: async (height, from) => {
            if (from !== "") await held;
            return chunkOf(height, from);
          },
        },
        await seedOfNode(1),
      ),
    ];
    const wrongManifest = await serve({
      manifest: async (height) => {
        const { headers, ...rest } = decodeManifest(await manifestOf(height));
        const last = headers.at(-1) as (typeof headers)[number];
        const spoiled = { ...last, stateRoot: "ab".repeat(32) };
        return encodeManifest({ ...rest, headers: [...headers.slice(0, -1), spoiled] });
      },
    });
    const changedValue = await serve({
      chunk: async (height, from) => {
        const chunk = decodeChunk(await chunkOf(height, from));
        const [[key, value] = ["", ""], ...others] = chunk.entries;
        return encodeChunk({ ...chunk, entries: [[key, `${value} `], ...others] });
      },
    });
    const otherRange = await serve({
      chunk: async (height, from) => {
        const { to } = decodeChunk(await chunkOf(height, from));
        return chunkOf(height, to ?? "");
      },
    });
    const silent = await serve({ chunk: () => new Promise(() => {}) });
    const endless = await serveEndless();
    const liars = { wrongManifest, changedValue, otherRange };
    const all = [...honest, ...Object.values(liars), silent, endless];

    const { configFile } = late().files;
    const config = parse(await readFile(configFile, "utf8"));
    const peers = all.map(({ key, address }) => ({ peerKey: didOf(key), address }));
    await writeFile(configFile, stringify({ ...config, p2p: { ...config.p2p, peers } }));
    await appendFile(configFile, "sync: snapshot\n");
    late().start();

    const hasChunks = async () => ((await late().status())?.snapshot?.chunks ?? 0) >= 1;
    await until("HTTP says how far it is", hasChunks, 60_000);
    const status = await late().client.status();
    expect(status).toMatchObject({ phase: "fetching a snapshot", height: 0, ready: false });
    expect(status.snapshot?.height).toBe(32);
    const ready = await fetch(`${late().url}/health/ready`);
    expect([ready.status, await ready.text()]).toEqual([
      ...[
        503,
        expect.stringContaining("NODE_FETCHING_SNAPSHOT: fetching the snapshot of height 32"),
      ],
    ]);
    const { out } = await runCli("node", "status", "--url", late().url);
    expect(out).toMatch(/^snapshot {4}being fetched: that of height 32, \d+ chunks so far$/m);
    await expect(late().client.block(1)).rejects.toMatchObject({ code: "NODE_FETCHING_SNAPSHOT" });
    letGo();

    await until(
      "it has the ledger",
      async () => (await late().status())?.snapshot === null,
      90_000,
    );
    await until("it follows", async () => (await late().status())?.height === store.tip.height);
    const { stateRoot, baseHeight } = await late().client.status();
    expect({ stateRoot, baseHeight }).toEqual({
      ...{ stateRoot: store.tip.header.stateRoot, baseHeight: 32 },
    });
    const wrong = named("its snapshot is wrong");
    for (const [name, { key }] of Object.entries({ ...liars, endless }))
      expect(wrong.has(key), name).toBe(true);
    expect(named("does not answer").has(silent.key)).toBe(true);
    for (const { key } of honest) expect(wrong.has(key)).toBe(false);
    // What flow control lets out before the receiver gives up on the stream, not what it sends.
    expect(endless.sentBytes()).toBeLessThan(64 * 1024 * 1024);
    await late().stop();
    const { ledgerDirectory } = late().files;
    const words = ["--dir", ledgerDirectory, "--genesis", devnet().genesisFile];
    expect(await runCli("chain", "verify", ...words)).toMatchObject({ code: 0 });
  });
});

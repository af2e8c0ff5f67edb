/** Snapshots: what a node serves is whole, and what a liar serves is refused chunk by chunk. */
import { beforeAll, describe, expect, it } from "vitest";
import type { Header } from "../../../src/base/format/block.ts";
import { silentLog } from "../../../src/base/log.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import {
  decodeChunk,
  decodeManifest,
  encodeChunk,
  encodeManifest,
  type SnapshotChunk,
} from "../../../src/ledger/snapshot-format.ts";
import { SnapshotSource } from "../../../src/ledger/snapshot-source.ts";
import { verifyChunk, verifyManifest } from "../../../src/ledger/snapshot-verify.ts";
import { SnapshotWriter } from "../../../src/ledger/snapshot-writer.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { AppendInput } from "../../../src/ledger/types.ts";
import { verifyChain } from "../../../src/ledger/verify-chain.ts";
import { executeToys, TestChain, testGenesis, testVerifier } from "../../helpers/chain.ts";
import { changedManifest } from "../../helpers/changed-manifest.ts";
import { allKeys, memoryDatabase, watchedDatabase } from "../../helpers/databases.ts";

const genesis = testGenesis("test ledger", { snapshotInterval: 16 });
const context = { genesis, verifier: testVerifier };
/** Many chunks of a small state. */
const bounds = { bytesMax: 1_000, entriesMax: 7 };
const open = (database = memoryDatabase()) =>
  LedgerStore.open({ database, genesis, log: silentLog });

describe("a snapshot", () => {
  let inputs: AppendInput[];
  let store: LedgerStore;
  let source: SnapshotSource;
  const database = memoryDatabase();

  const chunksOf = async (height: number) => {
    const chunks: Uint8Array[] = [];
    for (let from: string | undefined = ""; from !== undefined; ) {
      const bytes = await source.chunk(height, from);
      if (bytes === undefined) throw new Error("no chunk");
      chunks.push(bytes);
      from = decodeChunk(bytes).to;
    }
    return chunks;
  };
  const manifestOf = async (height: number) => (await source.manifest(height)) as Uint8Array;
  const headerOf = async (height: number) =>
    verifyManifest(decodeManifest(await manifestOf(height)), context).header;
  const fetched = async (height: number, into = memoryDatabase()) => {
    const writer = await SnapshotWriter.open(into, context);
    await writer.begin(await manifestOf(height));
    for (const chunk of await chunksOf(height)) await writer.add(chunk);
    await writer.finish();
    return into;
  };

  beforeAll(async () => {
    const chain = new TestChain(genesis);
    inputs = [];
    for (let index = 0; index < 40; index += 1)
      inputs.push(
        await chain.next([
          { [`toy/k${index % 7}`]: index, [`toy/big${index}`]: index },
          { [`toy/big${index - 3}`]: null },
        ]),
      );
    store = await open(database);
    for (const input of inputs) await store.append(input);
    source = new SnapshotSource(store, bounds);
  });

  it("is served at the two newest multiples of the interval, and nowhere else", async () => {
    expect(source.heights).toEqual([32, 16]);
    expect(await source.manifest(40)).toBeUndefined();
    expect(await source.chunk(31, "")).toBeUndefined();
  });

  it("makes a store that goes on, verifies, and says where it begins", async () => {
    for (const height of [16, 32]) {
      const copy = await fetched(height);
      const began = await open(copy);
      expect(began.tip).toEqual({ ...began.tip, height, hash: inputs[height - 1]?.block.hash });
      expect(began.baseHeight).toBe(height);
      for (const input of inputs.slice(height)) await began.append(input);
      expect(began.stateTree.root).toBe(store.stateTree.root);
      const verdict = await verifyChain({ database: copy, ...context, execute: executeToys });
      expect(verdict).toMatchObject({ problems: [], baseHeight: height, validHeight: 40 });
      expect(verdict.summary).toContain(`certified snapshot at ${height}`);
      const { block } = inputs[39] as AppendInput;
      expect(verdict.validHash).toBe(block.hash);
    }
  });

  it("is the same after a restart, made from undo lists", async () => {
    const before = await Promise.all([16, 32].map(chunksOf));
    source = new SnapshotSource(await open(database), bounds);
    expect(await Promise.all([16, 32].map(chunksOf))).toEqual(before);
  });

  it("answers `pruned` for what lies before it, never `absent`", async () => {
    const began = await open(await fetched(16));
    for (const input of inputs.slice(16)) await began.append(input);
    const pruned = { code: "LEDGER_PRUNED", facts: { baseHeight: 16 } };
    for (const height of [1, 15, 16]) {
      await expect(began.readBlock(height)).rejects.toMatchObject(pruned);
      await expect(began.readBlockBytes(height)).rejects.toMatchObject(pruned);
      await expect(began.readReceipts(height)).rejects.toMatchObject(pruned);
      await expect(began.history("toy/k1", { from: height })).rejects.toMatchObject(pruned);
    }
    await expect(began.history("toy/k1")).rejects.toMatchObject(pruned);
    await expect(began.readValueAt("toy/k1", 15)).rejects.toMatchObject(pruned);
    expect(await began.readValueAt("toy/k1", 16)).toMatchObject({ value: "15" });
    expect((await began.readBlock(17))?.block.hash).toBe(inputs[16]?.block.hash);
    expect((await began.readBlock(0))?.block.hash).toBe(genesis.chainId);
    expect(await began.readBlock(41)).toBeUndefined();
    expect(began.damage).toBeUndefined();
  });

  it("is refused unless each chunk is just that range of the certified state", async () => {
    const header = await headerOf(32);
    const chunks = (await chunksOf(32)).map(decodeChunk);
    const [first] = chunks as [SnapshotChunk];
    const { entries, proof } = first;
    expect(() => verifyChunk(first, "", header)).not.toThrow();
    const [row, ...rest] = entries as [readonly [string, string], ...(readonly [string, string])[]];
    const lies: Record<string, SnapshotChunk> = {
      "another value": { ...first, entries: [[row[0], `${row[1]} `], ...rest] },
      "a missing key": { ...first, entries: rest },
      "an inner missing key": { ...first, entries: [row, ...rest.slice(1)] },
      "an extra key": { ...first, entries: [...entries, ["zzz/extra", "1"]] },
      "wrong order": { ...first, entries: [rest[0] as typeof row, row, ...rest.slice(1)] },
      "an early end": { ...first, to: row[0] },
      "an end before the next key": { ...first, to: `${entries.at(-1)?.[0]}\u0001` },
      "no entry": { ...first, entries: [] },
      "a later beginning": {
        ...first,
        entries: rest,
        proof: { ...proof, before: { key: row[0], valueHash: "00".repeat(32) } },
      },
    };
    for (const [lie, chunk] of Object.entries(lies))
      expect(() => verifyChunk(chunk, "", header), lie).toThrow(/SNAPSHOT_INVALID/);
    const tree = await store.snapshotTree(32);
    const empty = tree?.proveRange({ from: "", to: "a" });
    if (empty === undefined) throw new Error("no tree");
    const nothing = { to: "a", entries: [], proof: empty.proof };
    expect(() => verifyChunk(nothing, "", header), "proven, but no progress").toThrow(
      /it is empty/,
    );
    const last = chunks.at(-1) as SnapshotChunk;
    const from = chunks.at(-2)?.to as string;
    expect(() => verifyChunk(last, from, header)).not.toThrow();
    const onAndOn = { ...last, to: `${last.entries.at(-1)?.[0]}~` };
    expect(() => verifyChunk(onAndOn, from, header), "an end behind the last key").toThrow(
      /does not end where the next key begins/,
    );
    const other = await headerOf(16);
    expect(() => verifyChunk(first, "", other), "another height").toThrow(/SNAPSHOT_INVALID/);
    expect(() => verifyChunk(first, "toy/", header), "another from").toThrow(/SNAPSHOT_INVALID/);
  });

  it("is refused unless its manifest leads from the genesis to a certified header", async () => {
    const manifest = decodeManifest(await manifestOf(32));
    const older = decodeManifest(await manifestOf(16));
    const { headers } = manifest;
    const spoiled = (index: number, change: object) =>
      headers.map((header, place) => (place === index ? { ...header, ...change } : header));
    const lies = {
      "another chain": { ...manifest, chainId: merkleRoot([]) },
      "another certificate": { ...manifest, certificate: older.certificate },
      "another state root": { ...manifest, headers: spoiled(32, { stateRoot: merkleRoot([]) }) },
      "an older header spoiled": { ...manifest, headers: spoiled(20, { gasUsed: 7 }) },
      "a late beginning": { ...manifest, headers: headers.slice(1) },
      "no header": { ...manifest, headers: [] },
      "a gap": { ...manifest, headers: headers.filter((_, index) => index !== 10) },
      "a change that is none": {
        ...manifest,
        changes: [{ header: headers[16], certificate: older.certificate, validators: [] }],
      },
    };
    for (const [lie, each] of Object.entries(lies)) {
      const decoded = decodeManifest(encodeManifest(each as typeof manifest));
      expect(() => verifyManifest(decoded, context), lie).toThrow(/SNAPSHOT_INVALID/);
    }
    const few = { ...manifest.certificate, signatures: manifest.certificate.signatures.slice(1) };
    expect(() => verifyManifest({ ...manifest, certificate: few }, context)).toThrow(/too few/);
  });

  it("follows the validators from the genesis through certified changes only", () => {
    const { manifest, changed, next } = changedManifest(genesis);
    const proven = verifyManifest(manifest, context);
    expect({ height: proven.header.height, by: proven.validators }).toEqual({
      height: 16,
      by: next,
    });
    const [change] = manifest.changes as [(typeof manifest.changes)[number]];
    const lies = {
      "no change": [],
      "the change twice": [change, change],
      "other validators": [{ ...change, validators: [...next, merkleRoot([])].sort() }],
      "no validators": [{ ...change, validators: [] }],
      "its own certificate": [{ ...change, certificate: manifest.certificate }],
      "a header that nobody certified": [{ ...change, header: { ...changed, gasUsed: 1 } }],
    };
    for (const [lie, changes] of Object.entries(lies))
      expect(() => verifyManifest({ ...manifest, changes }, context), lie).toThrow(
        /SNAPSHOT_INVALID/,
      );
    // Signers are named by their place in the set, so its order is part of it.
    const turned = [{ ...change, validators: next.toReversed() }];
    expect(() => verifyManifest({ ...manifest, changes: turned }, context)).toThrow(
      /names other next validators/,
    );
  });

  it("must show the checkpoint of the configuration", async () => {
    const manifest = decodeManifest(await manifestOf(32));
    const at = (height: number, hash = inputs[height - 1]?.block.hash ?? "") =>
      verifyManifest(manifest, { ...context, checkpoint: { height, hash } }).header;
    expect(at(32).height).toBe(32);
    expect(at(20).height).toBe(32);
    expect(at(40).height).toBe(32);
    expect(() => at(20, merkleRoot([]))).toThrow(/another one/);
    expect(() => at(32, merkleRoot([]))).toThrow(/another one/);
  });

  it("must go on from the validators and the block of a ledger that is there", () => {
    const { manifest } = changedManifest(genesis);
    const own = changedManifest(genesis).manifest.headers as Header[];
    const others = changedManifest(genesis, 3).manifest.headers as Header[];
    const at = (tip: Header | undefined) => verifyManifest(manifest, { ...context, tip }).header;
    for (const tip of [...own, undefined]) expect(at(tip).height).toBe(16);
    // Before the change both are one chain.
    expect(at(others[9]).height).toBe(16);
    expect(() => at(others[10])).toThrow(/other validators after 10 than the ledger here/);
    expect(() => at({ ...(own[9] as Header), gasUsed: 1 })).toThrow(
      /the block at 9 is another one/,
    );
    // Not above the ledger: of no use, and no lie.
    expect(at({ ...(others[16] as Header), height: 99 }).height).toBe(16);
  });

  it("goes on after a kill at any write of its download, and is never half a ledger", async () => {
    let writes = 0;
    await fetched(
      32,
      watchedDatabase(memoryDatabase(), () => {
        writes += 1;
      }),
    );
    expect(writes).toBeGreaterThanOrEqual(8);
    for (let kill = 0; kill < writes; kill += 1) {
      const disk = memoryDatabase();
      let left = kill;
      const dying = watchedDatabase(disk, () => {
        if (left === 0) throw new Error("killed");
        left -= 1;
      });
      await expect(fetched(32, dying)).rejects.toThrow("killed");
      const isBegun = (await disk.get("m/snapshot")) !== undefined;
      expect((await allKeys(disk)).includes("m/tip")).toBe(false);
      const writer = await SnapshotWriter.open(disk, context);
      expect(writer.height).toBe(isBegun ? 32 : undefined);
      // The first two writes wipe and begin, the last one makes a ledger of it.
      if (isBegun) expect(writer.next === "").toBe(kill <= 2);
      if (!isBegun) await writer.begin(await manifestOf(32));
      while (writer.next !== undefined)
        await writer.add((await source.chunk(32, writer.next)) as Uint8Array);
      await writer.finish();
      expect(await allKeys(disk)).not.toContain("m/snapshot");
      expect((await open(disk)).stateTree.root).toBe((await headerOf(32)).stateRoot);
    }
  });

  it("comes back from its bytes as it was", async () => {
    const bytes = await manifestOf(32);
    expect(encodeManifest(decodeManifest(bytes))).toEqual(bytes);
    // The tuple's first field is its version.
    const later = bytes.map((byte, index) => (index === 1 ? 1 : byte));
    expect(bytes[1]).toBe(0);
    expect(() => decodeManifest(later)).toThrow(/CODEC_INVALID.*version/);
    for (const chunk of await chunksOf(32)) expect(encodeChunk(decodeChunk(chunk))).toEqual(chunk);
  });
});

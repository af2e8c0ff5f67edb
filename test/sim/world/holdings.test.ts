/**
 * What the simulator finds on the disks of nodes and in their answers about the past (holdings.ts):
 * a short run whose nodes are all well, of which one pruned, then one thing is made wrong.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { decodeTransaction } from "../../../src/base/format/transaction.ts";
import { encodeHistory } from "../../../src/ledger/history.ts";
import { putRecord, recordKeys } from "../../../src/ledger/records.ts";
import { decodeChunk, encodeChunk } from "../../../src/ledger/snapshot-format.ts";
import type { SnapshotServing } from "../../../src/ledger/snapshot-source.ts";
import { snapshotDirectories } from "../../../src/node/snapshot-directory.ts";
import type { Random } from "../random.ts";
import { worldGenesis } from "./chain.ts";
import { Canon, entriesOfState } from "./checkers.ts";
import { ledgerDirectory } from "./disk.ts";
import { found, foundLater } from "./found.ts";
import { Holdings } from "./holdings.ts";
import type { Running, WorldNode } from "./node.ts";
import type { Plan } from "./plan.ts";
import { SetModel } from "./set-model.ts";
import { quietPlan } from "./small-chain.ts";
import type { VirtualTime } from "./time.ts";
import type { ToldBlock } from "./untold.ts";
import { runWorld } from "./world.ts";

const interval = 16;
const heights = 24;
/** Node 0 prunes. */
const plan: Plan = {
  ...quietPlan,
  safetyMs: 60_000,
  snapshots: {
    interval,
    strikeShare: 0,
    nodes: [0, 1, 2, 3].map((index) => ({
      sync: "blocks",
      keepBlocks: index === 0 ? 2 : undefined,
      chunkEntriesMax: 8,
    })),
  },
};

const farEnough = "the run is long enough";

/** A node that runs. */
type Live = WorldNode & { readonly running: Running };

let canon: Canon;
let pruned: Live;
let whole: Live;
let base = 0;

beforeAll(async () => {
  const told: ToldBlock[] = [];
  const nodes = new Map<number, Live>();
  const onAppended = (node: WorldNode, appended: ToldBlock) => {
    nodes.set(node.index, node as Live);
    if (node.index === 1) told.push(appended);
    const lives = [...nodes.values()].map(({ running }) => running);
    const areEqual = lives.every(({ ledger }) => ledger.tip.height === told.length);
    if (told.length >= heights && areEqual && (lives[0]?.store.baseHeight ?? 0) > 0)
      throw new Error(farEnough);
  };
  const { violation } = await runWorld(plan, { observer: { onAppended } });
  expect(violation?.message).toContain(farEnough);
  [pruned, whole] = [nodes.get(0) as Live, nodes.get(1) as Live];
  base = pruned.running.store.baseHeight;
  canon = canonOf(told);
}, 60_000);

function canonOf(told: readonly ToldBlock[]): Canon {
  const genesis = worldGenesis(plan);
  const { chainId } = genesis;
  const sets = new SetModel({ chainId, initial: [0, 1, 2, 3], administrators: 1 });
  const bytes = told.flatMap(({ block }) => block.transactions);
  const sent = new Map(bytes.map((each) => [decodeTransaction(each).id, each]));
  const { heartbeatMs } = plan;
  const of = new Canon({ genesis, sets, sent, heartbeatMs, isHonest: () => true });
  for (const each of told) of.take(each, each.block.header.timestampMs);
  return of;
}

/** Holdings whose time passes by hand, and which draw these numbers, one after the other. */
function holdingsAt(draws: readonly number[] = []) {
  const at = { nowMs: 1_000 };
  const left = [...draws];
  const problems: string[] = [];
  const random = { below: () => left.shift() ?? 0 } as unknown as Random;
  const onViolation = (error: unknown) => problems.push((error as Error).message);
  const time = at as unknown as VirtualTime;
  return { at, problems, holdings: new Holdings({ canon, time, random, interval, onViolation }) };
}

/** The same object, but for some of its parts. */
function but<T extends object>(object: T, other: object): T {
  return new Proxy(object, {
    get: (target, name) => {
      if (name in other) return Reflect.get(other, name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

type Parts = { readonly [Part in keyof Running]?: object };

/** A node whose life has some other parts. */
function nodeBut(node: Live, parts: Parts): Live {
  const names = Object.keys(parts) as (keyof Running)[];
  const other = names.map((name) => [name, but(node.running[name], parts[name] as object)]);
  return but(node, { running: { ...node.running, ...Object.fromEntries(other) } });
}

/** Looks at a disk from which a record is gone, or on which another one is. */
async function withRecord<T>(
  node: WorldNode,
  [key, value]: readonly [key: string, value?: Uint8Array],
  look: () => T,
): Promise<Awaited<T>> {
  const entries = node.disk.entriesOf() as Map<string, Uint8Array>;
  const former = entries.get(key);
  if (value === undefined) expect(entries.delete(key), `${key} was there`).toBe(true);
  else entries.set(key, value);
  try {
    return await look();
  } finally {
    if (former === undefined) entries.delete(key);
    else entries.set(key, former);
  }
}

const endOf = (node: Live) => foundLater(() => holdingsAt().holdings.checkEnd(node, node.running));
const lastId = () => canon.blocks.at(-1)?.ids[0] as string;
const firstId = () => canon.blocks.find(({ ids }) => ids.length > 0)?.ids[0] as string;
const refusing = async () => {
  throw new LedgerError("LEDGER_PRUNED", { height: 1, baseHeight: base });
};

it("nodes that are well pass, with all their blocks or without the first ones", async () => {
  expect(base).toBe(interval);
  expect(canon.height).toBe(heights);
  expect(await endOf(pruned)).toBeUndefined();
  expect(await endOf(whole)).toBeUndefined();
  const { holdings } = holdingsAt();
  for (const node of [pruned, whole]) {
    expect(found(() => holdings.onAppended(node, heights))).toBeUndefined();
    expect(await foundLater(() => holdings.onOpened(node, node.running))).toBeUndefined();
  }
  expect(found(() => holdings.onPruning(pruned, true))).toBeUndefined();
});

describe("a block that was acknowledged", () => {
  it("is on disk with all its records, or is found", async () => {
    const keys = [
      recordKeys.block(heights),
      recordKeys.certificate(heights),
      recordKeys.receipts(heights),
      recordKeys.transaction(lastId()),
    ];
    for (const key of keys) {
      const { holdings } = holdingsAt();
      const look = () => found(() => holdings.onAppended(whole, heights));
      const message = `density: node 1 has ${heights} without ${key}`;
      expect(await withRecord(whole, [key], look)).toBe(message);
      expect(await withRecord(whole, [key], () => endOf(whole))).toBe(message);
    }
  });

  it("is one that somebody appended", () => {
    const { holdings } = holdingsAt();
    expect(found(() => holdings.onAppended(whole, heights + 1))).toBe(
      `density: node 1 has ${heights + 1}, which nobody appended`,
    );
  });
});

describe("a base", () => {
  const opened = (store: object, ledger: object = {}) => {
    const { running } = nodeBut(pruned, { store, ledger });
    return foundLater(() => holdingsAt().holdings.onOpened(pruned, running));
  };

  it("has a certificate that holds", async () => {
    expect(await opened({ readCertified: async () => undefined })).toBe(
      `pruned: node 0 has no certificate of its base ${base}`,
    );
    const stored = await pruned.running.store.readCertified(base);
    const certificate = stored?.certificate && { ...stored.certificate, round: 9 };
    const readCertified = async () => stored && { ...stored, certificate };
    expect(await opened({ readCertified })).toBe(
      `certificate: of ${base}: the signature of 0 does not hold`,
    );
  });

  it("has the state of its header when a node begins with it", async () => {
    const tip = { height: base };
    const state = { range: () => entriesOfState(pruned.running.ledger.state).slice(1) };
    expect(await opened({}, { tip, state })).toBe(
      `pruned: node 0 begins at ${base} with another state`,
    );
  });

  it("leaves nothing below it", async () => {
    const key = recordKeys.block(3);
    const below: readonly [string, Uint8Array][] = [
      [key, new Uint8Array(70)],
      [recordKeys.history("sim/total/k0", 1), new Uint8Array(70)],
    ];
    for (const record of below) {
      const { holdings } = holdingsAt();
      const ended = () => found(() => holdings.onPruning(pruned, true));
      expect(await withRecord(pruned, record, ended)).toMatch(
        /^pruned: node 0 still has 70 of 0 bytes$/,
      );
      expect(await withRecord(pruned, record, () => endOf(pruned))).toBe(
        `pruned: node 0 has 70 bytes below its base ${base}`,
      );
    }
    const listed = [recordKeys.transaction(firstId()), new Uint8Array(9)] as const;
    expect(await withRecord(pruned, listed, () => endOf(pruned))).toBe(
      `pruned: node 0 still lists ${firstId().slice(0, 8)}`,
    );
  });

  it("may leave something while pruning goes on", async () => {
    const entries = pruned.disk.entriesOf() as Map<string, Uint8Array>;
    entries.set(recordKeys.pruning, new Uint8Array(9));
    const rest = [recordKeys.block(3), new Uint8Array(70)] as const;
    expect(await withRecord(pruned, rest, () => endOf(pruned))).toBeUndefined();
    entries.delete(recordKeys.pruning);
  });
});

describe("answers about the past", () => {
  /** Asks one question: which node, height less one, total, kind of question, transaction. */
  async function asked(node: Live, height: number, kind: number): Promise<string | undefined> {
    const { holdings, problems } = holdingsAt([0, height - 1, 0, kind, 0]);
    holdings.look([node]);
    await new Promise(setImmediate);
    return problems[0];
  }
  const kinds = { block: 0, status: 1, value: 2, peer: 3 } as const;
  const everyKind = Object.values(kinds);
  const ofLedger = (of: object) => nodeBut(whole, { ledger: of });

  it("are right on all nodes, at every height", async () => {
    for (const kind of everyKind)
      for (let height = 1; height <= heights; height += 1)
        for (const node of [pruned, whole])
          expect(await asked(node, height, kind), `${height}`).toBeUndefined();
  });

  it("that a block is not there, or another one, are found", async () => {
    const other = await whole.running.ledger.readBlock(4);
    for (const stored of [undefined, other, { ...other, certificate: undefined }]) {
      const node = ofLedger({ readBlock: async () => stored });
      expect(await asked(node, 5, kinds.block)).toBe("density: node 1 lacks 5");
    }
  });

  it("with a certificate that does not hold are found", async () => {
    const stored = await whole.running.ledger.readBlock(5);
    const certificate = stored?.certificate && { ...stored.certificate, round: 9 };
    const node = ofLedger({ readBlock: async () => stored && { ...stored, certificate } });
    expect(await asked(node, 5, kinds.block)).toContain("certificate: of 5: the signature of 0");
  });

  it("to a peer that leave the block out are found", async () => {
    const node = nodeBut(whole, { shell: { handlers: { readBlocks: async () => [] } } });
    expect(await asked(node, 5, kinds.peer)).toBe("density: node 1 lacks 5");
  });

  it("that a transaction is elsewhere, open or unknown are found", async () => {
    const height = canon.blocks.findIndex(({ ids }) => ids.length > 0) + 1;
    const place = { height, index: 0 };
    const statuses = [
      { status: "final", ...place, height: height + 1 },
      { status: "final", ...place, index: 1 },
      { status: "pending" },
      { status: "unknown" },
      { status: "pruned", baseHeight: 0 },
    ];
    for (const status of statuses) {
      const node = ofLedger({ status: async () => status });
      const message = await asked(node, height, kinds.status);
      expect(message).toContain("pruned: node 1 with base 0 says");
      expect(message).toContain(JSON.stringify(status));
    }
  });

  it("that a pruned transaction is unknown are found", async () => {
    const height = canon.blocks.findIndex(({ ids }) => ids.length > 0) + 1;
    const node = nodeBut(pruned, { ledger: { status: async () => ({ status: "unknown" }) } });
    expect(await asked(node, height, kinds.status)).toContain(`node 0 with base ${base} says`);
  });

  it("that a total was another, or none, are found", async () => {
    for (const value of ["7", undefined]) {
      const answer = value === undefined ? undefined : { height: 1, value };
      const node = nodeBut(whole, { store: { readValueAt: async () => answer } });
      const expected = canon.blocks[heights - 1]?.totals.get("k0");
      expect(expected).toBeDefined();
      expect(await asked(node, heights, kinds.value)).toBe(
        `pruned: node 1: sim/total/k0 at ${heights} is ${value}, not ${expected}`,
      );
    }
  });

  it("that what is there is pruned are found, and answers about what is gone", async () => {
    const lost = ofLedger({ readBlock: refusing });
    expect(await asked(lost, 5, kinds.block)).toBe("pruned: node 1 has lost 5 above 0");
    const { readBlock } = but(whole.running.ledger, {});
    const kept = nodeBut(pruned, { ledger: { readBlock } });
    expect(await asked(kept, 5, kinds.block)).toBe(`pruned: node 0 answers 5 below ${base}`);
  });
});

describe("snapshots that are served", () => {
  const serving = (snapshots: object) => {
    const real = whole.running.shell.handlers.snapshots as object;
    return nodeBut(whole, { shell: { handlers: { snapshots: but(real, snapshots) } } });
  };

  it("are those of the newest height", async () => {
    expect(await endOf(serving({ heights: [] }))).toBe("pruned: node 1 serves , not 16");
  });

  it("are whole", async () => {
    expect(await endOf(serving({ chunk: async () => undefined }))).toBe(
      `pruned: a chunk of ${interval} is missing`,
    );
  });

  it("are the state that was certified", async () => {
    const { chunk } = but(whole.running.shell.handlers.snapshots as SnapshotServing, {});
    const shorter = async (height: number, from: string) => {
      const bytes = await chunk(height, from);
      if (bytes === undefined || from !== "") return bytes;
      const first = decodeChunk(bytes);
      return encodeChunk({ ...first, entries: first.entries.slice(1) });
    };
    expect(await endOf(serving({ chunk: shorter }))).toBe(
      `pruned: node 1 serves another state of ${interval}`,
    );
  });
});

describe("a download", () => {
  it("holds at every moment only what the model does", () => {
    const look = (height: number, value: string) => {
      const key = recordKeys.history("sim/total/k0", height);
      const operation = putRecord(key, encodeHistory(value)) as { value: Uint8Array };
      const download = new Map([[key, operation.value]]);
      const { download: directory } = snapshotDirectories(ledgerDirectory);
      const entriesOf = (of?: string) => (of === directory ? download : undefined);
      const disk = { entriesOf, full: new Set() };
      return found(() => holdingsAt().holdings.look([{ index: 2, disk } as unknown as WorldNode]));
    };
    const total = String(canon.blocks[interval - 1]?.totals.get("k0"));
    expect(look(interval, total)).toBeUndefined();
    expect(look(interval, "7")).toBe(
      `pruned: node 2 wrote sim/total/k0 = 7 instead of ${total} at ${interval} of a snapshot`,
    );
    expect(look(heights + 1, total)).toContain("instead of undefined");
  });
});

describe("a disk without room", () => {
  /** A node that meets one. */
  function stuck() {
    const disk = {
      full: new Set(["ledger"]),
      recordBegunMs: 0,
      onRefused: (_operations: readonly { key: string }[] | undefined) => {},
      entriesOf: () => undefined,
    };
    const gate = { closedBecause: undefined as string | undefined };
    const storage = { gateClosedMs: undefined as number | undefined };
    const running = { gate, storage, ledger: { tip: { height: 0 } } };
    const life = { isPaused: false };
    const node = { index: 3, disk, running, life } as unknown as WorldNode;
    const { at, holdings } = holdingsAt();
    holdings.watch(node);
    const later = (ms: number) => {
      at.nowMs += ms;
      return found(() => holdings.look([node]));
    };
    return { disk, gate, storage, life, node, holdings, later };
  }
  const silent = "disk: node 3 does not say that it cannot write";

  it("is talked about as soon as a write was refused", () => {
    const said = stuck();
    said.disk.onRefused([{ key: "b/1" }]);
    expect(said.later(100)).toBeUndefined();
    said.gate.closedBecause = "no room";
    expect(said.later(1)).toBeUndefined();
    for (const operations of [[{ key: "b/1" }], undefined]) {
      const kept = stuck();
      kept.disk.onRefused(operations);
      expect(kept.later(100)).toBeUndefined();
      expect(kept.later(1)).toBe(silent);
    }
  });

  it("need not be talked about for what may fail, or while the process stands still", () => {
    const { disk, life, later } = stuck();
    disk.onRefused([{ key: "m/pruning" }]);
    expect(later(200)).toBeUndefined();
    disk.onRefused(undefined);
    life.isPaused = true;
    expect(later(200)).toBeUndefined();
    life.isPaused = false;
    expect(later(0)).toBe(silent);
  });

  it("ends, and the node goes on soon after", () => {
    const { disk, gate, later } = stuck();
    gate.closedBecause = "no room";
    expect(later(60_000)).toBeUndefined();
    disk.full.clear();
    expect(later(1)).toBeUndefined();
    expect(later(8_000)).toBeUndefined();
    expect(later(1)).toBe("disk: node 3 does not go on: no room");
    gate.closedBecause = undefined;
    expect(later(1)).toBeUndefined();
  });

  it("lets nothing be signed whose record began after it was noticed", () => {
    const { disk, storage, node, holdings } = stuck();
    const sign = () => found(() => holdings.onSign(node));
    disk.recordBegunMs = 500;
    expect(sign()).toBeUndefined();
    storage.gateClosedMs = 500;
    expect(sign()).toBeUndefined();
    disk.recordBegunMs = 501;
    expect(sign()).toBe("disk: node 3 signs while it cannot write");
  });
});

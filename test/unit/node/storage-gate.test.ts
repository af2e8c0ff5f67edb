/** Claims about the gate between a node and its disk: invariants of src/node/storage-gate.ts. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { assert } from "../../../src/base/assert.ts";
import { LedgerError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { NodeConfig } from "../../../src/node/config.ts";
import { StorageGate } from "../../../src/node/storage-gate.ts";
import { storagePlaces } from "../../../src/node/storage-places.ts";
import type { Timers } from "../../../src/node/timers.ts";

/** Time that the test moves. */
class TestTimers implements Timers {
  #nowMs = 0;
  readonly #due: { atMs: number; run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void) {
    const entry = { atMs: this.#nowMs + delayMs, run };
    this.#due.push(entry);
    return () => {
      const index = this.#due.indexOf(entry);
      if (index !== -1) this.#due.splice(index, 1);
    };
  }

  every = () => () => {};

  /** Lets time pass, and all that follows from it. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#due
        .filter(({ atMs }) => atMs <= endMs)
        .sort((left, right) => left.atMs - right.atMs)[0];
      if (next === undefined) break;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.#nowMs = next.atMs;
      next.run();
      await settled();
    }
    this.#nowMs = endMs;
  }

  get pending(): number {
    return this.#due.length;
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const diskFault = () => new LedgerError("LEDGER_WRITE_FAILED", { height: 1, reason: "full" });

function make() {
  const timers = new TestTimers();
  const disk = {
    freeBytes: 0,
    askError: undefined as unknown,
    isBroken: true,
    mends: [] as number[],
    mendError: undefined as unknown,
  };
  const freeBytes = async () => {
    if (disk.askError !== undefined) throw disk.askError;
    return disk.freeBytes;
  };
  const gate = new StorageGate({
    places: [{ directory: "d", bytesMin: limits.storageRoomBytesMin, freeBytes }],
    mend: async () => {
      disk.mends.push(timers.nowMs());
      if (disk.mendError !== undefined) throw disk.mendError;
    },
    log: silentLog,
    timers,
  });
  const write = async () => {
    if (disk.isBroken) throw diskFault();
    return "written";
  };
  return { timers, disk, gate, write };
}

describe("the gate to the disk", () => {
  it("mends nothing once it was stopped, also while it looked for room", async () => {
    const { gate, write, disk, timers } = make();
    const waiting = gate.pass(write).catch((error: unknown) => error);
    await settled();
    Object.defineProperty(disk, "freeBytes", {
      get: () => {
        gate.stop();
        return limits.storageRoomBytesMin;
      },
    });
    await timers.pass(1_000);
    expect(await waiting).toMatchObject({ code: "NODE_STOPPED" });
    expect([disk.mends, timers.pending]).toEqual([[], 0]);
  });

  it("lets through what works, and what fails for another reason", async () => {
    const { gate } = make();
    expect(await gate.pass(async () => 7)).toBe(7);
    await expect(gate.pass(() => Promise.reject(new Error("a bug")))).rejects.toThrow("a bug");
    const foreign = new LedgerError("BLOCK_INVALID", { height: 1, reason: "" });
    await expect(gate.pass(() => Promise.reject(foreign))).rejects.toBe(foreign);
    expect(gate.closedBecause).toBeUndefined();
  });

  it("(1) (2) (3) holds everything until there is room and the ledger is mended", async () => {
    const { timers, disk, gate, write } = make();
    const done: string[] = [];
    const first = gate.pass(write).then(() => done.push("block"));
    await settled();
    expect(gate.closedBecause).toContain("LEDGER_WRITE_FAILED");
    let begun = 0;
    const record = async () => {
      begun += 1;
    };
    const second = gate.pass(record).then(() => done.push("record"));
    disk.isBroken = false;
    await timers.pass(60_000);
    expect([begun, done, disk.mends]).toEqual([0, [], []]);
    expect(gate.closedBecause).toContain("NODE_DISK_FULL");
    disk.freeBytes = limits.storageRoomBytesMin;
    disk.mendError = new LedgerError("LEDGER_STORE_UNREADABLE", {
      directory: "d",
      reason: "full",
      salvageable: false,
    });
    await timers.pass(60_000);
    expect([begun, done]).toEqual([0, []]);
    expect(gate.closedBecause).toContain("LEDGER_STORE_UNREADABLE");
    disk.mendError = undefined;
    await timers.pass(10_000);
    await Promise.all([first, second]);
    expect(done.toSorted()).toEqual(["block", "record"]);
    expect(gate.closedBecause).toBeUndefined();
  });

  it("closes for a failed write of which nobody waits for another try, and mends the ledger", async () => {
    const { timers, disk, gate } = make();
    gate.report(new Error("a bug"));
    expect(gate.closedBecause).toBeUndefined();
    gate.report(new LedgerError("LEDGER_WRITE_FAILED", { height: 1, reason: "full" }));
    expect(gate.closedBecause).toContain("LEDGER_WRITE_FAILED");
    disk.freeBytes = limits.storageRoomBytesMin;
    await timers.pass(10_000);
    expect([gate.closedBecause, disk.mends.length]).toEqual([undefined, 1]);
  });

  it("tries seldom, as each try closes the database, and soon again after a success", async () => {
    const { timers, disk, gate, write } = make();
    disk.freeBytes = limits.storageRoomBytesMin;
    const passing = gate.pass(write);
    await settled();
    await timers.pass(23_000);
    expect(disk.mends).toEqual([1, 3, 7, 11, 15, 19, 23].map((each) => each * 1_000));
    disk.isBroken = false;
    await timers.pass(4_000);
    expect(await passing).toBe("written");
    disk.isBroken = true;
    disk.mends.splice(0);
    const again = gate.pass(write);
    await settled();
    await timers.pass(1_000);
    expect(disk.mends).toHaveLength(1);
    gate.stop();
    await expect(again).rejects.toMatchObject({ code: "NODE_STOPPED" });
    expect(timers.pending).toBe(0);
  });

  it("goes on within a second once there is room, however long there was none", async () => {
    const { timers, disk, gate, write } = make();
    disk.freeBytes = 0;
    const passing = gate.pass(write);
    await settled();
    await timers.pass(3_600_000);
    expect(disk.mends).toEqual([]);
    disk.freeBytes = limits.storageRoomBytesMin;
    disk.isBroken = false;
    await timers.pass(1_000);
    expect(await passing).toBe("written");
    expect(gate.closedBecause).toBeUndefined();
  });

  it("(5) says why until a write succeeds, not only until it is tried again", async () => {
    const { timers, disk, gate, write } = make();
    disk.freeBytes = limits.storageRoomBytesMin;
    const reasons = new Set<string | undefined>();
    const passing = gate.pass(() => {
      reasons.add(gate.closedBecause === undefined ? "none" : "some");
      return write();
    });
    await settled();
    reasons.clear();
    await timers.pass(10_000);
    expect([...reasons]).toEqual(["some"]);
    disk.isBroken = false;
    await timers.pass(4_000);
    await passing;
    expect(gate.closedBecause).toBeUndefined();
  });

  it.each([
    ["room", "EIO: i/o error, statfs"],
    ["room", "ENOENT: no such file or directory, statfs"],
    ["ledger", "IO error: while closing"],
  ])("(6) outlives a disk that fails when it is asked for its %s: %s", async (asked, text) => {
    const { timers, disk, gate, write } = make();
    disk.freeBytes = limits.storageRoomBytesMin;
    const error = Object.assign(new Error(text), { code: text.slice(0, text.indexOf(":")) });
    if (asked === "room") disk.askError = error;
    else disk.mendError = error;
    const passing = gate.pass(write);
    await settled();
    await timers.pass(60_000);
    expect(gate.closedBecause).toContain(text);
    disk.askError = undefined;
    disk.mendError = undefined;
    disk.isBroken = false;
    await timers.pass(8_000);
    expect(await passing).toBe("written");
    expect(await gate.pass(write)).toBe("written");
  });

  it("(5) ends by a bug: nothing would ever mend it", async () => {
    const { timers, disk, gate, write } = make();
    disk.freeBytes = limits.storageRoomBytesMin;
    const passing = gate.pass(write);
    const refused = expect(passing).rejects.toThrow("one is one");
    await settled();
    try {
      assert(false, "one is one");
    } catch (bug) {
      disk.mendError = bug;
    }
    await timers.pass(1_000);
    await refused;
  });

  it("tells whoever waits when no waiting helps", async () => {
    const { timers, disk, gate, write } = make();
    disk.freeBytes = limits.storageRoomBytesMin;
    disk.mendError = new LedgerError("LEDGER_HOLE", { height: 7 });
    const waiting = [gate.pass(write), gate.pass(write)];
    const refused = { code: "LEDGER_HOLE" };
    const all = Promise.all(waiting.map((each) => expect(each).rejects.toMatchObject(refused)));
    await settled();
    await timers.pass(1_000);
    await all;
    await expect(gate.pass(write)).rejects.toMatchObject(refused);
    expect(gate.closedBecause).toContain("LEDGER_HOLE");
    expect(timers.pending).toBe(0);
  });
});

describe("the places of a node", () => {
  it("need little room where the signing record is: a volume for keys is small", async () => {
    const root = mkdtempSync(join(tmpdir(), "loopledger-places-"));
    const keys = join(root, "keys");
    mkdirSync(keys);
    const config = { ledgerDirectory: root, validatorKeyFile: join(keys, "v.key") } as NodeConfig;
    const places = storagePlaces(config);
    expect(places.map(({ directory, bytesMin }) => [directory, bytesMin])).toEqual([
      [root, 32 * 1_024 * 1_024],
      [keys, 256 * 1_024],
    ]);
    for (const place of places) expect(await place.freeBytes()).toBeGreaterThan(0);
    expect(storagePlaces({ ...config, validatorKeyFile: undefined } as NodeConfig)).toHaveLength(1);
    rmSync(root, { recursive: true });
    await expect(places[1]?.freeBytes()).rejects.toThrow("ENOENT");
  });
});

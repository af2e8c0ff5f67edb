/** Claims about the gate between a node and its disk: invariants of src/node/storage-gate.ts. */
import { describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { StorageGate } from "../../../src/node/storage-gate.ts";
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
    isBroken: true,
    mends: [] as number[],
    mendError: undefined as unknown,
  };
  const gate = new StorageGate({
    places: [{ directory: "d", freeBytes: async () => disk.freeBytes }],
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

  it("tries seldom, as each try closes the database, and soon again after a success", async () => {
    const { timers, disk, gate, write } = make();
    disk.freeBytes = limits.storageRoomBytesMin;
    const passing = gate.pass(write);
    await settled();
    await timers.pass(63_000);
    expect(disk.mends).toEqual([1, 3, 7, 15, 23, 31, 39, 47, 55, 63].map((each) => each * 1_000));
    disk.isBroken = false;
    await timers.pass(8_000);
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

/**
 * Claims about the signing record on disk (invariants of signing-record-file.ts): the newest whole
 * record is read back; a write that was interrupted leaves the record before it and raises no
 * doubt; damage does.
 */
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { isLedgerError } from "../../../src/base/errors.ts";
import { silentLog } from "../../../src/base/log.ts";
import { SigningRecordFile } from "../../../src/node/signing-record-file.ts";
import { judgeRecord } from "../../../src/node/votes.ts";

const sectorBytes = 512;
const fresh = () => join(mkdtempSync(join(tmpdir(), "record-")), "signing-record");
/** Five sectors. */
const payload = (value: number) => new Uint8Array(2_200).fill(value);

async function writeAll(path: string, values: readonly number[]): Promise<void> {
  const { file } = await SigningRecordFile.open(path);
  for (const value of values) await file.write(payload(value));
  await file.close();
}

async function found(path: string) {
  const { file, record, isLost, isTorn } = await SigningRecordFile.open(path);
  await file.close();
  return { value: record?.[0], isLost, isTorn };
}

const reread = async (path: string) => (await found(path)).value;

describe("the signing record", () => {
  it("is absent before the first write", async () => {
    expect(await reread(fresh())).toBeUndefined();
  });

  it("(3) tells a key that never signed from one whose record is lost", async () => {
    const path = fresh();
    expect((await found(path)).isLost).toBe(true);
    await SigningRecordFile.create(path);
    expect(await found(path)).toEqual({ value: undefined, isLost: false, isTorn: false });
  });

  it("leaves an existing record alone when it is created once more", async () => {
    const path = fresh();
    await writeAll(path, [1, 2, 3]);
    await SigningRecordFile.create(path);
    expect(await reread(path)).toBe(3);
  });

  it("(1) gives back what was written last, over several openings", async () => {
    const path = fresh();
    await writeAll(path, [1, 2, 3]);
    expect(await reread(path)).toBe(3);
    await writeAll(path, [4]);
    expect(await reread(path)).toBe(4);
  });

  it("reads a short record in the place of a longer one", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    const { file } = await SigningRecordFile.open(path);
    for (const value of [3, 4]) await file.write(Uint8Array.of(value));
    await file.close();
    expect(await found(path)).toEqual({ value: 4, isLost: false, isTorn: false });
  });

  it("(2) passes over a write that was interrupted after any sectors, without doubt", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    const former = readFileSync(`${path}.a`);
    await writeAll(path, [3, 4]);
    const next = readFileSync(`${path}.a`);
    for (let sectors = 0; sectors < next.length / sectorBytes; sectors += 1) {
      const cut = sectors * sectorBytes;
      writeFileSync(`${path}.a`, Buffer.concat([next.subarray(0, cut), former.subarray(cut)]));
      expect(await found(path), `${sectors} sectors`).toMatchObject({ value: 3, isTorn: false });
      // A disk may write the later sectors first.
      writeFileSync(`${path}.a`, Buffer.concat([former.subarray(0, cut), next.subarray(cut)]));
      const value = sectors === 0 ? 4 : 3;
      expect(await found(path), `without ${sectors}`).toMatchObject({ value, isTorn: false });
    }
    for (let length = 0; length < next.length; length += 41) {
      writeFileSync(`${path}.a`, next.subarray(0, length));
      expect(await found(path), `${length} bytes`).toMatchObject({ value: 3, isTorn: false });
    }
  });

  it("(2) says when a slot is damaged, for it may have been the newest", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    const whole = readFileSync(`${path}.a`);
    for (let place = 0; place < whole.length; place += 37) {
      const flipped = Buffer.from(whole);
      flipped[place] = (flipped[place] as number) ^ 1;
      writeFileSync(`${path}.a`, flipped);
      expect(await found(path), `byte ${place}`).toMatchObject({ value: 1, isTorn: true });
    }
    writeFileSync(`${path}.a`, Buffer.alloc(whole.length));
    expect(await found(path)).toMatchObject({ value: 1, isTorn: true });
  });

  it("does not take an old torn slot for an interrupted write of the next record", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    const second = readFileSync(`${path}.a`);
    await writeAll(path, [3, 4, 5]);
    writeFileSync(`${path}.a`, second.subarray(0, 2 * sectorBytes));
    expect(await found(path)).toMatchObject({ value: 5, isTorn: true });
  });

  it("goes on above the newest sequence after a torn write, so that an old slot never wins", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    writeFileSync(`${path}.a`, readFileSync(`${path}.a`).subarray(0, 600));
    await writeAll(path, [3]);
    expect(await reread(path)).toBe(3);
  });

  it("refuses to open when both slots are damaged, for nobody knows then what was signed", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    for (const slot of ["a", "b"]) writeFileSync(`${path}.${slot}`, Buffer.alloc(1_000, 7));
    const error = await SigningRecordFile.open(path).catch((caught: unknown) => caught);
    expect(isLedgerError(error, "SIGNING_RECORD_CORRUPT")).toBe(true);
  });

  it("counts as lost once it is put aside, and is not deleted", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    await SigningRecordFile.setAside(path);
    expect(await found(path)).toMatchObject({ value: undefined, isLost: true });
    expect(readdirSync(join(path, "..")).filter((name) => name.endsWith("restore"))).toHaveLength(
      2,
    );
    await SigningRecordFile.setAside(path);
  });
});

describe("a signing record on a full disk", () => {
  let unfill = () => {};
  afterEach(() => unfill());

  /** Lets every file take `bytes` more, then no more, as a full disk does. */
  async function fill(path: string, bytes: number): Promise<void> {
    const handle = await open(`${path}.probe`, "w");
    const prototype = Object.getPrototypeOf(handle) as { write: FileHandle["write"] };
    await handle.close();
    const write = prototype.write as (...args: unknown[]) => Promise<unknown>;
    let room = bytes;
    prototype.write = async function (this: FileHandle, ...args: unknown[]) {
      const [buffer, offset, length, position] = args as [Uint8Array, number, number, number];
      if (room === 0) throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
      const taken = Math.min(room, length);
      room -= taken;
      return write.call(this, buffer, offset, taken, position);
    } as never;
    unfill = () => {
      prototype.write = write as FileHandle["write"];
    };
  }

  it("says so, keeps the record before it, and leaves no trace that looks like damage", async () => {
    for (const room of [0, 100, 512, 1_000, 2_000]) {
      const path = fresh();
      await writeAll(path, [1, 2, 3]);
      const { file } = await SigningRecordFile.open(path);
      await fill(path, room);
      const facts = { file: `${path}.a`, reason: "ENOSPC" };
      const refused = { code: "SIGNING_RECORD_UNWRITABLE", facts };
      await expect(file.write(payload(4))).rejects.toMatchObject(refused);
      expect(await found(path), `${room} bytes`).toEqual({
        value: 3,
        isLost: false,
        isTorn: false,
      });
      unfill();
      await file.write(payload(4));
      await file.write(payload(5));
      await file.close();
      expect(await reread(path)).toBe(5);
    }
  });
});

describe("the judgement of a record", () => {
  const judge = (isTorn: boolean, validators: number) =>
    judgeRecord(
      { record: Uint8Array.of(1), isLost: false, isTorn },
      { validators, acceptLostVotes: false, log: silentLog },
    );

  it("takes a damaged one for lost, and for good where nobody can tell the tip", () => {
    expect(judge(false, 2).isLost).toBe(false);
    expect(judge(true, 4).isLost).toBe(true);
    expect(() => judge(true, 2)).toThrow("NODE_VOTES_LOST");
  });
});

/**
 * Claims about the signing record on disk (invariants of signing-record-file.ts): the newest whole
 * record is read back; a write that was interrupted leaves the record before it and raises no
 * doubt; damage does.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { encodeSigningRecord, signingLimit } from "../../../src/base/format/signing-record.ts";
import { silentLog } from "../../../src/base/log.ts";
import { SigningRecordFile } from "../../../src/node/signing-record-file.ts";
import { type FoundRecord, judgeRecord } from "../../../src/node/votes.ts";

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
    for (let length = sectorBytes; length < next.length; length += 41) {
      writeFileSync(`${path}.a`, next.subarray(0, length));
      expect(await found(path), `${length} bytes`).toMatchObject({ value: 3, isTorn: false });
    }
  });

  it("(4) takes a slot that is gone or emptied beside a later record for the newest", async () => {
    const path = fresh();
    await SigningRecordFile.create(path);
    // Beside the first record there never was another.
    expect((await found(path)).isTorn).toBe(false);
    await writeAll(path, [2, 3, 4]);
    const newest = `${path}.a`;
    writeFileSync(newest, "");
    expect(await found(path)).toEqual({ value: 3, isLost: false, isTorn: true });
    writeFileSync(newest, Buffer.alloc(100, 1));
    expect(await found(path)).toEqual({ value: 3, isLost: false, isTorn: true });
    rmSync(newest);
    expect(await found(path)).toEqual({ value: 3, isLost: false, isTorn: true });
    await writeAll(path, [5]);
    expect(await found(path)).toEqual({ value: 5, isLost: false, isTorn: false });
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

  it("counts as lost when no slot is whole, keeps them for people, and begins anew", async () => {
    const path = fresh();
    await writeAll(path, [1, 2, 3, 4, 5]);
    for (const slot of ["a", "b"]) {
      const bytes = readFileSync(`${path}.${slot}`);
      writeFileSync(
        `${path}.${slot}`,
        Buffer.concat([Buffer.alloc(sectorBytes, 7), bytes.subarray(512)]),
      );
    }
    // Whoever creates a key finds what is there, damaged or not, and leaves it.
    await SigningRecordFile.create(path);
    expect(await found(path)).toEqual({ value: undefined, isLost: true, isTorn: false });
    const aside = readdirSync(join(path, "..")).filter((name) => name.endsWith("damaged"));
    expect(aside).toHaveLength(2);
    for (const value of [6, 7, 8]) {
      await writeAll(path, [value]);
      expect(await found(path)).toEqual({ value, isLost: false, isTorn: false });
    }
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
  const claim = { kind: "prepare", height: 9, round: 0, blockHash: "33".repeat(32) } as const;
  const record = encodeSigningRecord({ ...signingLimit(9), claims: [claim] });
  const limit = encodeSigningRecord(signingLimit(9));
  const judged = (found: Partial<FoundRecord>, validators: number, acceptLostVotes = false) =>
    judgeRecord(
      { record, isLost: false, isTorn: false, ...found },
      { validators, acceptLostVotes, log: silentLog },
    );
  const judge = (...args: Parameters<typeof judged>) => judged(...args).loss;

  it("takes a damaged one for lost, and for good where nobody can tell the tip", () => {
    expect(judge({}, 2)).toBeUndefined();
    expect(judge({ isTorn: true }, 4)).toEqual({ hiddenHeights: 2 });
    expect(judge({ isLost: true, record: undefined }, 3)).toEqual({ hiddenHeights: 2 });
    expect(() => judge({ isTorn: true }, 2)).toThrow("NODE_VOTES_LOST");
  });

  it("has the tip learnt all the same when the operator says that no vote is hidden", () => {
    for (const validators of [1, 2, 4])
      expect(judge({ isLost: true }, validators, true)).toEqual({ hiddenHeights: 0 });
    expect(judge({}, 1, true)).toBeUndefined();
  });

  it("puts the operator's word above what was learnt of hidden votes, but not above a vote", () => {
    const loss = { hiddenHeights: 0 };
    for (const isTorn of [false, true])
      expect(judged({ record: limit, isTorn }, 4, true)).toEqual({ record: undefined, loss });
    expect(judged({ record: limit }, 4)).toEqual({ record: limit, loss: undefined });
    expect(judged({ isTorn: true }, 4, true)).toEqual({ record, loss });
    expect(judged({}, 4, true)).toEqual({ record, loss: undefined });
  });
});

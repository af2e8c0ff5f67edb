/**
 * Claims about the signing record on disk (invariants of signing-record-file.ts): the newest whole
 * record is read back; a write that was torn at any byte leaves the record before it.
 */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isLedgerError } from "../../../src/base/errors.ts";
import { SigningRecordFile } from "../../../src/node/signing-record-file.ts";

const fresh = () => join(mkdtempSync(join(tmpdir(), "record-")), "signing-record");
const payload = (value: number) => new Uint8Array(200).fill(value);

async function writeAll(path: string, values: readonly number[]): Promise<void> {
  const { file } = await SigningRecordFile.open(path);
  for (const value of values) await file.write(payload(value));
  await file.close();
}

async function reread(path: string): Promise<number | undefined> {
  const { file, record } = await SigningRecordFile.open(path);
  await file.close();
  return record?.[0];
}

describe("the signing record", () => {
  it("says when one slot is damaged, for it may have been the newest", async () => {
    const path = fresh();
    await writeAll(path, [1, 2, 3]);
    const whole = await SigningRecordFile.open(path);
    await whole.file.close();
    writeFileSync(`${path}.b`, Buffer.alloc(100, 7));
    const torn = await SigningRecordFile.open(path);
    await torn.file.close();
    expect([whole.isTorn, torn.isTorn]).toEqual([false, true]);
  });

  it("is absent before the first write", async () => {
    expect(await reread(fresh())).toBeUndefined();
  });

  it("(3) tells a key that never signed from one whose record is lost", async () => {
    const path = fresh();
    const lost = await SigningRecordFile.open(path);
    await lost.file.close();
    expect(lost.isLost).toBe(true);
    await SigningRecordFile.create(path);
    const born = await SigningRecordFile.open(path);
    await born.file.close();
    expect([born.isLost, born.record]).toEqual([false, undefined]);
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

  it("(2) gives the record before when the last write is torn at any byte", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    const whole = readFileSync(`${path}.a`);
    for (let length = 0; length < whole.length; length += 7) {
      writeFileSync(`${path}.a`, whole.subarray(0, length));
      expect(await reread(path)).toBe(1);
    }
    for (let place = 0; place < whole.length; place += 7) {
      const flipped = Buffer.from(whole);
      flipped[place] = (flipped[place] as number) ^ 1;
      writeFileSync(`${path}.a`, flipped);
      expect(await reread(path)).toBe(1);
    }
  });

  it("goes on above the newest sequence after a torn write, so that an old slot never wins", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    writeFileSync(`${path}.a`, readFileSync(`${path}.a`).subarray(0, 60));
    await writeAll(path, [3]);
    expect(await reread(path)).toBe(3);
  });

  it("refuses to open when both slots are damaged, for nobody knows then what was signed", async () => {
    const path = fresh();
    await writeAll(path, [1, 2]);
    for (const slot of ["a", "b"]) writeFileSync(`${path}.${slot}`, Buffer.alloc(100, 7));
    const error = await SigningRecordFile.open(path).catch((caught: unknown) => caught);
    expect(isLedgerError(error, "SIGNING_RECORD_CORRUPT")).toBe(true);
  });
});

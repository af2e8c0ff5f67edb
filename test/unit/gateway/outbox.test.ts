/**
 * Invariants (1) to (4) of src/gateway/outbox.ts against a model, over random histories in which
 * the outbox is closed and opened again at any point. Kills are in e2e/replay-kill.test.ts, failing
 * writes in sender.test.ts.
 *
 * Seen to fail when: `sign` leaves the queued rows; `replace` keeps the old transaction; `#write`
 * leaves `nextNonce` out of the batch; `refuse` does not count down `inFlight`; `accept` writes no
 * position.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { Outbox, type SignReadings, type StoredTransaction } from "../../../src/gateway/outbox.ts";
import type { Reading } from "../../../src/gateway/source-csv.ts";
import { seedOf } from "../../helpers/seed.ts";
import { readingOf } from "./fake-ledger.ts";

const parent = mkdtempSync(join(tmpdir(), "loopledger-outbox-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

/** A body is its nonce and readings: what invariant (3) is about. */
const sign: SignReadings = (readings, nonce) => {
  const body = JSON.stringify([nonce, readings]);
  return { id: body, bytes: Buffer.from(body).toString("hex"), expiresAtMs: nonce };
};

const seed = seedOf(20_260_102);
const step = fc.record({
  kind: fc.constantFrom("accept", "sign", "sign", "forget", "split", "refuse", "raise", "reopen"),
  count: fc.integer({ min: 1, max: 7 }),
});
type Step = { readonly kind: string; readonly count: number };

/** An outbox and what must be in it. */
class Model {
  readonly directory = mkdtempSync(join(parent, "run-"));
  outbox!: Outbox;
  accepted = 0;
  queued: Reading[] = [];
  live: StoredTransaction[] = [];
  refused: Reading[] = [];
  final = 0;
  readonly bodies = new Map<number, string>();

  async open(): Promise<void> {
    this.outbox = await Outbox.open(this.directory);
    await this.outbox.raiseNonce(5);
  }

  async apply({ kind, count }: Step): Promise<void> {
    const { outbox } = this;
    const transaction = this.live[count % Math.max(1, this.live.length)];
    if (kind === "accept") {
      const some = Array.from({ length: count }, (_, index) => readingOf(this.accepted + index));
      this.accepted += count;
      this.queued.push(...some);
      await outbox.accept(some, { source: "s", rows: this.accepted }, this.accepted);
    } else if (kind === "sign") {
      const signed = await outbox.sign(count, sign);
      expect(signed?.readings ?? []).toEqual(this.queued.splice(0, count));
      if (signed !== undefined) this.add(signed);
    } else if (kind === "raise") await outbox.raiseNonce(outbox.nextNonce + count - 4);
    else if (kind === "reopen") {
      await outbox.close();
      await this.open();
    } else if (transaction !== undefined) await this.end(transaction, kind);
  }

  async end(transaction: StoredTransaction, kind: string): Promise<void> {
    const { readings } = transaction;
    if (kind === "refuse" && readings.length > 1) return;
    this.live = this.live.filter((one) => one !== transaction);
    if (kind === "forget") {
      this.final += readings.length;
      await this.outbox.forget(transaction);
    } else if (kind === "refuse") {
      this.refused.push(...readings);
      await this.outbox.refuse(transaction, "CODE");
    } else {
      const half = Math.ceil(readings.length / 2);
      const parts = [readings.slice(0, half), readings.slice(half)].filter((one) => one.length > 0);
      for (const part of await this.outbox.replace(transaction, parts, sign)) this.add(part);
    }
  }

  add(transaction: StoredTransaction): void {
    expect(this.bodies.has(transaction.nonce), `nonce ${transaction.nonce} again`).toBe(false);
    this.bodies.set(transaction.nonce, transaction.id);
    this.live.push(transaction);
  }

  async check(): Promise<void> {
    const { outbox } = this;
    expect(await outbox.live()).toEqual(this.live.toSorted((a, b) => a.nonce - b.nonce));
    expect((await outbox.refused(1_000)).map(({ reading }) => reading)).toEqual(this.refused);
    const inFlight = this.live.reduce((sum, { readings }) => sum + readings.length, 0);
    const { queued, final, refused } = this;
    const counts = { queued: queued.length, inFlight, final, refused: refused.length };
    expect(outbox.counts).toEqual(counts);
    expect(await outbox.rowsTaken("s")).toBe(this.accepted);
    expect(await outbox.rowsTaken("other")).toBe(0);
    expect((await outbox.oldestAcceptedAtMs()) === undefined).toBe(queued.length + inFlight === 0);
  }
}

it("has every reading in exactly one place, and every nonce in one body, in any history", async () => {
  const history = fc.array(step, { minLength: 5, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(history, async (steps) => {
      const model = new Model();
      await model.open();
      for (const one of [...steps, { kind: "reopen", count: 1 }]) {
        await model.apply(one);
        await model.check();
      }
      // The queue itself shows when it is signed to its end.
      const rest = await model.outbox.sign(1_000, sign);
      expect(rest?.readings ?? []).toEqual(model.queued);
      await model.outbox.close();
    }),
    { seed, numRuns: 15 },
  );
});

it("takes changes that come at once one after the other", async () => {
  const outbox = await Outbox.open(mkdtempSync(join(parent, "run-")));
  await outbox.raiseNonce(1);
  const readings = Array.from({ length: 40 }, (_, index) => readingOf(index));
  const accepted = Array.from({ length: 4 }, (_, index) =>
    outbox.accept(readings.slice(index * 10, index * 10 + 10), { source: "s", rows: index }, 1),
  );
  const signed = await Promise.all(Array.from({ length: 20 }, () => outbox.sign(3, sign)));
  await Promise.all(accepted);
  const all = signed.filter((one) => one !== undefined);
  expect(all.flatMap((one) => one.readings)).toEqual(readings);
  expect(new Set(all.map(({ nonce }) => nonce)).size).toBe(14);
  await outbox.close();
});

it("keeps what is in it when signing fails, and goes on", async () => {
  const outbox = await Outbox.open(mkdtempSync(join(parent, "run-")));
  await outbox.accept([readingOf(1)], { source: "s", rows: 1 }, 1);
  await expect(outbox.sign(1, sign)).rejects.toThrow("the first nonce is known");
  await outbox.raiseNonce(1);
  const broken = outbox.sign(1, () => {
    throw new Error("no key");
  });
  await expect(broken).rejects.toThrow("no key");
  expect(outbox.counts).toMatchObject({ queued: 1, inFlight: 0 });
  expect(await outbox.sign(1, sign)).toMatchObject({ nonce: 1 });
  await outbox.close();
});

it("is for one gateway at a time, and says so", async () => {
  const directory = mkdtempSync(join(parent, "run-"));
  const first = await Outbox.open(directory);
  await expect(Outbox.open(directory)).rejects.toMatchObject({
    code: "GATEWAY_OUTBOX_UNREADABLE",
    facts: { directory, reason: "another gateway has it open" },
  });
  await first.close();
  await (await Outbox.open(directory)).close();
});

it("says why a directory cannot be one", async () => {
  const file = join(parent, "file");
  writeFileSync(file, "no directory");
  await expect(Outbox.open(file)).rejects.toMatchObject({
    code: "GATEWAY_OUTBOX_UNREADABLE",
    facts: { reason: expect.stringContaining("EEXIST") },
  });
});

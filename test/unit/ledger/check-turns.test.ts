/**
 * How much is checked in one turn of the event loop, counted and never timed, whoever has it checked
 * (numbers of src/ledger/check-turns.ts).
 */
import { describe, expect, it } from "vitest";
import { isLedgerError } from "../../../src/base/errors.ts";
import { blockUnitsPerTurn, CheckTurns, unitsOf } from "../../../src/ledger/check-turns.ts";
import { VerifiedTransactions } from "../../../src/ledger/verified-transactions.ts";
import { senders, signing, testGenesis } from "./execution-fixture.ts";

const genesis = testGenesis();
const sign = signing(genesis);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Counts steps by turns until some work has ended. */
async function byTurn(work: Promise<unknown>, counted: { steps: number }): Promise<number[]> {
  const counts: number[] = [];
  let isDone = false;
  const noted = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    const before = counted.steps;
    await turn();
    counts.push(counted.steps - before);
  }
  await noted;
  return counts;
}

/** A memory whose verifier finds nothing right, and counts. */
function liarsOnly() {
  const counted = { steps: 0 };
  const verifier = {
    verify() {
      counted.steps += 1;
      return false;
    },
  };
  return { counted, verified: new VerifiedTransactions({ chainId: genesis.chainId, verifier }) };
}

describe("checks of one turn", () => {
  it("(1) are as many for a hundred at once as for one", async () => {
    const { counted, verified } = liarsOnly();
    const { bytes } = sign(senders.stranger);
    const loops = Array.from({ length: 100 }, async () => {
      for (let time = 0; time < 30; time += 1) await verified.check(bytes).catch(() => {});
    });
    const counts = await byTurn(Promise.all(loops), counted);
    expect(counted.steps).toBe(3_000);
    expect(Math.max(...counts)).toBeLessThanOrEqual(32);
  });

  it("(1) count what is no transaction, too", async () => {
    const { verified } = liarsOnly();
    const counted = { steps: 0 };
    const loops = Array.from({ length: 20 }, async () => {
      for (let time = 0; time < 50; time += 1) {
        const error = await verified.check(Uint8Array.of(0)).catch((cause: unknown) => cause);
        expect(isLedgerError(error, "CODEC_INVALID")).toBe(true);
        counted.steps += 1;
      }
    });
    const counts = await byTurn(Promise.all(loops), counted);
    expect(counted.steps).toBe(1_000);
    expect(Math.max(...counts)).toBeLessThanOrEqual(32);
  });

  it("(1) are few when each is of a large transaction", async () => {
    const { counted, verified } = liarsOnly();
    const { bytes } = sign(senders.stranger, { args: "x".repeat(200_000) });
    const loops = Array.from({ length: 5 }, () => verified.check(bytes).catch(() => {}));
    const counts = await byTurn(Promise.all(loops), counted);
    expect(counted.steps).toBe(5);
    expect(Math.max(...counts)).toBe(1);
  });

  it("(2) go to a block first, and some to the others all the same", async () => {
    const { counted, verified } = liarsOnly();
    const { bytes } = sign(senders.stranger);
    const others = { steps: 0 };
    let isFlooded = true;
    const flood = Array.from({ length: 100 }, async () => {
      while (isFlooded) {
        await verified.check(bytes).catch(() => {});
        others.steps += 1;
      }
    });
    await turn();
    counted.steps = others.steps = 0;
    const list = Array.from({ length: 240 }, () => bytes);
    const counts = await byTurn(verified.checkAll(list), counted);
    const checkedBeside = others.steps;
    isFlooded = false;
    await Promise.all(flood);
    // Ten turns of a block's part, one to begin with, and one that began before.
    expect(counts.length).toBeLessThanOrEqual(12);
    expect(Math.max(...counts)).toBeLessThanOrEqual(32);
    expect(checkedBeside).toBeGreaterThanOrEqual(50);
  });

  it("(2) serve the others in order", async () => {
    const turns = new CheckTurns();
    const served: number[] = [];
    const waits = Array.from({ length: 200 }, async (_, place) => {
      await turns.take(1);
      served.push(place);
    });
    await Promise.all(waits);
    expect(served).toEqual(Array.from({ length: 200 }, (_, place) => place));
  });

  it("are given at once when nobody else has any", async () => {
    const turns = new CheckTurns();
    let isGiven = false;
    void turns.take(1).then(() => {
      isGiven = true;
    });
    await Promise.resolve();
    await Promise.resolve();
    expect(isGiven).toBe(true);
  });

  it("cost by size, and little for what is known", () => {
    expect(unitsOf(new Uint8Array(184), false)).toBeCloseTo(1, 1);
    expect(unitsOf(new Uint8Array(250_000), false)).toBeGreaterThan(50);
    expect(unitsOf(new Uint8Array(184), true)).toBeLessThan(0.2);
    expect(blockUnitsPerTurn).toBeLessThan(32);
  });
});

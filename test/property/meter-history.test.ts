/**
 * Property: what `metering` accepts and counts does not depend on the order of arrival.
 *
 * Method: draw a true history of one meter (consumption per hour, replacements, roll-overs), derive
 * what the devices showed, report the breaks and then the readings in random orders and batches.
 * All must be accepted, the consumption between any two readings must be the true one, and a
 * reading moved out of its neighbours' bounds must be refused. On failure fast-check prints the
 * seed and the shrunk history.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { definition as metering } from "../../contracts/metering/index.ts";
import { ContractBench } from "../../src/contracts/sdk/testing.ts";
import { seedOf } from "../helpers/seed.ts";

const operator = { sender: `did:key:z6Mk${"a".repeat(44)}`, roles: ["operator"] };
const gateway = { sender: `did:key:z6Mk${"b".repeat(44)}`, roles: ["gateway"] };
const meter = "m";
const hour = 3_600_000;
/** Far above what is consumed, so that a register rolls over only where the history says so. */
const capacity = 1_000_000;

type Hour = { readonly used: number; readonly jump: "none" | "replacement" | "rollOver" };
type Step = { readonly atMs: number; readonly total: number; readonly shown: number };

const hours: fc.Arbitrary<Hour[]> = fc.array(
  fc.record({
    used: fc.integer({ min: 0, max: 50 }),
    jump: fc.oneof(
      { weight: 6, arbitrary: fc.constant("none" as const) },
      { weight: 1, arbitrary: fc.constantFrom("replacement" as const, "rollOver" as const) },
    ),
  }),
  { minLength: 3, maxLength: 25 },
);

/** Plays a history: what the device shows each hour, and the breaks between the readings. */
function play(history: readonly Hour[]) {
  const readings: Step[] = [];
  const breaks: { readonly method: string; readonly args: object }[] = [];
  let [total, shown] = [0, 500];
  for (const [index, { used, jump }] of history.entries()) {
    const atMs = index * hour;
    if (jump === "replacement") {
      const args = { meter, atMs, final: four(shown), start: four(7 * index) };
      breaks.push({ method: "replaceMeter", args });
      shown = 7 * index;
    }
    if (jump === "rollOver") {
      // The register ran up to its capacity and began again: all of that was consumed.
      breaks.push({ method: "rollOver", args: { meter, atMs, capacity: four(capacity) } });
      total += capacity - shown;
      shown = 0;
    }
    [total, shown] = [total + used, shown + used];
    // Every other reading is at the very instant of its break, if there is one.
    readings.push({ atMs: atMs + (index % 2) * (hour / 2), total, shown });
  }
  return { readings, breaks };
}

const four = (value: number) => [value, value, value, value];
const row = ({ atMs, shown }: Step) => [meter, atMs, ...four(shown)];

function openBench(): ContractBench {
  const parameters = { clockDriftMs: 0 };
  const bench = new ContractBench({ contracts: [metering], parameters, timeMs: 1_000 * hour });
  bench.call("metering.registerMeter", { meter, kind: "heat", gateway: gateway.sender }, operator);
  return bench;
}

/** Sorts by drawn numbers: a shuffle that shrinks. */
function shuffled<T>(items: readonly T[], order: readonly number[]): T[] {
  return items
    .map((item, index) => ({ item, place: order[index % order.length] ?? 0 }))
    .sort((left, right) => left.place - right.place)
    .map(({ item }) => item);
}

const order = fc.array(fc.nat(1_000), { minLength: 25, maxLength: 25 });

it("accepts a true history in any order and counts it exactly, and refuses what is not true", () => {
  fc.assert(
    fc.property(
      hours,
      order,
      fc.integer({ min: 1, max: 7 }),
      fc.nat(),
      (history, by, batch, pick) => {
        const { readings, breaks } = play(history);
        const bench = openBench();
        for (const { method, args } of shuffled(breaks, by))
          expect(bench.call(`metering.${method}`, args, operator)).toMatchObject({
            ok: { isNew: true },
          });
        const arriving = shuffled(readings, by);
        for (let start = 0; start < arriving.length; start += batch) {
          const rows = arriving.slice(start, start + batch).map(row);
          expect(bench.call("metering.report", { readings: rows }, gateway)).toEqual({
            ok: { accepted: rows.length, known: 0 },
          });
        }
        const from = pick % readings.length;
        for (let to = from; to < readings.length; to += 1) {
          const [start, end] = [readings[from] as Step, readings[to] as Step];
          const args = { meter, fromMs: start.atMs, toMs: end.atMs };
          expect(bench.view("metering.consumption", args).ok).toMatchObject({
            energyWh: end.total - start.total,
            returnIntegralLitreC: end.total - start.total,
          });
        }
        // An odd one has no break at its side, where other values would be right.
        const { atMs, shown } = (readings[from | 1] ?? readings[1]) as Step;
        const before = bench.snapshot();
        for (const untrue of [
          [meter, atMs + 1, ...four(shown).with(pick % 4, shown - 1)],
          [meter, atMs - 1, ...four(shown).with(pick % 4, shown + 1)],
        ])
          expect(bench.call("metering.report", { readings: [untrue] }, gateway)).toMatchObject({
            refused: shown === 0 ? expect.any(String) : "METERING_REGISTER_MISFIT",
          });
        expect(bench.snapshot()).toEqual(before);
      },
    ),
    { seed: seedOf(20_190_101), numRuns: 150 },
  );
});

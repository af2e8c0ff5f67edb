/**
 * Claims about `metering`, each in plain Node and in the real sandbox.
 *
 * Shown able to fail: see the rows of metering in test/mutations.md.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { definition as metering } from "../../contracts/metering/index.ts";
import { monthBounds } from "../../src/contracts/sdk/calendar.ts";
import type { Outcome } from "../../src/contracts/sdk/testing.ts";
import {
  type Bench,
  openNodeBench,
  openSandboxBench,
  SandboxBench,
} from "./contracts-sdk/benches.ts";

const did = (letter: string) => `did:key:z6Mk${letter.repeat(44)}`;
const operator = { sender: did("a"), roles: ["operator"] };
const gateway = { sender: did("b"), roles: ["gateway"] };
const stranger = { sender: did("c"), roles: ["gateway"] };
const meter = "m-660";
const hour = 3_600_000;
const start = monthBounds("2019-01").startMs;
const now = start + 1_000 * hour;
const driftMs = 300_000;

type Row = readonly [meter: string, atMs: number, ...registers: number[]];
/** A row with all four registers moved alike. */
const row = (hours: number, register: number, id = meter): Row => [
  id,
  start + hours * hour,
  register,
  register,
  register,
  register,
];
const four = (value: number) => [value, value, value, value];

const options = { contracts: [metering], parameters: { clockDriftMs: driftMs }, timeMs: now };

describe.each([
  ["in plain Node", openNodeBench],
  ["in the sandbox", openSandboxBench],
])("metering %s", (_, open) => {
  let bench: Bench;
  const report = (...readings: Row[]): Promise<Outcome> =>
    bench.call("metering.report", { readings }, gateway);
  const consumption = async (fromHours: number, toHours: number) => {
    const [fromMs, toMs] = [start + fromHours * hour, start + toHours * hour];
    const outcome = await bench.view("metering.consumption", { meter, fromMs, toMs });
    return (outcome.ok as { energyWh: number }).energyWh;
  };
  const replaceMeter = (hours: number, final: number, begin: number) =>
    bench.call(
      "metering.replaceMeter",
      { meter, atMs: start + hours * hour, final: four(final), start: four(begin) },
      operator,
    );
  const rollOver = (hours: number, capacity: readonly number[]) =>
    bench.call("metering.rollOver", { meter, atMs: start + hours * hour, capacity }, operator);

  beforeEach(async () => {
    bench = await open(options);
    const args = { meter, kind: "heat", gateway: gateway.sender };
    expect(await bench.call("metering.registerMeter", args, operator)).toMatchObject({
      ok: { isNew: true },
    });
  });

  /** Expects a refusal with this code and no trace of the call. */
  async function refused(code: string, run: () => Promise<Outcome>) {
    const [state, events] = [bench.snapshot(), bench.events.length];
    expect(await run()).toMatchObject({ refused: code });
    expect(bench.snapshot()).toEqual(state);
    expect(bench.events).toHaveLength(events);
  }

  it("keeps one key per reading and one record per meter", async () => {
    expect(await report(row(0, 5), row(1, 7))).toEqual({ ok: { accepted: 2, known: 0 } });
    expect(bench.stateText(`metering/reading/${meter}/2019-01-01T00:00:00.000Z`)).toBe("[5,5,5,5]");
    expect(bench.stateText(`metering/reading/${meter}/2019-01-01T01:00:00.000Z`)).toBe("[7,7,7,7]");
    expect(await bench.view("metering.meter", { meter })).toMatchObject({
      ok: { latestMs: start + hour, latest: four(7), kind: "heat", gateway: gateway.sender },
    });
    expect(bench.events.at(-1)).toEqual({
      contract: "metering",
      topic: "readings",
      value: { meters: [[meter, start, start + hour]] },
    });
  });

  it("takes registers up to their limit, beyond the engine's small integers", async () => {
    const large: Row = [meter, start, 2 ** 31 - 1, 2 ** 31, 5_000_000_000, 90_000_000_000_000];
    expect(await report(large)).toEqual({ ok: { accepted: 1, known: 0 } });
    expect(await report(large)).toEqual({ ok: { accepted: 0, known: 1 } });
    const back: Row = [meter, start + 1, 2 ** 31, 2 ** 31 - 1, 5_000_000_000, 90_000_000_000_000];
    await refused("METERING_REGISTER_MISFIT", () => report(back));
  });

  it("registers the same meter twice without effect, and refuses another kind", async () => {
    const again = { meter, kind: "heat", gateway: gateway.sender };
    const known = { ok: { meter, isNew: false } };
    expect(await bench.call("metering.registerMeter", again, operator)).toEqual(known);
    await refused("METERING_METER_EXISTS", () =>
      bench.call("metering.registerMeter", { ...again, kind: "cold" }, operator),
    );
  });

  it("refuses callers without the role", async () => {
    await refused("CONTRACT_ROLE_MISSING", () =>
      bench.call("metering.report", { readings: [row(0, 1)] }, operator),
    );
    await refused("CONTRACT_ROLE_MISSING", () =>
      bench.call(
        "metering.registerMeter",
        { meter: "x", kind: "heat", gateway: did("b") },
        gateway,
      ),
    );
  });

  it("refuses unknown meters and foreign gateways, the whole batch with them", async () => {
    await refused("METERING_METER_UNKNOWN", () => report(row(0, 1), row(0, 1, "nobody")));
    await refused("METERING_METER_UNKNOWN", () => report(row(0, 1), row(0, 1, "a/b")));
    await refused("METERING_GATEWAY_FOREIGN", () =>
      bench.call("metering.report", { readings: [row(0, 1)] }, stranger),
    );
  });

  it("moves a meter to another gateway", async () => {
    const args = { meter, gateway: stranger.sender };
    expect(await bench.call("metering.assignGateway", args, operator)).toMatchObject({ ok: {} });
    await refused("METERING_GATEWAY_FOREIGN", () => report(row(0, 1)));
    const outcome = await bench.call("metering.report", { readings: [row(0, 1)] }, stranger);
    expect(outcome).toEqual({ ok: { accepted: 1, known: 0 } });
  });

  it("accepts an instant up to the clock drift ahead, and not a millisecond more", async () => {
    const at = (atMs: number): Row => [meter, atMs, 1, 1, 1, 1];
    await refused("METERING_INSTANT_FUTURE", () => report(at(now + driftMs + 1)));
    expect(await report(at(now + driftMs))).toMatchObject({ ok: { accepted: 1 } });
  });

  it("accepts the same reading again without effect, and refuses other values", async () => {
    await report(row(0, 5), row(1, 7), row(2, 9));
    const before = bench.snapshot();
    const events = bench.events.length;
    const again = await report(row(1, 7), row(0, 5), row(2, 9));
    expect(again).toEqual({ ok: { accepted: 0, known: 3 } });
    expect(bench.snapshot()).toEqual(before);
    expect(bench.events).toHaveLength(events);
    await refused("METERING_READING_CONFLICT", () => report(row(1, 8)));
    await refused("METERING_READING_CONFLICT", () => report(row(1, 6)));
    await refused("METERING_READING_CONFLICT", () => report(row(2, 10)));
    await refused("METERING_READING_CONFLICT", () => report(row(3, 10), row(3, 11)));
  });

  it.each([2, 3, 4, 5])("refuses a newer reading whose register %i goes back", async (place) => {
    await report(row(0, 5));
    const back = row(1, 6).map((value, index) => (index === place ? 4 : value)) as unknown as Row;
    await refused("METERING_REGISTER_MISFIT", () => report(back));
  });

  it.each([2, 3, 4, 5])("checks register %i of a late reading on both sides", async (place) => {
    await report(row(0, 5), row(2, 9));
    const late = (value: number) =>
      row(1, 7).map((other, index) => (index === place ? value : other)) as unknown as Row;
    await refused("METERING_REGISTER_MISFIT", () => report(late(4)));
    await refused("METERING_REGISTER_MISFIT", () => report(late(10)));
    expect(await report(late(9))).toMatchObject({ ok: { accepted: 1 } });
  });

  it("accepts late readings before the first, and any order within a batch", async () => {
    await report(row(5, 50));
    await refused("METERING_REGISTER_MISFIT", () => report(row(4, 51)));
    expect(await report(row(4, 40), row(1, 10), row(3, 30), row(6, 60), row(2, 20))).toEqual({
      ok: { accepted: 5, known: 0 },
    });
    expect(await bench.view("metering.meter", { meter })).toMatchObject({
      ok: { latestMs: start + 6 * hour, latest: four(60) },
    });
  });

  it("checks a late batch in order reading by reading, repeated rows too", async () => {
    await report(row(0, 10), row(9, 90));
    await refused("METERING_REGISTER_MISFIT", () => report(row(2, 20), row(3, 19)));
    await refused("METERING_REGISTER_MISFIT", () => report(row(2, 20), row(3, 91)));
    await refused("METERING_READING_CONFLICT", () => report(row(2, 20), row(4, 40), row(2, 21)));
    await refused("METERING_READING_CONFLICT", () => report(row(2, 20), row(2, 21)));
    expect(await report(row(2, 20), row(3, 30), row(5, 50), row(4, 40), row(3, 30))).toEqual({
      ok: { accepted: 4, known: 1 },
    });
    expect(await report(row(6, 60), row(9, 90), row(7, 70))).toEqual({
      ok: { accepted: 2, known: 1 },
    });
  });

  it("reports several meters in one batch", async () => {
    const args = { meter: "other", kind: "cold", gateway: gateway.sender };
    await bench.call("metering.registerMeter", args, operator);
    expect(await report(row(0, 5), row(0, 3, "other"), row(1, 6))).toMatchObject({
      ok: { accepted: 3 },
    });
    expect(bench.events.at(-1)?.value).toEqual({
      meters: [
        [meter, start, start + hour],
        ["other", start, start],
      ],
    });
  });

  it.each([
    ["no readings", { readings: [] }],
    ["too many", { readings: Array.from({ length: 1_001 }, () => row(0, 1)) }],
    ["an unknown field", { readings: [row(0, 1)], extra: 1 }],
    ["a short row", { readings: [row(0, 1).slice(0, 5)] }],
    ["a negative register", { readings: [row(0, -1)] }],
    ["a register that is too large", { readings: [row(0, 90_000_000_000_001)] }],
    ["a text for a number", { readings: [[meter, start, "1", 1, 1, 1]] }],
    ["a list", []],
    ["null", null],
  ])("refuses arguments with %s", async (_case, args) => {
    await refused("CONTRACT_ARGS_REFUSED", () => bench.call("metering.report", args, gateway));
  });

  it("counts exactly across a replacement, whose instant belongs to the new device", async () => {
    await report(row(0, 100), row(1, 150));
    await refused("METERING_REGISTER_MISFIT", () => report(row(3, 20)));
    expect(await replaceMeter(2, 170, 10)).toMatchObject({ ok: { isNew: true } });
    expect(await report(row(2, 10), row(3, 20))).toMatchObject({ ok: { accepted: 2 } });
    expect(await consumption(0, 3)).toBe(80);
    expect(await consumption(0, 2)).toBe(70);
    expect(await consumption(2, 3)).toBe(10);
  });

  it("counts exactly across a roll-over of some registers", async () => {
    const at = (hours: number, a: number, b: number): Row => [
      meter,
      start + hours * hour,
      a,
      b,
      b,
      b,
    ];
    await report(at(0, 990, 5));
    expect(await rollOver(1, [1_000, 0, 0, 0])).toMatchObject({ ok: { isNew: true } });
    await refused("METERING_REGISTER_MISFIT", () => report(at(2, 15, 4)));
    await report(at(2, 15, 6));
    expect(await consumption(0, 2)).toBe(25);
    // Before the roll-over a register shows less than its capacity and no less than the last.
    await refused("METERING_REGISTER_MISFIT", () =>
      report([meter, start + hour / 2, 1_000, 5, 5, 5]),
    );
    await refused("METERING_REGISTER_MISFIT", () => report([meter, start + hour / 2, 3, 5, 5, 5]));
    expect(await report([meter, start + hour / 2, 999, 5, 5, 5])).toMatchObject({ ok: {} });
    // Registers that did not roll over keep their neighbours across the break.
    await refused("METERING_REGISTER_MISFIT", () =>
      report([meter, start + 1.5 * hour, 10, 7, 5, 5]),
    );
  });

  it("treats breaks as virtual readings for late readings", async () => {
    await report(row(0, 100));
    await replaceMeter(5, 170, 10);
    await report(row(9, 20));
    await refused("METERING_REGISTER_MISFIT", () => report(row(3, 171)));
    await refused("METERING_REGISTER_MISFIT", () => report(row(6, 9)));
    await refused("METERING_REGISTER_MISFIT", () => report(row(6, 21)));
    expect(await report(row(3, 170), row(6, 10))).toMatchObject({ ok: { accepted: 2 } });
    expect(await consumption(0, 9)).toBe(80);
  });

  it("counts a break at the very instant of the next reading when a late one comes", async () => {
    await report(row(0, 100));
    await replaceMeter(2, 170, 10);
    await report(row(2, 10));
    await refused("METERING_REGISTER_MISFIT", () => report(row(1, 171)));
    expect(await report(row(1, 170))).toMatchObject({ ok: { accepted: 1 } });
    expect(await consumption(1, 2)).toBe(0);
  });

  it("refuses breaks that do not fit between their neighbours", async () => {
    await report(row(0, 100), row(4, 200));
    await refused("METERING_REGISTER_MISFIT", () => replaceMeter(2, 99, 0));
    await refused("METERING_REGISTER_MISFIT", () => replaceMeter(2, 150, 201));
    await refused("METERING_REGISTER_MISFIT", () => rollOver(2, four(100)));
    await refused("METERING_CAPACITY_NONE", () => rollOver(2, four(0)));
    await refused("METERING_INSTANT_FUTURE", () => replaceMeter(2_000, 300, 0));
  });

  it("accepts a late break before later readings, and later breaks keep their meaning", async () => {
    await report(row(0, 100));
    await replaceMeter(8, 50, 0).then((outcome) =>
      expect(outcome).toMatchObject({ refused: "METERING_REGISTER_MISFIT" }),
    );
    await replaceMeter(4, 120, 0);
    await replaceMeter(8, 50, 7);
    await report(row(9, 17));
    expect(await consumption(0, 9)).toBe(20 + 50 + 10);
    await replaceMeter(6, 30, 20);
    expect(await consumption(0, 9)).toBe(20 + 30 + 30 + 10);
  });

  it("accepts the same break again without effect, and refuses another at its instant", async () => {
    await report(row(0, 100));
    await replaceMeter(2, 170, 10);
    const before = bench.snapshot();
    expect(await replaceMeter(2, 170, 10)).toMatchObject({ ok: { isNew: false } });
    expect(bench.snapshot()).toEqual(before);
    await refused("METERING_BREAK_CONFLICT", () => replaceMeter(2, 171, 10));
    await refused("METERING_BREAK_CONFLICT", () => rollOver(2, four(1_000)));
  });

  it("gives readings by pages", async () => {
    await report(row(0, 1), row(1, 2), row(2, 3));
    const page = { meter, fromMs: start, toMs: start + 3 * hour, limit: 2 };
    expect(await bench.view("metering.readings", page)).toEqual({
      ok: { rows: [row(0, 1).slice(1), row(1, 2).slice(1)], nextFromMs: start + 2 * hour },
    });
    const rest = { meter, fromMs: start + 2 * hour };
    expect(await bench.view("metering.readings", rest)).toEqual({
      ok: { rows: [row(2, 3).slice(1)], nextFromMs: null },
    });
    expect(
      await bench.view("metering.consumption", { meter, fromMs: 0, toMs: start }),
    ).toMatchObject({ refused: "METERING_READING_UNKNOWN" });
    expect(await bench.view("metering.meter", { meter: "none" })).toMatchObject({
      refused: "METERING_METER_UNKNOWN",
    });
  });
});

it("costs at most 190,000 gas a reading in a batch of 100, most of it for the written key", async () => {
  const bench = await SandboxBench.open(options);
  const args = { meter, kind: "heat", gateway: gateway.sender };
  await bench.call("metering.registerMeter", args, operator);
  const readings = Array.from({ length: 100 }, (_, index) => row(index, 1_000_000 + index));
  const outcome = await bench.call("metering.report", { readings }, gateway);
  expect(outcome).toEqual({ ok: { accepted: 100, known: 0 } });
  expect(bench.gasUsed / 100).toBeLessThan(190_000);
});

/**
 * Claims about `billing`, each in plain Node and in the real sandbox: the control figures of the
 * demo's meter, what is refused, and that a bill is never changed, only corrected by another.
 *
 * The 23 months are also compared with test/golden/check_bills.py's independent arithmetic, frozen
 * in test/golden/bills.json. Shown able to fail: see the rows of billing in test/mutations.md.
 */
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { definition as billing } from "../../contracts/billing/index.ts";
import { definition as metering } from "../../contracts/metering/index.ts";
import { instantText, monthBounds } from "../../src/contracts/sdk/calendar.ts";
import type { Outcome } from "../../src/contracts/sdk/testing.ts";
import { decimalTimesThousand } from "../../src/gateway/decimal.ts";
import { type Bench, openNodeBench, openSandboxBench } from "./contracts-sdk/benches.ts";

type Lines = { fixed: number; energy: number; volume: number; returnTemp: number };
type Bill = {
  id: string;
  key: string;
  month: string;
  energyWh: number;
  volumeL: number;
  flowTempMilliC: number;
  returnTempMilliC: number;
  lines: Lines;
  totalCents: number;
  corrects: string | null;
  breaks: string[];
  tariff: { id: string; version: number; key: string };
};

const did = (letter: string) => `did:key:z6Mk${letter.repeat(44)}`;
const operator = { sender: did("a"), roles: ["operator"] };
const gateway = { sender: did("b"), roles: ["gateway"] };
const biller = { sender: did("c"), roles: ["biller"] };
const meter = "m-660";

const file = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");
const tariff = JSON.parse(file("data/tariffs/demo.json"));
const golden: Bill[] = JSON.parse(file("test/golden/bills.json"));
const months = golden.map(({ month }) => month);

/** All rows of the real file as report rows. */
const rows = file("data/heat_meters/dk_heat_meter_660_hourly_2018_2019.csv")
  .trim()
  .split("\n")
  .slice(1)
  .map((line) => {
    const [, , time = "", ...registers] = line.split(",");
    return [meter, Date.parse(time), ...registers.map(decimalTimesThousand)] as const;
  });
const byInstant = new Map(rows.map((row) => [row[1], row]));
const rowAt = (atMs: number) => byInstant.get(atMs) as (typeof rows)[number];

const options = {
  contracts: [metering, billing],
  parameters: { clockDriftMs: 300_000 },
  timeMs: monthBounds("2020-02").startMs,
};

describe.each([
  ["in plain Node", openNodeBench],
  ["in the sandbox", openSandboxBench],
])("billing %s", (_, open) => {
  let bench: Bench;

  const report = (readings: readonly unknown[]) =>
    bench.call("metering.report", { readings }, gateway);
  const makeBill = (month: string, id = tariff.id) =>
    bench.call("billing.makeBill", { meter, month, tariff: id }, biller);
  const correctBill = (month: string, more = {}) =>
    bench.call("billing.correctBill", { meter, month, reason: "put right", ...more }, biller);
  const publish = (value: unknown) => bench.call("billing.publishTariff", value, operator);
  const reportBounds = (month: string) => {
    const { startMs, endMs } = monthBounds(month);
    return report([rowAt(startMs), rowAt(endMs)]);
  };

  beforeEach(async () => {
    bench = await open(options);
    const args = { meter, kind: "heat", gateway: gateway.sender };
    await bench.call("metering.registerMeter", args, operator);
    expect(await publish(tariff)).toMatchObject({ ok: { isNew: true } });
  });

  async function refused(code: string, run: () => Promise<Outcome>) {
    const [state, events] = [bench.snapshot(), bench.events.length];
    expect(await run()).toMatchObject({ refused: code });
    expect(bench.snapshot()).toEqual(state);
    expect(bench.events).toHaveLength(events);
  }

  it("makes the 23 bills of the real meter to the cent", async () => {
    for (const month of months) await reportBounds(month);
    const bills: Bill[] = [];
    for (const month of months) bills.push((await makeBill(month)).ok as Bill);
    for (const [index, bill] of bills.entries()) expect(bill).toMatchObject(golden[index] as Bill);
    const bill = (month: string) => bills.find((each) => each.month === month) as Bill;
    expect(bill("2019-01")).toMatchObject({
      energyWh: 2_792_148,
      volumeL: 61_014,
      lines: { fixed: 2_500, energy: 23_733, volume: 2_135, returnTemp: -3_045 },
      totalCents: 25_323,
    });
    expect(bill("2019-06")).toMatchObject({
      energyWh: 259_090,
      lines: { fixed: 2_500, energy: 1_425, volume: 0, returnTemp: 0 },
      totalCents: 3_925,
    });
    expect(bill("2018-07")).toMatchObject({
      lines: { fixed: 2_500, energy: 814, volume: 0, returnTemp: 79 },
      totalCents: 3_393,
    });
    const year = bills.filter(({ month }) => month.startsWith("2019"));
    const sum = (of: (bill: Bill) => number) => year.reduce((total, each) => total + of(each), 0);
    expect(year).toHaveLength(12);
    expect(sum(({ energyWh }) => energyWh)).toBe(17_517_189);
    expect(sum(({ volumeL }) => volumeL)).toBe(440_295);
    expect(sum(({ totalCents }) => totalCents)).toBe(157_145);
  });

  it("bills a month from all its readings in batches of 100, the real way", async () => {
    const { startMs, endMs } = monthBounds("2019-01");
    const month = rows.filter(([, atMs]) => atMs >= startMs && atMs <= endMs);
    expect(month).toHaveLength(31 * 24 + 1);
    for (let start = 0; start < month.length; start += 100)
      expect(await report(month.slice(start, start + 100))).toMatchObject({ ok: { known: 0 } });
    expect(await makeBill("2019-01")).toMatchObject({ ok: { totalCents: 25_323 } });
  });

  it("names readings, tariff version and itself by state key", async () => {
    await reportBounds("2019-01");
    const { ok } = await makeBill("2019-01");
    const key = `billing/bill/${meter}/2019-01/1`;
    expect(ok).toMatchObject({
      id: `${meter}/2019-01/1`,
      key,
      meter,
      n: 1,
      currency: "EUR",
      tariff: { id: "demo-heat", version: 1, key: "billing/tariff/demo-heat/1" },
      breaks: [],
      corrects: null,
      reason: null,
      madeAtMs: options.timeMs,
    });
    expect(JSON.parse(bench.stateText(key) as string)).toEqual(ok);
    const { readings } = ok as { readings: Record<string, { key: string; value: unknown }> };
    expect(readings.start?.key).toBe(`metering/reading/${meter}/2019-01-01T00:00:00.000Z`);
    expect(readings.end?.key).toBe(`metering/reading/${meter}/2019-02-01T00:00:00.000Z`);
    for (const reading of Object.values(readings))
      expect(bench.stateText(reading.key)).toBe(JSON.stringify(reading.value));
    expect(bench.events.at(-1)).toEqual({
      contract: "billing",
      topic: "bill",
      value: { key, meter, month: "2019-01", totalCents: 25_323, corrects: null },
    });
  });

  it("gives the same bill when asked twice, without a trace", async () => {
    await reportBounds("2019-01");
    const first = await makeBill("2019-01");
    const [state, events] = [bench.snapshot(), bench.events.length];
    bench.timeMs += 1_000;
    expect(await makeBill("2019-01")).toEqual(first);
    expect(bench.snapshot()).toEqual(state);
    expect(bench.events).toHaveLength(events);
  });

  it("refuses a month that is not over by block time, to the millisecond", async () => {
    await reportBounds("2019-01");
    bench.timeMs = monthBounds("2019-01").endMs - 1;
    await refused("BILLING_MONTH_NOT_OVER", () => makeBill("2019-01"));
    bench.timeMs += 1;
    expect(await makeBill("2019-01")).toMatchObject({ ok: { totalCents: 25_323 } });
  });

  it("says which boundary reading is missing", async () => {
    const { startMs, endMs } = monthBounds("2019-01");
    await report([rowAt(startMs + 3_600_000), rowAt(endMs)]);
    await refused("BILLING_START_READING_MISSING", () => makeBill("2019-01"));
    expect((await makeBill("2019-01")).message).toContain(instantText(startMs));
    await refused("BILLING_END_READING_MISSING", () => makeBill("2019-02"));
    expect((await makeBill("2019-02")).message).toContain("2019-03-01T00:00:00.000Z");
  });

  it("refuses a month without volume, an unknown meter, tariff or kind", async () => {
    const { startMs, endMs } = monthBounds("2018-03");
    await report([
      [meter, startMs, 1, 2, 3, 4],
      [meter, endMs, 2, 2, 3, 4],
    ]);
    await refused("BILLING_VOLUME_NONE", () => makeBill("2018-03"));
    await refused("BILLING_TARIFF_UNKNOWN", () => makeBill("2018-03", "none"));
    await refused("BILLING_TARIFF_NOT_VALID", () => makeBill("2017-12"));
    await refused("BILLING_METER_UNKNOWN", () =>
      bench.call(
        "billing.makeBill",
        { meter: "none", month: "2018-03", tariff: tariff.id },
        biller,
      ),
    );
    await publish({ ...tariff, id: "cooling", kind: "cold" });
    await refused("BILLING_TARIFF_KIND", () => makeBill("2018-03", "cooling"));
    await refused("CONTRACT_ARGS_REFUSED", () => makeBill("2018-13"));
    await refused("CONTRACT_ROLE_MISSING", () =>
      bench.call("billing.makeBill", { meter, month: "2018-03", tariff: tariff.id }, gateway),
    );
  });

  it("never edits a tariff: the same again has no effect, other content needs a version", async () => {
    const before = bench.snapshot();
    expect(await publish(tariff)).toMatchObject({ ok: { isNew: false } });
    expect(bench.snapshot()).toEqual(before);
    await refused("BILLING_TARIFF_CONFLICT", () => publish({ ...tariff, validFrom: "2019-01" }));
    await refused("BILLING_TARIFF_VERSION_GAP", () => publish({ ...tariff, version: 3 }));
    await refused("CONTRACT_ROLE_MISSING", () =>
      bench.call("billing.publishTariff", { ...tariff, version: 2 }, biller),
    );
    const volume = { centsPerM3: [{ months: [1, 2, 3], price: "35" }] };
    const lines = { ...tariff.lines, volume };
    await refused("BILLING_TARIFF_SEASONS", () => publish({ ...tariff, version: 2, lines }));
    const binary = {
      ...tariff,
      version: 2,
      lines: { ...tariff.lines, fixed: { centsPerMonth: 1 } },
    };
    await refused("CONTRACT_ARGS_REFUSED", () => publish(binary));
  });

  it("uses the highest version that is valid for the month", async () => {
    const dearer = { ...tariff.lines, fixed: { centsPerMonth: "3000" } };
    await publish({ ...tariff, version: 2, validFrom: "2019-02", lines: dearer });
    await reportBounds("2019-01");
    await reportBounds("2019-02");
    expect(await makeBill("2019-01")).toMatchObject({ ok: { tariff: { version: 1 } } });
    expect(await makeBill("2019-02")).toMatchObject({
      ok: { tariff: { version: 2 }, lines: { fixed: 3_000 } },
    });
    expect(
      await bench.view("billing.tariff", { tariff: tariff.id, month: "2020-01" }),
    ).toMatchObject({ ok: { version: 2 } });
  });

  it("corrects a bill after a corrected tariff by a new bill that names the old", async () => {
    await reportBounds("2019-01");
    await refused("BILLING_BILL_UNKNOWN", () => correctBill("2019-01"));
    const first = (await makeBill("2019-01")).ok as Bill;
    const firstText = bench.stateText(first.key);
    await refused("BILLING_CORRECTION_NEEDLESS", () => correctBill("2019-01"));
    const lines = { ...tariff.lines, fixed: { centsPerMonth: "2400" } };
    await publish({ ...tariff, version: 2, lines });
    expect(await makeBill("2019-01")).toEqual({ ok: first });
    const second = (await correctBill("2019-01")).ok as Bill;
    expect(second).toMatchObject({
      id: `${meter}/2019-01/2`,
      corrects: first.key,
      reason: "put right",
      totalCents: 25_223,
      tariff: { version: 2 },
    });
    expect(bench.stateText(first.key)).toBe(firstText);
    await refused("BILLING_CORRECTION_NEEDLESS", () => correctBill("2019-01"));
    expect(await makeBill("2019-01")).toEqual({ ok: second });
    expect(await bench.view("billing.bill", { meter, month: "2019-01" })).toEqual({ ok: second });
    expect(await bench.view("billing.bills", { meter })).toEqual({ ok: [first, second] });
  });

  it("corrects a bill after a late replacement, and the bill names the break", async () => {
    const { startMs, endMs } = monthBounds("2019-01");
    const mid = rowAt(startMs + 100 * 3_600_000);
    await report([rowAt(startMs), rowAt(endMs)]);
    const first = (await makeBill("2019-01")).ok as Bill;
    const final = mid.slice(2);
    const start = mid.slice(2).map((register) => Number(register) + 10);
    const atMs = mid[1];
    await bench.call("metering.replaceMeter", { meter, atMs, final, start }, operator);
    const second = (await correctBill("2019-01")).ok as Bill;
    expect(second).toMatchObject({ energyWh: 2_792_138, volumeL: 61_004, corrects: first.key });
    expect(second.breaks).toEqual([`metering/break/${meter}/${instantText(atMs)}`]);
    expect(bench.stateText(second.breaks[0] as string)).toContain("replacement");
  });

  it("changes the tariff of a bill only by a correction", async () => {
    await reportBounds("2019-01");
    await publish({ ...tariff, id: "other" });
    const first = (await makeBill("2019-01")).ok as Bill;
    await refused("BILLING_BILL_EXISTS", () => makeBill("2019-01", "other"));
    expect(await correctBill("2019-01", { tariff: "other" })).toMatchObject({
      ok: { corrects: first.key, tariff: { id: "other" }, totalCents: 25_323 },
    });
  });
});

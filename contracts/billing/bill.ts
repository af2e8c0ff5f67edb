/**
 * Bills: made from the readings at the two boundary instants of a UTC month, never changed.
 *
 * | key | value |
 * |---|---|
 * | `billing/bill/<meter>/<month>/<n>` | `Bill`; n = 1 is the first, each further one corrects n - 1 |
 *
 * Invariants:
 *
 * (1) Bills of a meter and month are dense from n = 1; the highest counts.
 * (2) A bill names every reading, break and tariff version that went into it by state key, so that
 *     anyone can recompute it from proven state.
 */
import {
  type Context,
  canonicalText,
  foreignTable,
  instantText,
  monthBounds,
  refuse,
  table,
} from "loopledger/contract";
import {
  atKey,
  type Break,
  consumptionOf,
  type MeterRecord,
  type Registers,
} from "../metering/layout.ts";
import { type Amounts, amountsOf } from "./compute.ts";
import { type Tariff, tariffFor, tariffKey, tariffs } from "./tariff.ts";

/** A state entry that a bill rests on. */
type Source<T> = { readonly key: string; readonly value: T };

/** All that a recomputation must give again. */
type Computed = Amounts & {
  readonly tariff: { readonly id: string; readonly version: number; readonly key: string };
  readonly readings: { readonly start: Source<Registers>; readonly end: Source<Registers> };
  /** State keys of the breaks between the two readings. */
  readonly breaks: readonly string[];
};

/** A bill as it is stored, emitted by key, and returned. */
export type Bill = Computed & {
  /** `<meter>/<month>/<n>`. */
  readonly id: string;
  /** State key of this bill. */
  readonly key: string;
  readonly meter: string;
  readonly month: string;
  readonly n: number;
  readonly currency: string;
  /** Block time at which it was made. */
  readonly madeAtMs: number;
  /** State key of the bill that this one replaces; null in a first bill. */
  readonly corrects: string | null;
  /** Why, in the words of who corrected; null in a first bill. */
  readonly reason: string | null;
};

/** Bills by meter, month and number. */
export const bills = table<Bill>("bill");

const meters = foreignTable<MeterRecord>("metering", "meter");
const readings = foreignTable<Registers>("metering", "reading");
const breaks = foreignTable<Break>("metering", "break");

/** Returns the bill of a meter and month that counts, if there is one. */
export function currentBill(meter: string, month: string): Bill | undefined {
  let found: Bill | undefined;
  for (let n = 1; ; n += 1) {
    const next = bills.get(`${meter}/${month}/${n}`);
    if (next === undefined) return found;
    found = next;
  }
}

/** Computes what the ledger says now about a meter and month under a tariff. */
export function compute(
  meterId: string,
  month: string,
  tariffId: string,
  context: Context,
): Computed {
  const meter = meters.get(meterId);
  if (meter === undefined) refuse("BILLING_METER_UNKNOWN", `meter ${meterId} is not registered`);
  const tariff = tariffFor(tariffId, month);
  if (tariff.kind !== meter.kind)
    refuse("BILLING_TARIFF_KIND", `tariff ${tariffId} is for ${tariff.kind}, not ${meter.kind}`);
  const { startMs, endMs } = monthBounds(month);
  if (context.timeMs < endMs)
    refuse("BILLING_MONTH_NOT_OVER", `${month} ends at ${instantText(endMs)} UTC`);
  const start = boundary(atKey(meterId, startMs), "BILLING_START_READING_MISSING");
  const end = boundary(atKey(meterId, endMs), "BILLING_END_READING_MISSING");
  const range = { fromInclusive: instantText(startMs + 1), toExclusive: instantText(endMs + 1) };
  const jumps = breaks.range({ within: meterId, ...range });
  const consumption = consumptionOf(
    start.value,
    end.value,
    jumps.map(({ value }) => value),
  );
  if (consumption[1] === 0)
    refuse("BILLING_VOLUME_NONE", `meter ${meterId} counted no volume in ${month}`);
  return {
    ...amountsOf(consumption, month, tariff),
    tariff: tariffSource(tariff),
    readings: { start, end },
    breaks: jumps.map(({ key }) => breaks.stateKey(`${meterId}/${key}`)),
  };
}

/** Writes the next bill of a meter and month. */
export function putBill(
  head: { readonly meter: string; readonly month: string; readonly madeAtMs: number },
  computed: Computed,
  correction?: { readonly old: Bill; readonly reason: string },
): Bill {
  const n = (correction?.old.n ?? 0) + 1;
  const id = `${head.meter}/${head.month}/${n}`;
  const bill: Bill = {
    ...computed,
    ...head,
    id,
    n,
    key: bills.stateKey(id),
    currency: "EUR",
    corrects: correction?.old.key ?? null,
    reason: correction?.reason ?? null,
  };
  bills.set(id, bill);
  return bill;
}

/** Tells whether a bill says the same as a recomputation. */
export function isSame(bill: Bill, computed: Computed): boolean {
  const part: Record<string, unknown> = {};
  for (const name of Object.keys(computed)) part[name] = bill[name as keyof Bill];
  return canonicalText(part) === canonicalText(computed);
}

function boundary(key: string, code: string): Source<Registers> {
  const value = readings.get(key);
  const stateKey = readings.stateKey(key);
  if (value === undefined) refuse(code, `there is no ${stateKey}; ask the gateway to report it`);
  return { key: stateKey, value };
}

function tariffSource({ id, version }: Tariff): Computed["tariff"] {
  return { id, version, key: tariffs.stateKey(tariffKey(id, version)) };
}

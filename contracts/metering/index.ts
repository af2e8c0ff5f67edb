/**
 * `metering`: cumulative registers of meters, reported by their gateways, and nothing else. What
 * energy costs is not known here; see `billing`.
 *
 * Late readings are welcome if they fit between their neighbours in time; the same reading again
 * changes nothing, so a gateway may send a batch twice. A batch is accepted or refused as a whole.
 */
import {
  type Checked,
  type Context,
  canonicalText,
  contract,
  did,
  event,
  instant,
  instantOf,
  instantText,
  integer,
  list,
  method,
  object,
  oneOf,
  optional,
  refuse,
  text,
  tuple,
  view,
} from "loopledger/contract";
import {
  breaksBetween,
  closeMeter,
  meters,
  type OpenMeter,
  openMeter,
  putBreak,
  putReading,
  readings,
} from "./book.ts";
import {
  atKey,
  type Break,
  consumptionOf,
  meterId,
  meterKinds,
  type Registers,
  registerMax,
  registers,
} from "./layout.ts";

/** Meters named in one `readings` event; a batch of more meters emits several. */
const metersPerEventMax = 250;

const register = integer(0, registerMax);
/** The meter is checked by its look-up: a registered id has the right form. */
const meterText = text(64);
const rowForm = tuple(meterText, instant, register, register, register, register);
/** Passes a good row in a third of the gas; `rowForm` has the last word and names the problem. */
const row: typeof rowForm = (value) => (isPlainRow(value) ? undefined : rowForm(value));

const onMeter = event<{ readonly meter: string; readonly kind: string; readonly gateway: string }>(
  "meter",
);
const onReadings = event<{
  readonly meters: readonly (readonly [meter: string, fromMs: number, toMs: number])[];
}>("readings");
const onBreak = event<{ readonly meter: string; readonly atMs: number; readonly kind: string }>(
  "break",
);

type Span = { readonly meter: OpenMeter; fromMs: number; toMs: number };

const registerMeter = method({
  roles: ["operator"],
  args: object({ meter: meterId, kind: oneOf(...meterKinds), gateway: did }),
  run: ({ meter, kind, gateway }) => {
    const known = meters.get(meter);
    if (known !== undefined) {
      if (known.kind === kind && known.gateway === gateway) return { meter, isNew: false };
      refuse("METERING_METER_EXISTS", `meter ${meter} is registered with another kind or gateway`);
    }
    meters.set(meter, { kind, gateway, latestMs: -1, breakCount: 0, latestBreakMs: -1 });
    onMeter({ meter, kind, gateway });
    return { meter, isNew: true };
  },
});

const assignGateway = method({
  roles: ["operator"],
  args: object({ meter: meterId, gateway: did }),
  run: ({ meter, gateway }) => {
    const { record } = openMeter(meter);
    if (record.gateway === gateway) return { meter, isNew: false };
    meters.set(meter, { ...record, gateway });
    onMeter({ meter, kind: record.kind, gateway });
    return { meter, isNew: true };
  },
});

const report = method({
  roles: ["gateway"],
  args: object({ readings: list(row, 1, 1_000) }),
  run: ({ readings: rows }, context) => {
    const latestAllowedMs = latestInstant(context);
    const spans = new Map<string, Span>();
    let accepted = 0;
    for (const reading of rows) {
      // By index: taking a list apart by a pattern costs four times the gas.
      const id = reading[0];
      const instantMs = reading[1];
      if (instantMs > latestAllowedMs) refuseFuture(id, instantMs, latestAllowedMs);
      let span = spans.get(id);
      if (span === undefined) {
        span = { meter: openOwnMeter(id, context), fromMs: instantMs, toMs: instantMs };
        spans.set(id, span);
      }
      if (putReading(span.meter, instantMs, registersOf(reading))) accepted += 1;
      if (instantMs < span.fromMs) span.fromMs = instantMs;
      if (instantMs > span.toMs) span.toMs = instantMs;
    }
    for (const { meter } of spans.values()) closeMeter(meter);
    if (accepted > 0) emitSpans([...spans.values()]);
    return { accepted, known: rows.length - accepted };
  },
});

const replaceMeter = method({
  roles: ["operator"],
  args: object({ meter: meterId, atMs: instant, final: registers, start: registers }),
  run: ({ meter, atMs, final, start }, context) =>
    breakAt(meter, atMs, { kind: "replacement", final, start }, context),
});

const rollOver = method({
  roles: ["operator"],
  args: object({ meter: meterId, atMs: instant, capacity: registers }),
  run: ({ meter, atMs, capacity }, context) => {
    if (capacity.every((size) => size === 0))
      refuse("METERING_CAPACITY_NONE", "give the capacity of at least one register, 0 for others");
    return breakAt(meter, atMs, { kind: "rollOver", capacity }, context);
  },
});

const meterView = view({
  args: object({ meter: meterId }),
  run: ({ meter }) => ({ meter, ...openMeter(meter).record }),
});

const readingsView = view({
  args: object({
    meter: meterId,
    fromMs: optional(instant),
    toMs: optional(instant),
    limit: optional(integer(1, 999)),
  }),
  run: ({ meter, fromMs = 0, toMs, limit = 100 }) => {
    openMeter(meter);
    const until = toMs === undefined ? {} : { toExclusive: instantText(toMs) };
    const range = { within: meter, fromInclusive: instantText(fromMs), ...until };
    const entries = readings.range({ ...range, limit: limit + 1 });
    const rows = entries.map(({ key, value }) => [instantOf(key), ...value]);
    // One entry more than asked for tells where the next page begins.
    return { rows: rows.slice(0, limit), nextFromMs: rows[limit]?.[0] ?? null };
  },
});

const consumption = view({
  args: object({ meter: meterId, fromMs: instant, toMs: instant }),
  run: ({ meter, fromMs, toMs }) => {
    openMeter(meter);
    if (fromMs > toMs) refuse("METERING_RANGE_INVALID", "fromMs lies behind toMs");
    const [start, end] = [readingAt(meter, fromMs), readingAt(meter, toMs)];
    const jumps = breaksBetween(meter, fromMs, toMs);
    const between = consumptionOf(
      start,
      end,
      jumps.map(({ jump }) => jump),
    );
    const [energyWh, volumeL, flowIntegralLitreC, returnIntegralLitreC] = between;
    const breaks = jumps.map(({ instantMs }) => instantMs);
    return { energyWh, volumeL, flowIntegralLitreC, returnIntegralLitreC, breaks };
  },
});

/** The contract. */
export const definition = contract({
  name: "metering",
  methods: { registerMeter, assignGateway, report, replaceMeter, rollOver },
  views: { meter: meterView, readings: readingsView, consumption },
});

/**
 * Tells whether a value is a row with registers of 31 bits; false means nothing. The engine keeps
 * such integers apart, and operations that mix them with others cost ten times the gas.
 */
function isPlainRow(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 6) return false;
  return (
    meterText(value[0]) === undefined &&
    instant(value[1]) === undefined &&
    isShort(value[2]) &&
    isShort(value[3]) &&
    isShort(value[4]) &&
    isShort(value[5])
  );
}

function isShort(value: unknown): boolean {
  return typeof value === "number" && (value | 0) === value && value >= 0;
}

function registersOf(reading: Checked<typeof rowForm>): Registers {
  return [reading[2], reading[3], reading[4], reading[5]];
}

function latestInstant(context: Context): number {
  return context.timeMs + context.parameter("clockDriftMs");
}

function refuseFuture(id: string, instantMs: number, latestAllowedMs: number): never {
  const allowed = instantText(latestAllowedMs);
  return refuse(
    "METERING_INSTANT_FUTURE",
    `${id} at ${instantText(instantMs)}: later than ${allowed}; check the clock of the gateway`,
  );
}

function openOwnMeter(id: string, context: Context): OpenMeter {
  const meter = openMeter(id);
  if (meter.record.gateway !== context.sender)
    refuse("METERING_GATEWAY_FOREIGN", `meter ${id} is reported by ${meter.record.gateway}`);
  return meter;
}

function breakAt(id: string, atMs: number, jump: Break, context: Context): unknown {
  const latestAllowedMs = latestInstant(context);
  if (atMs > latestAllowedMs) refuseFuture(id, atMs, latestAllowedMs);
  const meter = openMeter(id);
  const isNew = putBreak(meter, atMs, jump);
  closeMeter(meter);
  if (isNew) onBreak({ meter: id, atMs, kind: jump.kind });
  return { meter: id, atMs, isNew };
}

function readingAt(meter: string, instantMs: number) {
  const key = atKey(meter, instantMs);
  const found = readings.get(key);
  if (found === undefined)
    refuse("METERING_READING_UNKNOWN", `there is no reading ${canonicalText(key)}`);
  return found;
}

function emitSpans(spans: readonly Span[]): void {
  for (let start = 0; start < spans.length; start += metersPerEventMax) {
    const some = spans.slice(start, start + metersPerEventMax);
    onReadings({ meters: some.map(({ meter, fromMs, toMs }) => [meter.id, fromMs, toMs]) });
  }
}

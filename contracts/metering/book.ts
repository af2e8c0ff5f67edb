/**
 * The meter book: tables of `metering` and the rules for putting readings and breaks into them.
 *
 * Invariants, at the end of every call that is not refused:
 *
 * (1) Between two neighbouring readings of a meter no register's total goes back.
 * (2) A reading or break, once written, is never changed or removed.
 * (3) `latestMs`, `latest`, `breakCount` and `latestBreakMs` of a meter agree with its tables.
 *
 * One `OpenMeter` per meter and call holds the meter's record, so that a batch reads and writes it
 * once and a reading newer than all others costs one write and no query.
 */
import { canonicalText, instantOf, instantText, refuse, table } from "loopledger/contract";
import { type Mark, misfit } from "./fit.ts";
import { atKey, type Break, breaksMax, type MeterRecord, type Registers } from "./layout.ts";

/** Registered meters. */
export const meters = table<MeterRecord>("meter");
/** Readings by meter and instant. */
export const readings = table<Registers>("reading");
/** Breaks by meter and instant. */
export const breaks = table<Break>("break");

type Reading = { readonly instantMs: number; readonly reading: Registers };
type BreakMark = { readonly instantMs: number; readonly jump: Break };

/** The readings around an instant. */
type Neighbours = { readonly before: Reading | undefined; readonly after: Reading | undefined };

/** A meter during one call. */
export type OpenMeter = {
  readonly id: string;
  /** The record as it was read, but for the four fields below. */
  readonly record: MeterRecord;
  latestMs: number;
  latest: Registers | undefined;
  breakCount: number;
  latestBreakMs: number;
  changed: boolean;
  /** Between these no reading is known: the gap behind the last late reading of this call. */
  gap: Neighbours | undefined;
  /** All breaks of the meter in order of time, once they are needed. */
  breakMarks: BreakMark[] | undefined;
};

/** Opens a registered meter. */
export function openMeter(id: string): OpenMeter {
  const record = meters.get(id);
  if (record === undefined)
    refuse("METERING_METER_UNKNOWN", `meter ${id} is not registered; call registerMeter first`);
  const { latestMs, latest, breakCount, latestBreakMs } = record;
  const fields = { latestMs, latest, breakCount, latestBreakMs };
  return { id, record, ...fields, changed: false, gap: undefined, breakMarks: undefined };
}

/** Writes the meter's record if it changed. */
export function closeMeter(meter: OpenMeter): void {
  if (!meter.changed) return;
  const { latestMs, latest, breakCount, latestBreakMs } = meter;
  const { kind, gateway } = meter.record;
  const record: MeterRecord = { kind, gateway, latestMs, breakCount, latestBreakMs };
  meters.set(meter.id, latest === undefined ? record : { ...record, latest });
}

/** Puts one reading into the book; answers false when it was there already. */
export function putReading(meter: OpenMeter, instantMs: number, reading: Registers): boolean {
  const { latestMs, latest, latestBreakMs } = meter;
  const isNewest = instantMs > latestMs;
  const key = atKey(meter.id, instantMs);
  if (isNewest && latestBreakMs <= latestMs) {
    if (latest !== undefined && !isAtLeast(reading, latest))
      misfitBehind(meter, { instantMs, reading });
  } else {
    const isInGap = isWithin(meter.gap, instantMs);
    if (!isNewest && !isInGap && isKnown(key, reading)) return false;
    const around = isInGap ? (meter.gap as Neighbours) : neighbours(meter, instantMs);
    requireFit(meter, { instantMs, reading }, around);
    meter.gap = { before: { instantMs, reading }, after: around.after };
  }
  // By hand, as it is written for every reading: a third of the gas of `set`.
  readings.setText(key, `[${reading[0]},${reading[1]},${reading[2]},${reading[3]}]`);
  if (isNewest) {
    meter.latestMs = instantMs;
    meter.latest = reading;
    meter.changed = true;
  }
  return true;
}

/** Puts one break into the book; answers false when it was there already. */
export function putBreak(meter: OpenMeter, instantMs: number, jump: Break): boolean {
  const key = atKey(meter.id, instantMs);
  const known = breaks.get(key);
  if (known !== undefined) {
    if (canonicalText(known) === canonicalText(jump)) return false;
    refuse("METERING_BREAK_CONFLICT", `meter ${meter.id} has another break at ${key}`);
  }
  if (meter.breakCount >= breaksMax)
    refuse("METERING_BREAKS_TOO_MANY", `meter ${meter.id} has ${breaksMax} breaks; register anew`);
  requireFit(meter, { instantMs, jump }, neighbours(meter, instantMs));
  breaks.set(key, jump);
  meter.breakCount += 1;
  meter.latestBreakMs = Math.max(meter.latestBreakMs, instantMs);
  meter.breakMarks = undefined;
  meter.changed = true;
  return true;
}

/** Breaks of a meter after `fromMs`, up to `toMs`, both as the readings there see them. */
export function breaksBetween(id: string, fromMs: number, toMs: number): BreakMark[] {
  const range = { fromInclusive: instantText(fromMs + 1), toExclusive: instantText(toMs + 1) };
  return breaks
    .range({ within: id, ...range })
    .map(({ key, value }) => ({ instantMs: instantOf(key), jump: value }));
}

function isKnown(key: string, reading: Registers): boolean {
  const known = readings.get(key);
  if (known === undefined) return false;
  if (known.every((value, index) => value === reading[index])) return true;
  return refuse(
    "METERING_READING_CONFLICT",
    `${key} was reported as ${canonicalText(known)}, not ${canonicalText(reading)}`,
  );
}

function isAtLeast(reading: Registers, least: Registers): boolean {
  return (
    reading[0] >= least[0] &&
    reading[1] >= least[1] &&
    reading[2] >= least[2] &&
    reading[3] >= least[3]
  );
}

/** Refuses unless the new mark fits between its neighbours in time. */
function requireFit(meter: OpenMeter, mark: Mark, { before, after }: Neighbours): void {
  const from = before?.instantMs ?? -1;
  const to = after?.instantMs ?? Number.POSITIVE_INFINITY;
  const marks: Mark[] = [...allBreaks(meter), mark]
    .filter(({ instantMs }) => instantMs > from && instantMs <= to)
    .sort(inTime);
  if (before !== undefined) marks.unshift(before);
  if (after !== undefined) marks.push(after);
  const problem = misfit(marks);
  if (problem !== undefined) refuseMisfit(meter, mark, problem);
}

/** The fast path found a register below the latest reading's; says which. */
function misfitBehind(meter: OpenMeter, mark: Reading): never {
  const { latestMs, latest } = meter;
  const problem = misfit([{ instantMs: latestMs, reading: latest as Registers }, mark]);
  return refuseMisfit(meter, mark, problem as NonNullable<typeof problem>);
}

function refuseMisfit(
  meter: OpenMeter,
  mark: Mark,
  problem: { readonly register: string; readonly instantMs: number },
): never {
  const place = `${meter.id} at ${instantText(mark.instantMs)}`;
  const seen = instantText(problem.instantMs);
  return refuse(
    "METERING_REGISTER_MISFIT",
    `${place}: ${problem.register} would go back at ${seen}; report a replacement or roll-over`,
  );
}

/** The readings around an instant; one at the instant of a break lies behind the break. */
function neighbours(meter: OpenMeter, instantMs: number): Neighbours {
  const { latestMs, latest } = meter;
  if (latest !== undefined && instantMs > latestMs)
    return { before: { instantMs: latestMs, reading: latest }, after: undefined };
  const at = instantText(instantMs);
  const reading = (entry: ReturnType<typeof readings.before>) =>
    entry && { instantMs: instantOf(entry.key), reading: entry.value };
  return {
    before: reading(readings.before(meter.id, at)),
    after: reading(readings.atOrAfter(meter.id, at)),
  };
}

/** A late batch in order fills one gap: its readings need neither queries nor a look-up. */
function isWithin(gap: Neighbours | undefined, instantMs: number): boolean {
  return (
    gap?.before !== undefined &&
    gap.after !== undefined &&
    instantMs > gap.before.instantMs &&
    instantMs < gap.after.instantMs
  );
}

function allBreaks(meter: OpenMeter): readonly BreakMark[] {
  if (meter.breakCount === 0) return [];
  meter.breakMarks ??= breaksBetween(meter.id, -1, meter.latestBreakMs);
  return meter.breakMarks;
}

function inTime(left: Mark, right: Mark): number {
  if (left.instantMs !== right.instantMs) return left.instantMs - right.instantMs;
  return "jump" in left ? -1 : 1;
}

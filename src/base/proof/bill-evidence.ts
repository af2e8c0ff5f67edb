/**
 * What a bill must agree with when all its sources are proven: readings, breaks, tariff version and
 * meter, each by the state key that the bill names. The price lines are not computed again.
 *
 * State layouts: contracts/metering/layout.ts, contracts/billing/bill.ts and tariff.ts.
 */
import { z } from "zod";
import { type JsonValue, parseJson } from "../format/json.ts";
import type { Checklist, ProvenEntry } from "./evidence-check.ts";

const registerNames = ["energyWh", "volumeL", "flowIntegralLitreC", "returnIntegralLitreC"];

const Registers = z.tuple([z.int(), z.int(), z.int(), z.int()]);
type Registers = z.infer<typeof Registers>;

const Source = z.object({ key: z.string(), value: Registers });

const Bill = z.object({
  key: z.string(),
  meter: z.string(),
  month: z.string().regex(/^[0-9]{4}-(0[1-9]|1[0-2])$/),
  n: z.int().min(1),
  madeAtMs: z.int(),
  corrects: z.string().nullable(),
  energyWh: z.int(),
  volumeL: z.int().min(1),
  flowTempMilliC: z.int(),
  returnTempMilliC: z.int(),
  lines: z.record(z.string(), z.int()),
  totalCents: z.int(),
  tariff: z.object({ id: z.string(), version: z.int(), key: z.string() }),
  readings: z.object({ start: Source, end: Source }),
  breaks: z.array(z.string()),
});
type Bill = z.infer<typeof Bill>;

const Break = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("replacement"), final: Registers, start: Registers }),
  z.object({ kind: z.literal("rollOver"), capacity: Registers }),
]);
const Tariff = z.object({
  id: z.string(),
  version: z.int(),
  kind: z.string(),
  validFrom: z.string(),
});
const Meter = z.object({ kind: z.string() });

/** A transaction's JSON arguments, as far as they are looked at here. */
const BillRequest = z.object({ meter: z.string(), month: z.string() });
const Report = z.object({ readings: z.array(z.tuple([z.string(), z.int()], z.int())) });

type Entries = ReadonlyMap<string, ProvenEntry>;
type Problem = string | undefined;

/** Checks a proven bill against the proven entries it names. */
export function checkBill(list: Checklist, key: string, entries: readonly ProvenEntry[]): void {
  const byKey = new Map(entries.map((entry) => [entry.key, entry]));
  const parsed = Bill.safeParse(byKey.get(key)?.value);
  const isForm = list.check("bill.form", "the subject is a bill", () =>
    parsed.success && parsed.data.key === key ? undefined : "the subject is no bill of this key",
  );
  const billEntry = byKey.get(key);
  if (!isForm || parsed.data === undefined || billEntry === undefined) return;
  const bill = parsed.data;
  const { start, end } = bill.readings;
  list.check("bill.request", `asked for by ${billEntry.by.transaction.method}`, () =>
    requestProblem(bill, billEntry),
  );
  list.check("bill.boundaries", `from ${start.key} to ${end.key}`, () => boundaryProblem(bill));
  for (const [name, source] of Object.entries(bill.readings))
    list.check(`bill.${name}Reading`, `signed by the gateway: ${source.value.join(", ")}`, () =>
      readingProblem(source, byKey),
    );
  list.check("bill.consumption", `${bill.energyWh} Wh and ${bill.volumeL} L`, () =>
    consumptionProblem(bill, byKey),
  );
  list.check("bill.tariff", `${bill.tariff.id} version ${bill.tariff.version}`, () =>
    tariffProblem(bill, byKey),
  );
  list.check("bill.total", `${bill.totalCents} cents, the sum of the lines`, () => {
    const sum = Object.values(bill.lines).reduce((total, line) => total + line, 0);
    return sum === bill.totalCents ? undefined : `the lines sum up to ${sum} cents`;
  });
  list.check("bill.order", "made after all that it rests on", () =>
    orderProblem(billEntry, entries, bill),
  );
}

function requestProblem(bill: Bill, { by }: ProvenEntry): Problem {
  const { contract, method, argsJson } = by.transaction;
  if (contract !== "billing" || !["makeBill", "correctBill"].includes(method))
    return `a bill is not made by ${contract}.${method}`;
  const request = BillRequest.safeParse(parseJson(argsJson)).data;
  if (request?.meter !== bill.meter || request.month !== bill.month)
    return "the request is for another meter or month";
  const isCorrection = method === "correctBill" || bill.n > 1;
  return (bill.corrects !== null) === isCorrection
    ? undefined
    : "it must name the bill it corrects";
}

function boundaryProblem(bill: Bill): Problem {
  const year = Number(bill.month.slice(0, 4));
  const month = Number(bill.month.slice(5));
  const next = month === 12 ? [year + 1, 1] : [year, month + 1];
  const nextMonth = `${`${next[0]}`.padStart(4, "0")}-${`${next[1]}`.padStart(2, "0")}`;
  const keyOf = (start: string) => `metering/reading/${bill.meter}/${start}-01T00:00:00.000Z`;
  const { start, end } = bill.readings;
  if (start.key !== keyOf(bill.month)) return `the month begins at ${keyOf(bill.month)}`;
  return end.key === keyOf(nextMonth) ? undefined : `the month ends at ${keyOf(nextMonth)}`;
}

/** The value is the ledger's and the very one that the gateway signed. */
function readingProblem(source: Bill["readings"]["start"], entries: Entries): Problem {
  const entry = entries.get(source.key);
  if (entry === undefined) return `no entry proves ${source.key}`;
  if (!isSame(entry.value, source.value)) return "the bill shows other registers than the ledger";
  const { contract, method, argsJson } = entry.by.transaction;
  if (contract !== "metering" || method !== "report")
    return `readings are not reported by ${contract}.${method}`;
  const report = Report.safeParse(parseJson(argsJson)).data;
  const isSigned = report?.readings.some(
    ([meter, instantMs, ...registers]) =>
      `metering/reading/${meter}/${instantText(instantMs)}` === source.key &&
      isSame(registers, source.value),
  );
  return isSigned === true ? undefined : "the signed report does not hold this reading";
}

function consumptionProblem(bill: Bill, entries: Entries): Problem {
  const { start, end } = bill.readings;
  const consumed = end.value.map((value, index) => value - (start.value[index] as number));
  for (const key of bill.breaks) {
    const jump = Break.safeParse(entries.get(key)?.value).data;
    if (jump === undefined) return `no entry proves the break ${key}`;
    if (!isBetween(key, bill)) return `${key} is no break of this meter and month`;
    for (const index of registerNames.keys())
      consumed[index] = (consumed[index] as number) + offsetOf(jump, index);
  }
  const [energyWh, volumeL, flowIntegral, returnIntegral] = consumed as Registers;
  if (energyWh !== bill.energyWh || volumeL !== bill.volumeL)
    return `the readings give ${energyWh} Wh and ${volumeL} L`;
  if (milliC(flowIntegral, volumeL) !== BigInt(bill.flowTempMilliC))
    return "the readings give another mean flow temperature";
  if (milliC(returnIntegral, volumeL) !== BigInt(bill.returnTempMilliC))
    return "the readings give another mean return temperature";
  return undefined;
}

function offsetOf(jump: z.infer<typeof Break>, index: number): number {
  if (jump.kind === "rollOver") return jump.capacity[index] as number;
  return (jump.final[index] as number) - (jump.start[index] as number);
}

/** After the start reading's instant, up to the end reading's; instants are in order as texts. */
function isBetween(breakKey: string, { meter, readings }: Bill): boolean {
  const prefix = `metering/break/${meter}/`;
  const instant = (key: string) => key.slice(key.lastIndexOf("/") + 1);
  const at = breakKey.slice(prefix.length);
  if (!breakKey.startsWith(prefix)) return false;
  return at > instant(readings.start.key) && at <= instant(readings.end.key);
}

/** Returns the volume-weighted mean in thousandths of a degree, half to even. */
function milliC(integral: number, volumeL: number): bigint {
  const numerator = BigInt(integral) * 1000n;
  const divisor = BigInt(volumeL);
  const quotient = numerator / divisor;
  const twice = (numerator % divisor) * 2n;
  const isUp = twice > divisor || (twice === divisor && quotient % 2n === 1n);
  return isUp ? quotient + 1n : quotient;
}

function tariffProblem({ tariff, meter, month }: Bill, entries: Entries): Problem {
  const proven = Tariff.safeParse(entries.get(tariff.key)?.value).data;
  if (proven === undefined) return `no entry proves ${tariff.key}`;
  if (proven.id !== tariff.id || proven.version !== tariff.version)
    return `${tariff.key} is version ${proven.version} of ${proven.id}`;
  if (proven.validFrom > month) return `the version is valid from ${proven.validFrom} on`;
  const meterKey = `metering/meter/${meter}`;
  const kind = Meter.safeParse(entries.get(meterKey)?.value).data?.kind;
  if (kind === undefined) return `no entry proves ${meterKey}`;
  return kind === proven.kind
    ? undefined
    : `the meter is for ${kind}, the tariff for ${proven.kind}`;
}

function orderProblem(
  { by, key }: ProvenEntry,
  entries: readonly ProvenEntry[],
  bill: Bill,
): Problem {
  const { height, timestampMs } = by.header;
  if (timestampMs !== bill.madeAtMs) return "the time in the bill is not that of its block";
  const late = entries.find(
    (entry) =>
      entry.key !== key &&
      (entry.by.header.height > height ||
        (entry.by.header.height === height && entry.by.index >= by.index)),
  );
  return late === undefined ? undefined : `${late.key} was written after the bill`;
}

/** Dates beyond the range of `Date` give a text that no key has. */
function instantText(instantMs: number): string {
  return Math.abs(instantMs) > 8.64e15 ? "" : new Date(instantMs).toISOString();
}

function isSame(left: JsonValue, right: readonly number[]): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

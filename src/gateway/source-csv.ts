/**
 * Reads cumulative registers of one meter from a CSV file, line by line, so that years of readings
 * need no memory. Columns are found by name; others are passed over.
 *
 * | column | register | scale |
 * |---|---|---|
 * | `time_rounded` | instant, ISO 8601 UTC such as `2018-01-02T23:00:00Z` | |
 * | `energy_heat_kwh` | energyWh | kWh x 1000 |
 * | `volume_flow_m3` | volumeL | m3 x 1000 |
 * | `inlet_flow_energy_m3xC` | flowIntegralLitreC | m3 x C x 1000 |
 * | `back_flow_energy_m3xC` | returnIntegralLitreC | m3 x C x 1000 |
 *
 * Values are rounded half to even on the decimal text (decimal.ts).
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type CsvError, parse } from "csv-parse";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { decimalTimesThousand } from "./decimal.ts";

/** Registers of a meter at an instant, in the order that `metering.report` takes them. */
export type Reading = readonly [
  meter: string,
  instantMs: number,
  energyWh: number,
  volumeL: number,
  flowIntegralLitreC: number,
  returnIntegralLitreC: number,
];

const timeColumn = "time_rounded";
const registerColumns = [
  "energy_heat_kwh",
  "volume_flow_m3",
  "inlet_flow_energy_m3xC",
  "back_flow_energy_m3xC",
] as const;
const instantPattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;

/** Bytes of one line at most: a register has 24 digits and the file names a meter by hand. */
const lineBytesMax = 4_096;
const parserOptions = {
  bom: true,
  columns: true,
  trim: true,
  info: true,
  skip_empty_lines: true,
  max_record_size: lineBytesMax,
} as const;

/**
 * Yields the readings of a file in its order.
 *
 * @param meter - Id of the meter on the ledger; the file's own id is not used.
 * @throws {LedgerError} GATEWAY_CSV_INVALID naming line, column, the expected and the found;
 *   FILE_UNREADABLE.
 */
export async function* readCsv(file: string, meter: string): AsyncGenerator<Reading> {
  const source = createReadStream(file);
  const parser = parse(parserOptions);
  source.on("error", (cause) => parser.destroy(cause)).pipe(parser);
  let isFirst = true;
  try {
    for await (const { record, info } of parser as AsyncIterable<CsvRow>) {
      if (isFirst) checkColumns(record, file);
      isFirst = false;
      yield readingOf(record, meter, { file, line: info.lines });
    }
  } catch (cause) {
    throw asCsvError(cause, file);
  } finally {
    // Whoever stops reading half-way leaves no open file: `pipe` does not pass that on.
    source.destroy();
  }
  if (isFirst) throw invalid({ file, line: 1 }, { column: "", expected: "readings", got: "none" });
}

/** Returns the SHA-256 of a file, by which a replay knows that it goes on with the same one. */
export async function fileHash(file: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  } catch (cause) {
    throw asCsvError(cause, file);
  }
  return hash.digest("hex");
}

type CsvRow = {
  readonly record: Record<string, string>;
  readonly info: { readonly lines: number };
};
type Place = { readonly file: string; readonly line: number };

function checkColumns(record: Record<string, string>, file: string): void {
  for (const column of [timeColumn, ...registerColumns])
    if (record[column] === undefined)
      throw invalid(
        { file, line: 1 },
        { column, expected: "this column", got: Object.keys(record).join(",").slice(0, 200) },
      );
}

function readingOf(record: Record<string, string>, meter: string, place: Place): Reading {
  const time = record[timeColumn] ?? "";
  const instantMs = instantOf(time);
  if (instantMs === undefined)
    throw invalid(place, { column: timeColumn, expected: "2018-01-02T23:00:00Z", got: time });
  const [energyWh, volumeL, flow, back] = registerColumns.map((column) =>
    registerOf(record[column] ?? "", column, place),
  ) as [number, number, number, number];
  return [meter, instantMs, energyWh, volumeL, flow, back];
}

/** `Date.parse` takes the 30th of February for the 2nd of March, and 24:00 for the next day. */
function instantOf(time: string): number | undefined {
  const instantMs = instantPattern.test(time) ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(instantMs)) return undefined;
  const isSame = new Date(instantMs).toISOString().startsWith(time.slice(0, 19));
  return isSame ? instantMs : undefined;
}

function registerOf(text: string, column: string, place: Place): number {
  try {
    return decimalTimesThousand(text);
  } catch (cause) {
    if (!isLedgerError(cause)) throw cause;
    throw invalid(place, { column, expected: "a decimal number", got: text }, cause);
  }
}

function invalid(
  { file, line }: Place,
  found: { readonly column: string; readonly expected: string; readonly got: string },
  cause?: unknown,
): LedgerError {
  const got = found.got.slice(0, 200);
  return new LedgerError("GATEWAY_CSV_INVALID", { file, line, ...found, got }, { cause });
}

function asCsvError(cause: unknown, file: string): unknown {
  if (isLedgerError(cause)) return cause;
  const { code = "", message } = cause as NodeJS.ErrnoException;
  if (!code.startsWith("CSV_"))
    return new LedgerError("FILE_UNREADABLE", { file, reason: code }, { cause });
  const line = Number((cause as CsvError & { lines?: number }).lines ?? 0);
  return invalid({ file, line }, { column: "", expected: "CSV", got: message }, cause);
}

import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { fileHash, type Reading, readCsv } from "../../../src/gateway/source-csv.ts";

const directory = mkdtempSync(join(tmpdir(), "loopledger-csv-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, "meter.csv");
const head =
  "time_rounded,energy_heat_kwh,volume_flow_m3,inlet_flow_energy_m3xC,back_flow_energy_m3xC";
const line = "2018-01-02T23:00:00Z,5347.6144,113.9915,8246.4216,3528.8070";
const expected = ["m1", Date.UTC(2018, 0, 2, 23), 5_347_614, 113_992, 8_246_422, 3_528_807];

async function collect(source: AsyncIterable<Reading>): Promise<Reading[]> {
  const readings: Reading[] = [];
  for await (const reading of source) readings.push(reading);
  return readings;
}

async function read(text: string | Uint8Array): Promise<Reading[]> {
  writeFileSync(file, text);
  return collect(readCsv(file, "m1"));
}

describe("a CSV source", () => {
  it.each([
    ["plain", `${head}\n${line}\n`],
    ["without a last line end", `${head}\n${line}`],
    ["with CRLF", `${head}\r\n${line}\r\n`],
    ["with a byte order mark", `\uFEFF${head}\n${line}\n`],
    ["with blanks and empty lines", `${head}\n\n ${line.replaceAll(",", " , ")}\n\n\n`],
    ["with other columns in other places", `id,${head},note\n7,${line},"a, b"\n`],
  ])("is read %s", async (_name, text) => {
    expect(await read(text)).toEqual([expected]);
  });

  it("rounds half to even on the digits", async () => {
    const row = "2018-01-02T23:00:00.5Z,1.0005,1.0015,1.00150000000000000000001,-0";
    expect(await read(`${head}\n${row}`)).toEqual([
      ["m1", Date.UTC(2018, 0, 2, 23) + 500, 1_000, 1_002, 1_002, 0],
    ]);
  });

  it("reads the two years of the demo's meter", async () => {
    const path = "../../../data/heat_meters/dk_heat_meter_660_hourly_2018_2019.csv";
    const readings = await collect(readCsv(fileURLToPath(new URL(path, import.meta.url)), "m1"));
    expect(readings).toHaveLength(17_474);
    expect(readings.every(([, ...numbers]) => numbers.every(Number.isSafeInteger))).toBe(true);
  });

  it.each([
    ["an empty file", "", 1, "", "readings"],
    ["a file with columns only", `${head}\n`, 1, "", "readings"],
    ["a missing column", `${head.replace("volume_flow_m3", "v")}\n${line}`, 1, "volume_flow_m3"],
    ["a wrong time", `${head}\n${line}\n${line.replace("T23", " 23")}`, 3, "time_rounded"],
    ["a local time", `${head}\n${line.replace("Z", "+01:00")}`, 2, "time_rounded"],
    ["a day that no calendar has", `${head}\n${line.replace("01-02", "02-30")}`, 2, "time_rounded"],
    ["an hour that no clock has", `${head}\n${line.replace("T23", "T24")}`, 2, "time_rounded"],
    ["an exponent", `${head}\n${line}\n\n${line.replace("113.9915", "1e3")}`, 4, "volume_flow_m3"],
    ["an empty register", `${head}\n${line.replace("113.9915", "")}`, 2, "volume_flow_m3"],
    ["a decimal comma", `${head}\n${line.replace("113.9915", '"113,9"')}`, 2, "volume_flow_m3"],
    ["too few fields", `${head}\n${line}\n1,2\n`, 3, "", "CSV"],
    ["an open quote", `${head}\n"${line}\n`, 2, "", "CSV"],
    ["a line without end", `${head}\n${"9".repeat(9_999)}\n`, 2, "", "CSV"],
    ["bytes that are no text", Uint8Array.of(0, 255, 10, 1, 2, 3), 1, "time_rounded"],
  ])("names line, column and what was expected for %s", async (...row) => {
    const [, text, lineNumber, column, wanted = expect.any(String)] = row;
    await expect(read(text)).rejects.toMatchObject({
      code: "GATEWAY_CSV_INVALID",
      facts: { file, line: lineNumber, column, expected: wanted, got: expect.any(String) },
    });
  });

  it("yields the readings before a wrong line", async () => {
    writeFileSync(file, `${head}\n${line}\nwrong,1,1,1,1\n`);
    const readings = readCsv(file, "m1");
    expect((await readings.next()).value).toEqual(expected);
    await expect(readings.next()).rejects.toMatchObject({ facts: { line: 3, got: "wrong" } });
  });

  it("says that a file is not there", async () => {
    const gone = join(directory, "gone.csv");
    const problem = { code: "FILE_UNREADABLE", facts: { file: gone, reason: "ENOENT" } };
    await expect(collect(readCsv(gone, "m1"))).rejects.toMatchObject(problem);
    await expect(fileHash(gone)).rejects.toMatchObject(problem);
  });

  it.runIf(process.platform === "linux")("leaves no file open when left half-way", async () => {
    writeFileSync(file, `${head}\n${`${line}\n`.repeat(20_000)}`);
    const links = () =>
      readdirSync("/proc/self/fd").map((name) => {
        try {
          return readlinkSync(`/proc/self/fd/${name}`);
        } catch {
          return "";
        }
      });
    const readings = readCsv(file, "m1");
    await readings.next();
    expect(links()).toContain(file);
    await readings.return(undefined);
    await expect.poll(() => links().includes(file)).toBe(false);
  });
});

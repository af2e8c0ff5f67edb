/** Claims about the parts of the demo that can be wrong without anyone noticing. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { checkBills, type DemoBill, demoMonths } from "../../../src/cli/demo/control.ts";
import { fixedPoint } from "../../../src/cli/demo/report.ts";
import { damageAnywhere, damageTransaction } from "../../../src/cli/demo/tamper.ts";
import { columns } from "../../../src/cli/terminal.ts";

describe("the control figures", () => {
  it("cover 23 months from 2018-02 to 2019-12", () => {
    const months = demoMonths();
    expect(months).toHaveLength(23);
    expect([months[0], months.at(-1)]).toEqual(["2018-02", "2019-12"]);
  });

  it("fail bills of another amount", () => {
    const bills = demoMonths().map(
      (month): DemoBill => ({
        month,
        energyWh: 1,
        volumeL: 1,
        flowTempMilliC: 1,
        returnTempMilliC: 1,
        lines: { fixed: 2500, energy: 0, volume: 0, returnTemp: 0 },
        totalCents: 2500,
      }),
    );
    expect(() => checkBills(bills)).toThrow(/CLI_DEMO_FAILED.*2019-01 energyWh/);
    expect(() => checkBills(bills.slice(1))).toThrow(/CLI_DEMO_FAILED.*months billed/);
  });
});

describe("a number with decimals", () => {
  it.each([
    [2_792_148, 3, "2792.148"],
    [0, 2, "0.00"],
    [5, 2, "0.05"],
    [-3_045, 2, "-30.45"],
    [-5, 3, "-0.005"],
  ])("%i with %i decimals is written %s", (value, digits, text) => {
    expect(fixedPoint(value, digits)).toBe(text);
  });
});

describe("columns", () => {
  it("put numbers to the right and text to the left", () => {
    const rows = [
      ["a", "1.5"],
      ["long", "-20.25"],
    ];
    expect(columns(["name", "sum"], rows)).toBe("name     sum\na        1.5\nlong  -20.25");
  });
});

describe("damage", () => {
  const directory = mkdtempSync(join(tmpdir(), "loopledger-cli-"));
  afterAll(() => rmSync(directory, { recursive: true }));
  // Bytes without repetition, as signatures are.
  const original = Buffer.concat(
    Array.from({ length: 160 }, (_, index) => createHash("sha256").update(`${index}`).digest()),
  );
  const write = () => {
    writeFileSync(join(directory, "000005.ldb"), original);
    writeFileSync(join(directory, "LOCK"), "");
  };
  const changed = () => {
    const bytes = readFileSync(join(directory, "000005.ldb"));
    return [...bytes.keys()].filter((index) => bytes[index] !== original[index]);
  };

  it("by seed changes one byte, at the same place for the same seed", async () => {
    const places = new Set<number>();
    for (const seed of [1, 2, 3, 4, 5]) {
      write();
      const { file, offset } = await damageAnywhere(directory, seed);
      expect({ file, changed: changed() }).toEqual({ file: "000005.ldb", changed: [offset] });
      write();
      expect((await damageAnywhere(directory, seed)).offset).toBe(offset);
      places.add(offset);
    }
    expect(places.size).toBeGreaterThan(1);
  });

  it("of a transaction changes a byte of that transaction", async () => {
    write();
    const absent = Buffer.alloc(100, 255);
    const present = original.subarray(1_000, 1_200);
    const damage = await damageTransaction(directory, [absent, present]);
    expect(damage.index).toBe(1);
    expect(changed()).toEqual([damage.offset]);
    expect(damage.offset).toBeGreaterThanOrEqual(1_000);
    expect(damage.offset).toBeLessThan(1_200);
  });
});

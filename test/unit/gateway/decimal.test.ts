/**
 * Claim: registers are scaled on their digits, half to even.
 *
 * Method: known answers, an independent rational rule on random decimals, and the whole real file,
 * where arithmetic in doubles must be seen to differ (or the test would prove nothing).
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, it } from "vitest";
import { decimalTimesThousand } from "../../../src/gateway/decimal.ts";
import { seedOf } from "../../helpers/seed.ts";

it.each([
  ["5347.61445783133", 5_347_614],
  ["0.0005", 0],
  ["0.0015", 2],
  ["0.0025", 2],
  ["0.00250000000000000000001", 3],
  ["0.00249999999999999999999", 2],
  ["-0.0005", 0],
  ["-0.0015", -2],
  ["7", 7_000],
  ["7.1", 7_100],
  ["9007199254740.991", Number.MAX_SAFE_INTEGER],
])("scales %s to %d", (text, expected) => {
  expect(decimalTimesThousand(text)).toBe(expected);
});

it.each([
  "",
  ".5",
  "5.",
  "1e3",
  "1,5",
  " 1",
  "+1",
  "0x1",
  "NaN",
  "9007199254740.992",
  "1".repeat(25),
])("refuses %j", (text) => {
  expect(() => decimalTimesThousand(text)).toThrow("GATEWAY_DECIMAL_INVALID");
});

it("agrees with exact division on random decimals", () => {
  const digits = fc.integer({ min: 0, max: 12 });
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n }), digits, (number, places) => {
      const scale = 10n ** BigInt(places);
      const text =
        places === 0
          ? `${number}`
          : `${number / scale}.${`${number % scale}`.padStart(places, "0")}`;
      fc.pre(number / scale < 10n ** 12n);
      const [floor, rest] = [(number * 1000n) / scale, (number * 1000n) % scale];
      const up = rest * 2n > scale || (rest * 2n === scale && floor % 2n === 1n);
      expect(BigInt(decimalTimesThousand(text))).toBe(floor + (up ? 1n : 0n));
    }),
    { seed: seedOf(20_190_101), numRuns: 500 },
  );
});

it("gives another register than doubles do somewhere in the real file", () => {
  const file = new URL(
    "../../../data/heat_meters/dk_heat_meter_660_hourly_2018_2019.csv",
    import.meta.url,
  );
  const cells = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .flatMap((line) => line.split(",").slice(3));
  const naive = (text: string) => {
    const scaled = Number(text) * 1000;
    const floor = Math.floor(scaled);
    if (scaled - floor !== 0.5) return Math.round(scaled);
    return floor % 2 === 0 ? floor : floor + 1;
  };
  expect(cells.filter((text) => naive(text) !== decimalTimesThousand(text))).toHaveLength(1);
});

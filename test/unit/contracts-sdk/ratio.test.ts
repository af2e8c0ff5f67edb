/**
 * Properties of the exact arithmetic: rounding by each named rule agrees with its definition on
 * the number line, and a split always adds up to the whole with no part off by one or more.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  Ratio,
  type Rounding,
  safeNumber,
  splitByLargestRemainder,
} from "../../../src/contracts/sdk/ratio.ts";
import { seedOf } from "../../helpers/seed.ts";

const settings = { seed: seedOf(20_190_101), numRuns: 500 };
const numerator = fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n });
const denominator = fc.oneof(
  fc.bigInt({ min: 1n, max: 9n }),
  fc.bigInt({ min: 1n, max: 10n ** 9n }),
);

it.each<[string, Rounding, number]>([
  ["2.5", "halfEven", 2],
  ["3.5", "halfEven", 4],
  ["-2.5", "halfEven", -2],
  ["-3.5", "halfEven", -4],
  ["2.51", "halfEven", 3],
  ["2.5", "halfUp", 3],
  ["-2.5", "halfUp", -3],
  ["2.49", "halfUp", 2],
  ["2.01", "up", 3],
  ["-2.01", "up", -3],
  ["2.99", "down", 2],
  ["-2.99", "down", -2],
  ["-7", "halfEven", -7],
])("rounds %s by %s to %i", (text, rounding, expected) => {
  expect(Ratio.decimal(text).roundToNumber(rounding)).toBe(expected);
});

it("rounds to the nearest integer, ties to the even one", () => {
  fc.assert(
    fc.property(numerator, denominator, (top, bottom) => {
      const twiceError = (Ratio.of(top, bottom).round("halfEven") * bottom - top) * 2n;
      const size = twiceError < 0n ? -twiceError : twiceError;
      expect(size <= bottom).toBe(true);
      if (size === bottom) expect(Ratio.of(top, bottom).round("halfEven") % 2n).toBe(0n);
    }),
    settings,
  );
});

it("rounds up and down to neighbours around the value, equal only for integers", () => {
  fc.assert(
    fc.property(numerator, denominator, (top, bottom) => {
      const [up, down] = [Ratio.of(top, bottom).round("up"), Ratio.of(top, bottom).round("down")];
      const apart = up - down;
      expect(apart).toBe(top % bottom === 0n ? 0n : top < 0n ? -1n : 1n);
    }),
    settings,
  );
});

it("calculates as the field of rationals does", () => {
  const ratio = fc.tuple(numerator, denominator).map(([top, bottom]) => Ratio.of(top, bottom));
  fc.assert(
    fc.property(ratio, ratio, ratio, (a, b, c) => {
      expect(a.plus(b).minus(b).compare(a)).toBe(0);
      expect(a.times(b.plus(c)).compare(a.times(b).plus(a.times(c)))).toBe(0);
      if (b.numerator !== 0n) expect(a.times(b).over(b).compare(a)).toBe(0);
      expect(Math.sign(a.compare(b))).toBe(-Math.sign(b.compare(a)) + 0);
    }),
    settings,
  );
});

it("splits a whole into parts that add up, each within one of its share", () => {
  const weights = fc
    .array(fc.bigInt({ min: 0n, max: 10n ** 6n }), { minLength: 1, maxLength: 12 })
    .filter((list) => list.some((weight) => weight > 0n));
  const whole = fc.bigInt({ min: -(10n ** 9n), max: 10n ** 9n });
  fc.assert(
    fc.property(whole, weights, (total, list) => {
      const parts = splitByLargestRemainder(total, list);
      const sum = list.reduce((left, right) => left + right);
      expect(parts.reduce((left, right) => left + right)).toBe(total);
      for (const [index, part] of parts.entries()) {
        const error = part * sum - total * (list[index] as bigint);
        expect(error < sum && error > -sum).toBe(true);
      }
    }),
    settings,
  );
});

it("gives what is left to the largest remainders, and to the earlier of equals", () => {
  expect(splitByLargestRemainder(100n, [1n, 1n, 1n])).toEqual([34n, 33n, 33n]);
  expect(splitByLargestRemainder(10n, [3n, 3n, 1n])).toEqual([4n, 4n, 2n]);
  expect(splitByLargestRemainder(-100n, [1n, 1n, 1n])).toEqual([-34n, -33n, -33n]);
  expect(splitByLargestRemainder(5n, [0n, 2n])).toEqual([0n, 5n]);
  expect(() => splitByLargestRemainder(5n, [0n, 0n])).toThrow("weights");
  expect(() => splitByLargestRemainder(5n, [-1n, 2n])).toThrow("weights");
});

it("takes only exact input and gives numbers only within 2^53", () => {
  expect(() => Ratio.of(0.5)).toThrow("not an integer");
  expect(() => Ratio.of(1, 0)).toThrow("denominator");
  expect(() => Ratio.decimal("1e3")).toThrow("not a decimal");
  expect(() => safeNumber(2n ** 53n)).toThrow("beyond 2^53");
  expect(Ratio.of(1, -2).compare(Ratio.decimal("-0.5"))).toBe(0);
});

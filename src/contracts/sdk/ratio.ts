/**
 * Exact arithmetic for money: rational numbers over BigInt, rounded once, by a named rule.
 *
 * Integers within 2^53 are not enough: 2.8e6 Wh times a price in millionths comes near it, and a
 * quotient such as a mean temperature has no finite decimal form at all.
 *
 * Invariant (1): the denominator is positive. Fractions are not reduced; contracts do few steps.
 */

/**
 * How a rational becomes an integer: `halfEven` and `halfUp` go to the nearest, ties to the even
 * one or away from zero; `up` goes away from zero, `down` towards it.
 */
export type Rounding = "halfEven" | "halfUp" | "up" | "down";

/** An exact rational number. */
export class Ratio {
  readonly numerator: bigint;
  readonly denominator: bigint;

  private constructor(numerator: bigint, denominator: bigint) {
    this.numerator = numerator;
    this.denominator = denominator;
  }

  /**
   * Makes `numerator / denominator` from integers.
   *
   * @throws {Error} when a number is not an integer within 2^53, or the denominator is zero.
   */
  static of(numerator: number | bigint, denominator: number | bigint = 1n): Ratio {
    const [top, bottom] = [exact(numerator), exact(denominator)];
    if (bottom === 0n) throw new Error("the denominator is zero");
    return bottom < 0n ? new Ratio(-top, -bottom) : new Ratio(top, bottom);
  }

  /**
   * Reads an exact decimal such as `8.50` or `-0.125`.
   *
   * @throws {Error} when the text is not a plain decimal.
   */
  static decimal(text: string): Ratio {
    const match = /^(-?[0-9]+)(?:\.([0-9]+))?$/.exec(text);
    if (match === null) throw new Error(`not a decimal: ${text}`);
    const fraction = match[2] ?? "";
    return new Ratio(BigInt(`${match[1]}${fraction}`), 10n ** BigInt(fraction.length));
  }

  plus(other: Ratio): Ratio {
    const sum = this.numerator * other.denominator + other.numerator * this.denominator;
    return new Ratio(sum, this.denominator * other.denominator);
  }

  minus(other: Ratio): Ratio {
    return this.plus(new Ratio(-other.numerator, other.denominator));
  }

  times(other: Ratio): Ratio {
    return new Ratio(this.numerator * other.numerator, this.denominator * other.denominator);
  }

  /** @throws {Error} when `other` is zero. */
  over(other: Ratio): Ratio {
    return Ratio.of(this.numerator * other.denominator, this.denominator * other.numerator);
  }

  /** Negative, zero or positive as this is less than, equal to or greater than `other`. */
  compare(other: Ratio): number {
    const difference = this.numerator * other.denominator - other.numerator * this.denominator;
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  }

  /** Returns the integer that the rule names. */
  round(rounding: Rounding): bigint {
    const negative = this.numerator < 0n;
    const size = negative ? -this.numerator : this.numerator;
    const floor = size / this.denominator;
    const rounded = floor + increment(floor, size % this.denominator, this.denominator, rounding);
    return negative ? -rounded : rounded;
  }

  /** Rounds to a number. @throws {Error} when the result lies beyond 2^53. */
  roundToNumber(rounding: Rounding): number {
    return safeNumber(this.round(rounding));
  }
}

/** Turns a BigInt into a number. @throws {Error} when it lies beyond 2^53. */
export function safeNumber(value: bigint): number {
  const result = Number(value);
  if (!Number.isSafeInteger(result)) throw new Error(`beyond 2^53: ${value}`);
  return result;
}

/**
 * Splits a whole into integer parts in proportion to weights, so that they add up to the whole:
 * each gets its share rounded down, what is left goes one each to the largest remainders, and
 * among equal remainders to the earlier part. A negative whole is split as its opposite.
 *
 * @param weights - At least one, none negative, not all zero.
 * @throws {Error} when the weights are not so.
 */
export function splitByLargestRemainder(whole: bigint, weights: readonly bigint[]): bigint[] {
  if (whole < 0n) return splitByLargestRemainder(-whole, weights).map((part) => -part);
  const sum = weights.reduce((total, weight) => total + weight, 0n);
  if (sum <= 0n || weights.some((weight) => weight < 0n))
    throw new Error("weights must be 0 or more and not all 0");
  const parts = weights.map((weight) => (whole * weight) / sum);
  const left = whole - parts.reduce((total, part) => total + part, 0n);
  const order = weights
    .map((weight, index) => ({ index, remainder: (whole * weight) % sum }))
    .sort((a, b) =>
      a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1,
    );
  for (const { index } of order.slice(0, Number(left))) parts[index] = (parts[index] ?? 0n) + 1n;
  return parts;
}

function increment(floor: bigint, rest: bigint, whole: bigint, rounding: Rounding): bigint {
  if (rest === 0n || rounding === "down") return 0n;
  if (rounding === "up") return 1n;
  const twice = rest * 2n;
  if (twice !== whole) return twice > whole ? 1n : 0n;
  return rounding === "halfUp" || floor % 2n === 1n ? 1n : 0n;
}

function exact(value: number | bigint): bigint {
  if (typeof value === "bigint") return value;
  if (!Number.isSafeInteger(value)) throw new Error(`not an integer within 2^53: ${value}`);
  return BigInt(value);
}

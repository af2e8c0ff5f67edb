/**
 * From consumption and tariff to the lines of a bill: pure, exact, each line rounded once, half to
 * even. The return temperature line builds on the rounded energy line, so that a reader of the
 * bill can recompute it from what is printed; the mean temperature in it is exact.
 */
import { monthNumber, Ratio } from "loopledger/contract";
import type { Registers } from "../metering/layout.ts";
import type { Seasons, Tariff } from "./tariff.ts";

/** Amounts of a bill, whole cents. A bonus is negative. */
export type Lines = {
  readonly fixed: number;
  readonly energy: number;
  readonly volume: number;
  readonly returnTemp: number;
};

/** What was consumed and what it costs. */
export type Amounts = {
  readonly energyWh: number;
  readonly volumeL: number;
  /** Volume-weighted means, thousandths of a degree Celsius, rounded half to even. */
  readonly flowTempMilliC: number;
  readonly returnTempMilliC: number;
  readonly lines: Lines;
  readonly totalCents: number;
};

const thousand = Ratio.of(1_000);
const zero = Ratio.of(0);

/**
 * Computes the amounts of a bill.
 *
 * @param consumption - Of the month; the volume is not 0.
 * @param month - Such as `2019-01`; decides the season.
 */
export function amountsOf(consumption: Registers, month: string, tariff: Tariff): Amounts {
  const [energyWh, volumeL, flowIntegral, returnIntegral] = consumption;
  const { fixed, energy, volume, returnTemp } = tariff.lines;
  const returnMean = Ratio.of(returnIntegral, volumeL);
  const kwh = Ratio.of(energyWh, 1_000);
  const m3 = Ratio.of(volumeL, 1_000);
  const energyCents = cents(kwh.times(priceIn(energy.centsPerKwh, month)));
  const lines: Lines = {
    fixed: cents(Ratio.decimal(fixed.centsPerMonth)),
    energy: energyCents,
    volume: cents(m3.times(priceIn(volume.centsPerM3, month))),
    returnTemp: returnTempCents(returnMean, energyCents, returnTemp),
  };
  return {
    energyWh,
    volumeL,
    flowTempMilliC: milliC(Ratio.of(flowIntegral, volumeL)),
    returnTempMilliC: milliC(returnMean),
    lines,
    totalCents: lines.fixed + lines.energy + lines.volume + lines.returnTemp,
  };
}

function returnTempCents(
  mean: Ratio,
  energyCents: number,
  rule: Tariff["lines"]["returnTemp"],
): number {
  const excess = mean.minus(Ratio.of(rule.expectedMilliC, 1_000));
  const charge = (percent: string) =>
    cents(Ratio.of(energyCents, 100).times(Ratio.decimal(percent)).times(excess));
  // Below, the excess is negative and so is the line.
  if (excess.compare(zero) < 0) return charge(rule.bonusPercentPerDegree);
  if (excess.compare(Ratio.of(rule.freeMilliC, 1_000)) <= 0) return 0;
  return charge(rule.malusPercentPerDegree);
}

function priceIn(seasons: Seasons, month: string): Ratio {
  const number = monthNumber(month);
  const season = seasons.find(({ months }) => months.includes(number));
  if (season === undefined) throw new Error(`a published tariff has no price for ${month}`);
  return Ratio.decimal(season.price);
}

function cents(amount: Ratio): number {
  return amount.roundToNumber("halfEven");
}

function milliC(temperature: Ratio): number {
  return temperature.times(thousand).roundToNumber("halfEven");
}

/**
 * State layout of `metering` and the arithmetic of registers. Other contracts import this file and
 * read the tables; it declares no table of its own (a table belongs to one contract).
 *
 * | key | value |
 * |---|---|
 * | `metering/meter/<meter>` | `MeterRecord` |
 * | `metering/reading/<meter>/<instant>` | `[energyWh,volumeL,flowIntegralLitreC,returnIntegralLitreC]` |
 * | `metering/break/<meter>/<instant>` | `Break` |
 *
 * `<meter>` is a pseudonymous id, `<instant>` UTC text such as `2019-01-01T00:00:00.000Z`.
 *
 * A break is an instant where the registers jump though nothing was consumed: the device was
 * replaced, or registers rolled over. It holds for readings at its instant and later: at the
 * instant of a replacement the reading is the new device's.
 */
import { instantText, integer, text, tuple } from "loopledger/contract";

/**
 * Registers stay so small that 99 breaks of a meter and a reading add up within 2^53. An integral
 * of 9e13 L x C is 900 million cubic metres at 100 degrees.
 */
export const registerMax = 90_000_000_000_000;

/** Breaks of one meter at most; see `registerMax`. */
export const breaksMax = 99;

/** A pseudonymous meter id. No "/": it is a part of state keys. */
export const meterId = text(64, /^[A-Za-z0-9][A-Za-z0-9._-]*$/);

const register = integer(0, registerMax);

/** All registers of a meter at one instant. */
export const registers = tuple(register, register, register, register);

/** Cumulative Wh, L, and volume times flow and return temperature, both in L x C. */
export type Registers = readonly [
  energyWh: number,
  volumeL: number,
  flowIntegralLitreC: number,
  returnIntegralLitreC: number,
];

/** Kinds of energy that a meter measures. */
export const meterKinds = ["heat", "cold", "electricity"] as const;

/** A registered meter and what the fast path of `report` needs. */
export type MeterRecord = {
  readonly kind: (typeof meterKinds)[number];
  /** `did:key` of the one gateway that may report this meter. */
  readonly gateway: string;
  /** Instant of the latest reading, -1 before the first. */
  readonly latestMs: number;
  /** Registers of the latest reading; absent before the first. */
  readonly latest?: Registers;
  readonly breakCount: number;
  /** Instant of the latest break, -1 without one. */
  readonly latestBreakMs: number;
};

/** A jump of the registers that is no consumption. */
export type Break =
  | { readonly kind: "replacement"; readonly final: Registers; readonly start: Registers }
  /** Registers with a capacity above 0 began again at 0; the others went on. */
  | { readonly kind: "rollOver"; readonly capacity: Registers };

/** Key of a reading or of a break inside its table. */
export function atKey(meter: string, instantMs: number): string {
  return `${meter}/${instantText(instantMs)}`;
}

/** Returns what has to be added to register `index` behind a break. */
export function breakOffset(jump: Break, index: number): number {
  if (jump.kind === "rollOver") return jump.capacity[index] as number;
  return (jump.final[index] as number) - (jump.start[index] as number);
}

/**
 * Returns the consumption between two readings, exact across breaks.
 *
 * @param breaks - All breaks after the start reading's instant, up to the end reading's, included.
 */
export function consumptionOf(
  start: Registers,
  end: Registers,
  breaks: readonly Break[],
): Registers {
  const part = (index: number) =>
    breaks.reduce(
      (sum, jump) => sum + breakOffset(jump, index),
      (end[index] as number) - (start[index] as number),
    );
  return [part(0), part(1), part(2), part(3)];
}

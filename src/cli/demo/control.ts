/**
 * What must come out of the demo: figures computed independently from the same readings and
 * tariff. The demo fails when one of them differs.
 */
import { z } from "zod";
import { LedgerError } from "../../base/errors.ts";

const Cents = z.int();

/** A bill as the demo prints it; fields of the contract's bill that it does not use are left out. */
export const DemoBill = z.object({
  month: z.string(),
  energyWh: z.int(),
  volumeL: z.int(),
  flowTempMilliC: z.int(),
  returnTempMilliC: z.int(),
  lines: z.object({ fixed: Cents, energy: Cents, volume: Cents, returnTemp: Cents }),
  totalCents: Cents,
});

/** A bill as the demo prints it. */
export type DemoBill = z.infer<typeof DemoBill>;

/** First and last month with readings at both boundaries. */
const firstMonth = "2018-02";
const lastMonth = "2019-12";

/** Readings in the shipped file. */
export const readingsExpected = 17_474;

/** Lists the months that are billed, in order. */
export function demoMonths(): string[] {
  const months = [2018, 2019].flatMap((year) =>
    Array.from({ length: 12 }, (_, index) => `${year}-${String(index + 1).padStart(2, "0")}`),
  );
  return months.filter((month) => month >= firstMonth && month <= lastMonth);
}

type Figures = readonly (readonly [name: string, of: (bill: DemoBill) => number, is: number])[];

const lines = (fixed: number, energy: number, volume: number, returnTemp: number): Figures => [
  ["fixed", (bill) => bill.lines.fixed, fixed],
  ["energy line", (bill) => bill.lines.energy, energy],
  ["volume line", (bill) => bill.lines.volume, volume],
  ["return temperature line", (bill) => bill.lines.returnTemp, returnTemp],
];
const energyWh = (is: number): Figures => [["energyWh", (bill) => bill.energyWh, is]];
const volumeL = (is: number): Figures => [["volumeL", (bill) => bill.volumeL, is]];
const totalCents = (is: number): Figures => [["totalCents", (bill) => bill.totalCents, is]];

const monthFigures: Readonly<Record<string, Figures>> = {
  "2019-01": [
    ...energyWh(2_792_148),
    ...volumeL(61_014),
    ...lines(2_500, 23_733, 2_135, -3_045),
    ...totalCents(25_323),
  ],
  "2019-06": [...energyWh(259_090), ...lines(2_500, 1_425, 0, 0), ...totalCents(3_925)],
  "2018-07": [...lines(2_500, 814, 0, 79), ...totalCents(3_393)],
};

const yearFigures: Figures = [...energyWh(17_517_189), ...volumeL(440_295), ...totalCents(157_145)];

/** Checks bills against the control figures. @throws {LedgerError} CLI_DEMO_FAILED */
export function checkBills(bills: readonly DemoBill[]): void {
  const billed = bills.map(({ month }) => month).join(" ");
  checkFigure("months billed", demoMonths().join(" "), billed);
  for (const [month, figures] of Object.entries(monthFigures))
    for (const [name, of, is] of figures)
      checkFigure(`${month} ${name}`, is, sum(bills, month, of));
  for (const [name, of, is] of yearFigures) checkFigure(`2019 ${name}`, is, sum(bills, "2019", of));
}

/** Checks one figure. @throws {LedgerError} CLI_DEMO_FAILED */
export function checkFigure<T extends string | number | boolean>(
  figure: string,
  expected: T,
  actual: T,
): void {
  if (actual !== expected) throw new LedgerError("CLI_DEMO_FAILED", { figure, expected, actual });
}

function sum(bills: readonly DemoBill[], period: string, of: (bill: DemoBill) => number): number {
  return bills
    .filter(({ month }) => month.startsWith(period))
    .reduce((total, bill) => total + of(bill), 0);
}

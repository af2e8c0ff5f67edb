/** What the demo prints at its end, for people. */
import { columns } from "../terminal.ts";
import type { DemoBill } from "./control.ts";

/** All that the demo found; printed as it is with `--json`. */
export type DemoReport = {
  readonly bills: readonly DemoBill[];
  readonly nodes: readonly {
    readonly name: string;
    readonly height: number;
    readonly stateRoot: string;
  }[];
  readonly evidence: { readonly file: string; readonly verified: boolean };
  /** Whether both damages were found, and the height of the block that was changed. */
  readonly tamper: { readonly detected: boolean; readonly height: number };
  readonly readings: number;
  readonly seconds: number;
};

/** Figures that only people are told. */
export type DemoRemarks = {
  readonly readingsPerSecond: number;
  readonly tamper: readonly string[];
};

/** Lays the report out as text. */
export function reportText(report: DemoReport, remarks: DemoRemarks): string {
  const { bills, nodes, evidence, readings, seconds } = report;
  return [
    "",
    "Heat bills of meter dk-660, made by contract",
    "",
    billTable(bills),
    "",
    columns(
      ["node", "height", "state root"],
      nodes.map(({ name, height, stateRoot }) => [name, `${height}`, stateRoot]),
    ),
    "",
    `state roots   ${new Set(nodes.map(({ stateRoot }) => stateRoot)).size === 1 ? "equal" : "DIFFER"}`,
    `evidence      ${evidence.file}: ${evidence.verified ? "verified offline" : "NOT VERIFIED"}`,
    ...remarks.tamper.map((line, index) => `${index === 0 ? "tampering" : ""}`.padEnd(14) + line),
    `readings      ${readings}, ${remarks.readingsPerSecond} a second`,
    `took          ${seconds} s`,
  ].join("\n");
}

function billTable(bills: readonly DemoBill[]): string {
  const head = ["month", "kWh", "m3", "flow C", "return C"];
  const money = ["fixed", "energy", "volume", "return", "total EUR"];
  const rows = bills.map(({ month, lines, ...bill }) => [
    month,
    fixedPoint(bill.energyWh, 3),
    fixedPoint(bill.volumeL, 3),
    fixedPoint(bill.flowTempMilliC, 3),
    fixedPoint(bill.returnTempMilliC, 3),
    ...[lines.fixed, lines.energy, lines.volume, lines.returnTemp, bill.totalCents].map((cents) =>
      fixedPoint(cents, 2),
    ),
  ]);
  const total = (of: (bill: DemoBill) => number) => bills.reduce((sum, bill) => sum + of(bill), 0);
  const sums = [
    "sum",
    fixedPoint(
      total((bill) => bill.energyWh),
      3,
    ),
    fixedPoint(
      total((bill) => bill.volumeL),
      3,
    ),
    "",
    "",
    ...(["fixed", "energy", "volume", "returnTemp"] as const).map((line) =>
      fixedPoint(
        total((bill) => bill.lines[line]),
        2,
      ),
    ),
    fixedPoint(
      total((bill) => bill.totalCents),
      2,
    ),
  ];
  return columns([...head, ...money], [...rows, sums]);
}

/** Writes an integer of the smallest unit with `digits` decimals, exactly. */
export function fixedPoint(value: number, digits: number): string {
  const text = `${Math.abs(value)}`.padStart(digits + 1, "0");
  const sign = value < 0 ? "-" : "";
  return `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

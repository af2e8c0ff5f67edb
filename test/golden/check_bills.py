#!/usr/bin/env python3
"""Recomputes the bills of the demo's meter without any code of the project.

Reads the CSV and the tariff, computes the 23 full months with fractions, and compares them with
test/golden/bills.json, which the TypeScript tests compare the contract with. `--write` makes that
file. Exit code 0: equal, 1: not equal.
"""
import csv
import json
import sys
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path

root = Path(__file__).resolve().parents[2]
meter_file = root / "data/heat_meters/dk_heat_meter_660_hourly_2018_2019.csv"
tariff_file = root / "data/tariffs/demo.json"
golden_file = Path(__file__).with_name("bills.json")


def half_even(value: Fraction) -> int:
    """Python's round of a Fraction is exact and rounds half to even."""
    return round(value)


def readings() -> dict:
    with open(meter_file, newline="") as lines:
        return {
            row["time_rounded"]: [
                half_even(Fraction(row[name]) * 1000)
                for name in (
                    "energy_heat_kwh",
                    "volume_flow_m3",
                    "inlet_flow_energy_m3xC",
                    "back_flow_energy_m3xC",
                )
            ]
            for row in csv.DictReader(lines)
        }


def boundary(year: int, month: int) -> str:
    year, month = (year + 1, 1) if month == 13 else (year, month)
    return datetime(year, month, 1, tzinfo=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def price(seasons: list, month: int) -> Fraction:
    return next(Fraction(season["price"]) for season in seasons if month in season["months"])


def bill(at: dict, tariff: dict, year: int, month: int) -> dict:
    start, end = at[boundary(year, month)], at[boundary(year, month + 1)]
    energy, volume, flow, back = (after - before for before, after in zip(start, end))
    rules = tariff["lines"]
    energy_cents = half_even(Fraction(energy, 1000) * price(rules["energy"]["centsPerKwh"], month))
    volume_cents = half_even(Fraction(volume, 1000) * price(rules["volume"]["centsPerM3"], month))
    rule = rules["returnTemp"]
    above = Fraction(back, volume) - Fraction(rule["expectedMilliC"], 1000)
    percent = Fraction(0)
    if above < 0:
        percent = Fraction(rule["bonusPercentPerDegree"]) * above
    elif above > Fraction(rule["freeMilliC"], 1000):
        percent = Fraction(rule["malusPercentPerDegree"]) * above
    lines = {
        "fixed": half_even(Fraction(rules["fixed"]["centsPerMonth"])),
        "energy": energy_cents,
        "volume": volume_cents,
        "returnTemp": half_even(energy_cents * percent / 100),
    }
    return {
        "month": f"{year}-{month:02d}",
        "energyWh": energy,
        "volumeL": volume,
        "flowTempMilliC": half_even(Fraction(flow * 1000, volume)),
        "returnTempMilliC": half_even(Fraction(back * 1000, volume)),
        "lines": lines,
        "totalCents": sum(lines.values()),
    }


def main() -> int:
    at = readings()
    tariff = json.loads(tariff_file.read_text())
    months = [(2018, month) for month in range(2, 13)] + [(2019, month) for month in range(1, 13)]
    bills = [bill(at, tariff, year, month) for year, month in months]
    if "--write" in sys.argv[1:]:
        golden_file.write_text(json.dumps(bills, indent=2) + "\n")
        return 0
    expected = json.loads(golden_file.read_text())
    for ours, theirs in zip(bills, expected):
        if ours != theirs:
            print(f"{ours['month']}: computed {ours}, golden {theirs}", file=sys.stderr)
    print(f"{len(bills)} bills, total {sum(each['totalCents'] for each in bills)} cents")
    return 0 if bills == expected else 1


if __name__ == "__main__":
    sys.exit(main())

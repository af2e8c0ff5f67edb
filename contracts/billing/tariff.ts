/**
 * Tariffs: data with versions, never edited. A change is a new version; a correction of an old one
 * too, with a `validFrom` that reaches back.
 *
 * | key | value |
 * |---|---|
 * | `billing/tariff/<tariff>/<version>` | `Tariff` |
 *
 * For a month the highest version counts whose `validFrom` is not later than the month. Versions
 * are dense from 1, so the latest is found by counting.
 */
import {
  type Checked,
  canonicalText,
  decimal,
  integer,
  list,
  month,
  object,
  oneOf,
  refuse,
  table,
  text,
} from "loopledger/contract";

/** Versions of one tariff at most: one a month for forty years. */
const versionsMax = 480;

/** An id of a tariff. No "/": it is a part of state keys. */
export const tariffId = text(64, /^[A-Za-z0-9][A-Za-z0-9._-]*$/);

/** A price for some months of the year; the seasons of a line name each month once. */
const season = object({ months: list(integer(1, 12), 1, 12), price: decimal });

/** Form of a tariff. Prices are exact decimals in cents. */
export const tariffForm = object({
  id: tariffId,
  version: integer(1, versionsMax),
  /** The kind of meters it is made for: a heat tariff would reward a cold meter's waste. */
  kind: oneOf("heat", "cold"),
  currency: oneOf("EUR"),
  /** First month it is valid for. */
  validFrom: month,
  lines: object({
    fixed: object({ centsPerMonth: decimal }),
    energy: object({ centsPerKwh: list(season, 1, 12) }),
    volume: object({ centsPerM3: list(season, 1, 12) }),
    /** Percent of the rounded energy line for each degree of the volume-weighted mean. */
    returnTemp: object({
      expectedMilliC: integer(0, 200_000),
      /** Taken off for each degree below the expected temperature. */
      bonusPercentPerDegree: decimal,
      /** So far above it nothing happens. */
      freeMilliC: integer(0, 200_000),
      /** Above that, charged for each degree over the expected temperature, the free ones too. */
      malusPercentPerDegree: decimal,
    }),
  }),
});

/** A version of a tariff. */
export type Tariff = Checked<typeof tariffForm>;

/** Prices by season. */
export type Seasons = Tariff["lines"]["energy"]["centsPerKwh"];

/** All versions of all tariffs. */
export const tariffs = table<Tariff>("tariff");

/** Key of a version inside its table. */
export function tariffKey(id: string, version: number): string {
  return `${id}/${version}`;
}

/** Publishes a version; answers false when the same was published already. */
export function publish(tariff: Tariff): boolean {
  requireSeasons(tariff);
  const key = tariffKey(tariff.id, tariff.version);
  const known = tariffs.get(key);
  if (known !== undefined) {
    if (canonicalText(known) === canonicalText(tariff)) return false;
    refuse("BILLING_TARIFF_CONFLICT", `${key} is published with other content; use a new version`);
  }
  const next = latestVersion(tariff.id) + 1;
  if (tariff.version !== next)
    refuse("BILLING_TARIFF_VERSION_GAP", `the next version of ${tariff.id} is ${next}`);
  tariffs.set(key, tariff);
  return true;
}

/** Returns the version of a tariff that counts for a month. */
export function tariffFor(id: string, forMonth: string): Tariff {
  const latest = latestVersion(id);
  if (latest === 0) refuse("BILLING_TARIFF_UNKNOWN", `tariff ${id} is not published`);
  for (let version = latest; version > 0; version -= 1) {
    const tariff = tariffs.get(tariffKey(id, version));
    if (tariff !== undefined && tariff.validFrom <= forMonth) return tariff;
  }
  return refuse("BILLING_TARIFF_NOT_VALID", `no version of ${id} is valid for ${forMonth}`);
}

function latestVersion(id: string): number {
  let version = 0;
  while (tariffs.has(tariffKey(id, version + 1))) version += 1;
  return version;
}

function requireSeasons({ lines }: Tariff): void {
  for (const seasons of [lines.energy.centsPerKwh, lines.volume.centsPerM3]) {
    const months = seasons.flatMap((each) => each.months);
    if (months.length !== 12 || new Set(months).size !== 12)
      refuse("BILLING_TARIFF_SEASONS", "the seasons of a line must name each month 1..12 once");
  }
}

/** Limits of an evidence bundle's form; what a bundle proves is tested in unit/base/proof. */
import { expect, it } from "vitest";
import {
  decodeEvidence,
  type EvidenceEntry,
  encodeEvidence,
} from "../../../../src/base/format/evidence.ts";
import { evidenceOf, makeChain } from "../../../helpers/evidence-chain.ts";

it("a bundle has room for every source of a bill under the last version of a tariff", () => {
  const bundle = evidenceOf(makeChain());
  const many = (role: string, prefix: string, count: number): EvidenceEntry[] =>
    Array.from({ length: count }, (_, index) => {
      return { role, key: `${prefix}/${index + 1}`, value: "1", transaction: 0 };
    });
  // As many as contracts/billing/tariff.ts and contracts/metering/layout.ts permit.
  const versions = many("earlierTariff", "billing/tariff/t", 479);
  const breaks = many("break", "metering/break/m1", 99);
  const entries = [...bundle.entries, ...versions, ...breaks];
  const text = encodeEvidence({ ...bundle, entries });
  expect(decodeEvidence(text).entries).toHaveLength(entries.length);
});

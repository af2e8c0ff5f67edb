/** Limits of an evidence bundle's form; what a bundle proves is tested in unit/base/proof. */
import { expect, it } from "vitest";
import { isLedgerError } from "../../../../src/base/errors.ts";
import {
  decodeEvidence,
  type EvidenceEntry,
  encodeEvidence,
} from "../../../../src/base/format/evidence.ts";
import { limits } from "../../../../src/base/limits.ts";
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

it("refuses a text that is too long, is no permitted JSON, or has not the form", () => {
  const refusal = (text: string) => {
    try {
      decodeEvidence(text);
    } catch (error) {
      if (isLedgerError(error, "EVIDENCE_INVALID")) return error.facts;
      throw error;
    }
    return undefined;
  };
  const tooLong = " ".repeat(limits.evidenceBytesMax + 1);
  expect(refusal(tooLong)?.reason).toBe(`longer than ${limits.evidenceBytesMax} bytes`);
  expect(refusal("{]")?.path).toBe("offset 1");
  expect(refusal('{"a":1,"a":2}')?.path).toMatch(/^offset \d+$/);
  const bundle = evidenceOf(makeChain());
  expect(refusal(encodeEvidence({ ...bundle, chainId: "ab" }))?.path).toBe("chainId");
  const entries = [{ ...bundle.entries[0], key: 7 }];
  expect(refusal(JSON.stringify({ ...bundle, entries }))?.path).toBe("entries.0.key");
});

/**
 * Evidence: what is right is accepted; spoilt in one place, the check of that place says so.
 *
 * Shown able to fail: without the check of the value hash, of the sender, of the owner of a key, of
 * the order, of the tariff's validity, and with a quorum of one less.
 */
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes } from "../../../../src/base/bytes.ts";
import { encodeHeader, type Header } from "../../../../src/base/format/block.ts";
import {
  type EvidenceBundle,
  type EvidenceTransaction,
  encodeEvidence,
} from "../../../../src/base/format/evidence.ts";
import type { JsonValue } from "../../../../src/base/format/json.ts";
import { encodeCertificate } from "../../../../src/base/format/message.ts";
import { type Checkpoint, verifyEvidence } from "../../../../src/base/proof/evidence.ts";
import { portableVerifier } from "../../../../src/base/verifier.ts";
import { nativeVerifier } from "../../../../src/node/native-crypto.ts";
import {
  billValue,
  type ChainBlock,
  certify,
  evidenceOf,
  genesis,
  makeBlock,
  makeChain,
  type Spoilt,
  signerOf,
  sources,
} from "../../../helpers/evidence-chain.ts";

const chain = makeChain();
const bundle = evidenceOf(chain);

function verify(text: string, checkpoint?: Checkpoint) {
  return verifyEvidence(text, { genesis, verifier: nativeVerifier, checkpoint });
}

/** Names of the failed checks. */
function failed(changed: EvidenceBundle, checkpoint?: Checkpoint): string[] {
  const { checks } = verify(encodeEvidence(changed), checkpoint);
  return checks.filter(({ ok }) => !ok).map(({ name }) => name);
}

function withTransaction(index: number, change: Partial<EvidenceTransaction>): EvidenceBundle {
  const transactions = bundle.transactions.map((transaction, place) =>
    place === index ? { ...transaction, ...change } : transaction,
  );
  return { ...bundle, transactions };
}

function withEntry(index: number, change: Partial<EvidenceBundle["entries"][number]>) {
  const entries = bundle.entries.map((entry, place) =>
    place === index ? { ...entry, ...change } : entry,
  );
  return { ...bundle, entries };
}

function flipped(hex: string, byte: number): string {
  const bytes = hexToBytes(hex);
  bytes[byte] = (bytes[byte] as number) ^ 1;
  return bytesToHex(bytes);
}

const transactionOf = (index: number) => bundle.transactions[index] as EvidenceTransaction;
const blockAt = (height: number) => chain[height - 1] as ChainBlock;

describe("good evidence", () => {
  it("is certified, with the bill as value and its limits said", () => {
    const verdict = verify(encodeEvidence(bundle));
    expect(verdict.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(verdict).toMatchObject({ ok: true, level: "certified", value: billValue });
    expect(verdict.limits.join()).toContain("checkpoint");
    expect(verdict.limits.join()).toContain("correction");
  });

  it("gets the same verdict from the portable verifier", () => {
    const portable = verifyEvidence(encodeEvidence(bundle), {
      genesis,
      verifier: portableVerifier,
    });
    expect(portable).toEqual(verify(encodeEvidence(bundle)));
  });

  it("of a single entry needs no bill", () => {
    const [, reading] = bundle.entries;
    if (reading === undefined) throw new Error("the bundle has a reading");
    const single: EvidenceBundle = {
      ...bundle,
      subject: { kind: "entry", key: reading.key },
      entries: [{ ...reading, transaction: 0 }],
      transactions: [transactionOf(reading.transaction)],
    };
    expect(verify(encodeEvidence(single))).toMatchObject({ ok: true, level: "certified" });
  });
});

describe("evidence with a checkpoint", () => {
  const last = makeBlock([], blockAt(3).block.header).block;
  const headers = [...chain.map(({ block }) => block), last].map(({ header }) =>
    bytesToHex(encodeHeader(header)),
  );
  const checkpoint = { height: 4, hash: last.hash };
  const linked = { ...bundle, headers };

  it("is anchored when headers link every block to it", () => {
    const verdict = verify(encodeEvidence(linked), checkpoint);
    expect(verdict).toMatchObject({ ok: true, level: "anchored" });
    expect(verdict.limits.join()).not.toContain("checkpoint");
    const atBill = { height: 3, hash: blockAt(3).block.hash };
    expect(verify(encodeEvidence(linked), atBill).level).toBe("anchored");
  });

  it("is certified only, and not ok, when the link is missing or broken", () => {
    const cases: [EvidenceBundle, Checkpoint][] = [
      [bundle, checkpoint],
      [{ ...bundle, headers: headers.slice(1) }, checkpoint],
      [{ ...bundle, headers: headers.toSpliced(2, 1) }, checkpoint],
      [{ ...bundle, headers: headers.toReversed() }, checkpoint],
      // Blocks after the checkpoint are not in its past.
      [linked, { height: 2, hash: blockAt(2).block.hash }],
      [linked, { height: 5, hash: last.hash }],
      [linked, { height: 9, hash: "ab".repeat(32) }],
    ];
    // Only the first block's parent may be known by hash alone: slice(1) still links block 1.
    const outcomes = cases.map(([evidence, trusted]) => {
      const { ok, level } = verify(encodeEvidence(evidence), trusted);
      return `${ok} ${level}`;
    });
    const broken = "false certified";
    expect(outcomes).toEqual([broken, "true anchored", broken, broken, broken, broken, broken]);
  });

  it("is not anchored by another block of the same height as a forged one", () => {
    const key = "metering/reading/m1/2019-06-01T00:00:00.000Z";
    const call = { signer: signerOf(101), contract: "metering", method: "report", args: {} };
    const forged = makeBlock([{ ...call, writes: { [key]: [1] } }], blockAt(2).block.header);
    const genuine = bundle.transactions.slice(4);
    for (const transaction of [0, genuine.length]) {
      const list = genuine.toSpliced(transaction, 0, ...evidenceOf([forged]).transactions);
      const evidence: EvidenceBundle = {
        ...linked,
        subject: { kind: "entry", key },
        entries: [{ role: "reading", key, value: "[1]", transaction }],
        transactions: list,
      };
      expect(verify(encodeEvidence(evidence)).level).toBe("certified");
      expect(verify(encodeEvidence(evidence), checkpoint).level).toBe("certified");
      const beside = { height: 3, hash: blockAt(3).block.hash };
      expect(failed(evidence, beside)).toContain("checkpoint.hash");
    }
  });

  it("is invalid when a block of it is not the checkpoint's", () => {
    const other = { height: 3, hash: "ab".repeat(32) };
    const verdict = verify(encodeEvidence(linked), other);
    expect(verdict).toMatchObject({ ok: false, level: "invalid" });
    expect(verdict.value).toBeUndefined();
    expect(failed(linked, other)).toContain("checkpoint.hash");
  });
});

describe("spoilt evidence", () => {
  it.each(["", "{}", "null", '{"a":1,"a":2}', "[".repeat(99), JSON.stringify({ ...bundle, x: 1 })])(
    "without the documented form is invalid (%#)",
    (text) => {
      const verdict = verify(text);
      expect(verdict).toMatchObject({ ok: false, level: "invalid" });
      expect(verdict.checks.map(({ name }) => name)).toEqual(["form"]);
    },
  );

  const bill = transactionOf(4);
  const outsider = signerOf(99);
  const foreign = makeBlock(
    [
      { signer: outsider, contract: "metering", method: "report", args: {}, writes: {} },
      { signer: signerOf(101), contract: "billing", method: "makeBill", args: {}, writes: {} },
      { signer: signerOf(101), contract: "billing", method: "constructor", args: {}, writes: {} },
    ],
    blockAt(3).block.header,
  );
  const foreignBundle = evidenceOf([...chain, foreign]);
  const certificate = (count: number, round?: number) =>
    bytesToHex(encodeCertificate(certify(blockAt(3).block, count, round)));
  const header = (change: Partial<Header>) =>
    bytesToHex(encodeHeader({ ...blockAt(3).block.header, ...change }));
  const headed = (change: Partial<Header>) => withTransaction(4, { header: header(change) });
  const otherChain = signerOf(5);

  const cases: [string, EvidenceBundle, string[]][] = [
    ["another chain id", { ...bundle, chainId: "ab".repeat(32) }, ["chain"]],
    [
      "another contract",
      { ...bundle, contracts: { ...bundle.contracts, billing: "ab".repeat(32) } },
      ["contracts"],
    ],
    ["an unnamed contract", { ...bundle, contracts: {} }, ["contracts"]],
    ["no subject", { ...bundle, subject: { kind: "bill", key: "billing/bill/x" } }, ["subject"]],
    [
      "an entry twice",
      { ...bundle, entries: [...bundle.entries, bundle.entries[0] as never] },
      ["subject"],
    ],
    [
      "a flipped signature",
      withTransaction(4, {
        transaction: flipped(bill.transaction, bill.transaction.length / 2 - 1),
      }),
      ["transactions.4.signature", "transactions.4.path"],
    ],
    [
      "a truncated transaction",
      withTransaction(4, { transaction: bill.transaction.slice(2) }),
      ["transactions.4.form", "entries.0"],
    ],
    ["another position", withTransaction(1, { index: 2 }), ["transactions.1.path"]],
    ["another size", withTransaction(4, { size: 2 }), ["transactions.4.path"]],
    ["an empty block size", withTransaction(4, { size: 0 }), ["transactions.4.path"]],
    [
      "another path",
      withTransaction(0, { transactionPath: transactionOf(1).transactionPath }),
      ["transactions.0.path"],
    ],
    [
      "another receipt path",
      withTransaction(0, { receiptPath: transactionOf(1).receiptPath }),
      ["transactions.0.path"],
    ],
    [
      "the receipt of a neighbour",
      withTransaction(0, {
        receipt: transactionOf(1).receipt,
        receiptPath: transactionOf(1).receiptPath,
      }),
      ["transactions.0.path", "transactions.0.receipt", "entries.5"],
    ],
    [
      "too few signatures",
      withTransaction(4, { certificate: certificate(2) }),
      ["transactions.4.certificate"],
    ],
    [
      "the certificate of another block",
      withTransaction(4, { certificate: transactionOf(3).certificate }),
      ["transactions.4.certificate"],
    ],
    ["another time in the header", headed({ timestampMs: 1 }), ["transactions.4.certificate"]],
    [
      "other validators in the header",
      headed({ validatorsHash: "ab".repeat(32) }),
      ["transactions.4.certificate"],
    ],
    [
      "the header of another chain",
      headed({ chainId: otherChain.publicKey }),
      ["transactions.4.certificate"],
    ],
    ["another value", withEntry(0, { value: '{"totalCents":1}' }), ["entries.0"]],
    [
      "a value with white space",
      withEntry(1, { value: ` ${bundle.entries[1]?.value}` }),
      ["entries.1"],
    ],
    [
      "another key",
      withEntry(1, { key: "metering/reading/m2/2019-12-01T00:00:00.000Z" }),
      ["entries.1"],
    ],
    ["a key of another contract", withEntry(1, { transaction: 4 }), ["entries.1"]],
    ["a transaction that did not write the key", withEntry(1, { transaction: 0 }), ["entries.1"]],
    ["no such transaction", withEntry(1, { transaction: 99 }), ["entries.1"]],
    [
      "senders without right",
      foreignBundle,
      ["transactions.5.sender", "transactions.6.sender", "transactions.7.sender"],
    ],
  ];

  it.each(cases)("with %s is invalid for that reason", (_, changed, expected) => {
    expect(failed(changed)).toEqual(expected);
    expect(verify(encodeEvidence(changed))).toMatchObject({ ok: false, level: "invalid" });
  });

  it("of a key that its contract did not write is invalid", () => {
    const key = "metering/reading/m1/2019-12-01T00:00:00.000Z";
    const spoilt: Spoilt = { billCall: { writes: { [key]: [1, 2, 3, 4] } } };
    const written = evidenceOf(makeChain(spoilt));
    const entry = { role: "startReading", key, value: "[1,2,3,4]", transaction: 4 };
    const subject = { kind: "entry", key } as const;
    expect(failed({ ...written, subject, entries: [entry] })).toEqual(["entries.0"]);
  });

  it("of a failed transaction proves nothing", () => {
    const spoilt: Spoilt = { billCall: { outcome: "BILLING_METER_UNKNOWN" } };
    expect(failed(evidenceOf(makeChain(spoilt)))).toEqual(["transactions.4.receipt"]);
  });
});

describe("a certified bill that is wrong", () => {
  const [startKey = "", endKey = "", breakKey = "", tariffKey = ""] = Object.keys(sources);
  const { readings } = billValue;
  const reading = (key: string, value: number[]) => ({ key, value });
  const bill = (change: Record<string, JsonValue>): Spoilt => ({ bill: change });
  const cases: [string, Spoilt, string[]][] = [
    ["no number of litres", bill({ volumeL: "1500" }), ["bill.form"]],
    ["another key in it", bill({ key: "billing/bill/x" }), ["bill.form"]],
    [
      "another meter",
      bill({ meter: "m2" }),
      ["bill.request", "bill.boundaries", "bill.consumption", "bill.tariff"],
    ],
    ["another month", bill({ month: "2019-11" }), ["bill.request", "bill.boundaries"]],
    [
      "a corrected bill without need",
      bill({ corrects: "billing/bill/m1/2019-12/0" }),
      ["bill.request"],
    ],
    [
      "another instant",
      bill({ readings: { ...readings, start: reading(endKey, readings.end.value) } }),
      ["bill.boundaries", "bill.consumption"],
    ],
    [
      "other registers than the ledger",
      bill({ readings: { ...readings, end: reading(endKey, [5_001, 1_000, 70_000, 43_333]) } }),
      ["bill.endReading", "bill.consumption"],
    ],
    ["more energy", bill({ energyWh: 3_001 }), ["bill.consumption"]],
    ["more volume", bill({ volumeL: 1_501 }), ["bill.consumption"]],
    ["another flow temperature", bill({ flowTempMilliC: 70_001 }), ["bill.consumption"]],
    ["another return temperature", bill({ returnTempMilliC: 42_223 }), ["bill.consumption"]],
    ["no break", bill({ breaks: [] }), ["bill.consumption"]],
    ["a break that is none", bill({ breaks: [tariffKey] }), ["bill.consumption"]],
    ["another total", bill({ totalCents: 2_579 }), ["bill.total"]],
    ["another time", bill({ madeAtMs: 1 }), ["bill.order"]],
    [
      "another tariff version",
      bill({ tariff: { ...billValue.tariff, version: 2 } }),
      ["bill.tariff"],
    ],
    [
      "an unproven tariff",
      bill({ tariff: { ...billValue.tariff, key: "billing/tariff/heat/2" } }),
      ["bill.tariff"],
    ],
    [
      "a tariff of another kind",
      { sources: { [tariffKey]: { ...sources["billing/tariff/heat/1"], kind: "cold" } } as never },
      ["bill.tariff"],
    ],
    [
      "a tariff not yet valid",
      {
        sources: {
          [tariffKey]: { ...sources["billing/tariff/heat/1"], validFrom: "2020-01" },
        } as never,
      },
      ["bill.tariff"],
    ],
    [
      "readings the gateway did not sign",
      { reportArgs: { readings: [["m1", 0, 1, 2, 3, 4]] } },
      ["bill.startReading", "bill.endReading"],
    ],
    [
      "a report of no form",
      { reportArgs: { readings: [["m1", 9e15]] } },
      ["bill.startReading", "bill.endReading"],
    ],
    [
      "a request for another meter",
      { billCall: { args: { meter: "m2", month: "2019-12" } } },
      ["bill.request"],
    ],
    [
      "its sources written afterwards",
      { billFirst: true, bill: { madeAtMs: billValue.madeAtMs - 1_000 } },
      ["bill.order"],
    ],
  ];

  it.each(cases)("with %s is found out", (_, spoilt, expected) => {
    expect(failed(evidenceOf(makeChain(spoilt), spoilt))).toEqual(expected);
  });

  it("with a source left out is found out", () => {
    for (const [key, check] of [
      [startKey, "bill.startReading"],
      [endKey, "bill.endReading"],
      [breakKey, "bill.consumption"],
      [tariffKey, "bill.tariff"],
      ["metering/meter/m1", "bill.tariff"],
    ]) {
      const entries = bundle.entries.filter((entry) => entry.key !== key);
      expect(failed({ ...bundle, entries })).toEqual([check]);
    }
  });
});

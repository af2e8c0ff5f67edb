/**
 * Evidence of bills whose sources are unusual: other transactions, roll-overs, roundings, one block
 * for a bill and its sources, and transactions that belong to something else.
 */
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes } from "../../../../src/base/bytes.ts";
import {
  type EvidenceBundle,
  type EvidenceTransaction,
  encodeEvidence,
} from "../../../../src/base/format/evidence.ts";
import type { JsonValue } from "../../../../src/base/format/json.ts";
import { decodeTransaction, signTransaction } from "../../../../src/base/format/transaction.ts";
import { verifyEvidence } from "../../../../src/base/proof/evidence.ts";
import { Checklist } from "../../../../src/base/proof/evidence-check.ts";
import { nativeVerifier } from "../../../../src/node/native-crypto.ts";
import {
  billValue,
  type Call,
  type ChainBlock,
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
const [startKey = "", endKey = "", breakKey = ""] = Object.keys(sources);
const operator = signerOf(100);

/** Failed checks with what they say. */
function problems(changed: EvidenceBundle): string[] {
  const { checks } = verifyEvidence(encodeEvidence(changed), {
    genesis,
    verifier: nativeVerifier,
  });
  return checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`);
}

const spoilt = (change: Spoilt) => problems(evidenceOf(makeChain(change), change));

/** The bundle with one more block beside the chain, whose transactions come last. */
function withBlock(block: ChainBlock, entries: (first: number) => EvidenceBundle["entries"]) {
  const transactions = [...bundle.transactions, ...evidenceOf([block]).transactions];
  return { ...bundle, transactions, entries: entries(bundle.transactions.length) };
}

describe("a bill's sources", () => {
  it("are of calls that make such values, and no others", () => {
    const billCall = { method: "publishTariff" };
    expect(spoilt({ billCall })).toEqual([
      "bill.request: a bill is not made by billing.publishTariff",
    ]);
    const writes = { [startKey]: billValue.readings.start.value };
    const call: Call = {
      signer: operator,
      contract: "metering",
      method: "registerMeter",
      args: {},
      writes,
    };
    const other = withBlock(makeBlock([call]), (first) =>
      bundle.entries.map((entry) =>
        entry.key === startKey ? { ...entry, transaction: first } : entry,
      ),
    );
    expect(problems(other)).toEqual([
      "bill.startReading: readings are not reported by metering.registerMeter",
    ]);
  });

  it("end with the month", () => {
    const { start, end } = billValue.readings;
    const early = { key: startKey, value: end.value };
    expect(spoilt({ bill: { readings: { start, end: early } } })).toContain(
      `bill.boundaries: the month ends at ${endKey}`,
    );
  });

  it("may be written in the bill's own block, before it and not after it", () => {
    const bill: Call = {
      signer: operator,
      contract: "billing",
      method: "makeBill",
      args: { meter: "m1", month: "2019-12", tariff: "heat" },
      writes: { [billValue.key]: billValue },
    };
    const meter = { "metering/meter/m1": sources["metering/meter/m1"] as JsonValue };
    const register: Call = {
      ...bill,
      contract: "metering",
      method: "registerMeter",
      args: {},
      writes: meter,
    };
    const parent = (chain[1] as ChainBlock).block.header;
    const inOrder = (calls: readonly Call[]) =>
      problems(
        withBlock(makeBlock(calls, parent), (first) =>
          bundle.entries.map((entry) => {
            const index = calls.findIndex(({ writes }) => Object.hasOwn(writes, entry.key));
            return index < 0 ? entry : { ...entry, transaction: first + index };
          }),
        ),
      );
    expect(inOrder([register, bill])).toEqual([]);
    expect(inOrder([bill, register])).toEqual([
      "bill.order: metering/meter/m1 was written after the bill",
    ]);
  });
});

describe("a bill's consumption", () => {
  const { start, end } = billValue.readings;
  /** A roll-over that makes the month's consumption these registers. */
  const rollOver = (consumed: readonly number[]): Spoilt => {
    const capacity = consumed.map(
      (value, index) => value - (end.value[index] as number) + (start.value[index] as number),
    );
    return { sources: { [breakKey]: { kind: "rollOver", capacity } } };
  };

  it("goes on across a roll-over", () => {
    expect(spoilt(rollOver([3_000, 1_500, 105_000, 63_333]))).toEqual([]);
    expect(spoilt(rollOver([3_001, 1_500, 105_000, 63_333]))).toEqual([
      "bill.consumption: the readings give 3001 Wh and 1500 L",
    ]);
  });

  it.each([
    ["to the even one at a half, downwards", 1, 62],
    ["to the even one at a half, upwards", 3, 188],
    ["not at all when it is whole", 2, 125],
  ])("has a mean temperature rounded %s", (_name, integral, milliC) => {
    const bill = { volumeL: 16, flowTempMilliC: milliC, returnTempMilliC: milliC };
    const change = rollOver([3_000, 16, integral, integral]);
    expect(spoilt({ ...change, bill })).toEqual([]);
    const [off] = spoilt({ ...change, bill: { ...bill, flowTempMilliC: milliC + 1 } });
    expect(off).toBe("bill.consumption: the readings give another mean flow temperature");
  });

  it("has a mean temperature rounded up above the half, and down below it", () => {
    const change = rollOver([3_000, 1_500, 105_000, 63_334]);
    expect(spoilt({ ...change, bill: { returnTempMilliC: 42_223 } })).toEqual([]);
    expect(spoilt({ ...change, bill: { returnTempMilliC: 42_222 } })).toEqual([
      "bill.consumption: the readings give another mean return temperature",
    ]);
    expect(spoilt(rollOver([3_000, 1_500, 105_000, 63_333]))).toEqual([]);
  });
});

describe("a transaction", () => {
  it("signed for another chain is told from one with a broken signature", () => {
    const { bytes: _bytes, ...body } = decodeTransaction(
      hexToBytes((bundle.transactions[4] as EvidenceTransaction).transaction),
    );
    const foreign = signTransaction({ ...body, chainId: "ab".repeat(32) }, operator);
    const transactions = bundle.transactions.map((transaction, index) =>
      index === 4 ? { ...transaction, transaction: bytesToHex(foreign.bytes) } : transaction,
    );
    expect(problems({ ...bundle, transactions })).toContain(
      "transactions.4.signature: it was signed for another chain",
    );
  });

  it("of a contract that is not in the genesis may be sent by nobody", () => {
    const call = { signer: operator, contract: "weather", method: "report", args: {}, writes: {} };
    expect(problems(withBlock(makeBlock([call]), () => bundle.entries))).toEqual([
      "transactions.5.sender: no method weather.report",
    ]);
  });
});

it("a fault of the verifier itself is no verdict", () => {
  const list = new Checklist();
  const faulty = () => {
    throw new TypeError("a bug");
  };
  expect(() => list.check("name", "detail", faulty)).toThrow(TypeError);
  expect(list.checks).toEqual([]);
});

/**
 * Properties of the codec and of all formats on it: one encoding per value, and nothing but a
 * `LedgerError` for any bytes. msgpackr is the oracle for what the bytes mean.
 *
 * Shown able to fail: without the least values of `#count`, without the check for bytes after the
 * end, and without `fatal` UTF-8.
 */
import fc from "fast-check";
import { Unpackr } from "msgpackr";
import { describe, expect, it } from "vitest";
import { bytesToHex, equalBytes } from "../../src/base/bytes.ts";
import { isLedgerError } from "../../src/base/errors.ts";
import {
  decodeBlock,
  decodeHeader,
  encodeBlock,
  encodeHeader,
} from "../../src/base/format/block.ts";
import { decode, encode, type Value } from "../../src/base/format/codec.ts";
import {
  decodeCertificate,
  decodeMessage,
  encodeCertificate,
  encodeMessage,
} from "../../src/base/format/message.ts";
import { decodeReceipt, encodeReceipt } from "../../src/base/format/receipt.ts";
import { decodeTransaction } from "../../src/base/format/transaction.ts";
import { limits } from "../../src/base/limits.ts";
import golden from "../golden/formats.json" with { type: "json" };
import { seedOf, withSeed } from "../helpers/seed.ts";

const parameters = { seed: seedOf(20_190_101), numRuns: 2_000 };

const edges = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1];
const leaf: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom<Value>(null, true, false),
  fc.constantFrom(...edges),
  fc.nat(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.string({ unit: "binary", maxLength: 40 }).filter((text) => text.isWellFormed()),
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom("x".repeat(255), "x".repeat(256), new Uint8Array(256)),
);
const value = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: limits.tupleDepthMax },
    leaf,
    fc.array(tie("value"), { maxLength: 18 }),
  ),
})).value;

/** A change of some bytes: replaced, taken out, put in, or cut off. */
const change = fc.record({
  kind: fc.constantFrom("replace", "delete", "insert", "cut"),
  at: fc.nat(),
  byte: fc.oneof(
    fc.nat(255),
    fc.constantFrom(0x00, 0x90, 0xa0, 0xc0, 0xc4, 0xcc, 0xcf, 0xd9, 0xdd, 0xff),
  ),
});

function changed(
  bytes: Uint8Array,
  changes: readonly { kind: string; at: number; byte: number }[],
) {
  let list = [...bytes];
  for (const { kind, at, byte } of changes) {
    const place = at % (list.length + 1);
    if (kind === "cut") list = list.slice(0, place);
    else if (kind === "insert") list.splice(place, 0, byte);
    else list.splice(place, 1, ...(kind === "replace" ? [byte] : []));
  }
  return Uint8Array.from(list);
}

/** Decodes and encodes again; undefined when the bytes are refused with an expected code. */
function reencoded(recode: (bytes: Uint8Array) => Uint8Array, bytes: Uint8Array) {
  try {
    return recode(bytes);
  } catch (error) {
    const codes = ["CODEC_INVALID", "JSON_INVALID", "TRANSACTION_TOO_LARGE", "BLOCK_TOO_LARGE"];
    if (isLedgerError(error) && codes.includes(error.code)) return undefined;
    throw error;
  }
}

const recodeValue = (bytes: Uint8Array) => encode(decode(bytes, "test"));
const hexBytes = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));

/** Every format with its golden bytes. */
const formats: readonly [string, (bytes: Uint8Array) => Uint8Array, readonly string[]][] = [
  ["value", recodeValue, golden.codec.map(({ bytes }) => bytes)],
  ["transaction", (bytes) => decodeTransaction(bytes).bytes, [golden.transaction.bytes]],
  ["receipt", (bytes) => encodeReceipt(decodeReceipt(bytes)), [golden.receipt.bytes]],
  ["header", (bytes) => encodeHeader(decodeHeader(bytes)), [golden.block.headerBytes]],
  ["block", (bytes) => encodeBlock(decodeBlock(bytes)), [golden.block.bytes]],
  [
    "message",
    (bytes) => encodeMessage(decodeMessage(bytes)),
    golden.messages.map(({ wire }) => wire),
  ],
  [
    "certificate",
    (bytes) => encodeCertificate(decodeCertificate(bytes)),
    [golden.certificate.bytes],
  ],
];

describe("the codec", () => {
  it("gives back every value, from bytes that msgpackr reads the same", () => {
    const oracle = new Unpackr({ int64AsType: "bigint", useRecords: false, mapsAsObjects: false });
    fc.assert(
      fc.property(value, (item) => {
        const bytes = encode(item);
        expect(decode(bytes, "test")).toEqual(item);
        expect(normal(oracle.unpack(bytes))).toEqual(normal(item));
      }),
      { ...parameters, numRuns: 500 },
    );
  });

  it("does not share memory with the bytes it decodes", () => {
    const bytes = Buffer.from([0xc4, 1, 7]);
    const decoded = decode(bytes, "test");
    bytes[2] = 8;
    expect(decoded).toEqual(new Uint8Array([7]));
  });

  it("refuses what is not in the subset, not shortest, too deep, too long or incomplete", () => {
    const texts = [
      "",
      "c1",
      "80",
      "81a16100",
      "c7",
      "d4",
      "ca00000000",
      "cb3ff0000000000000",
      "d0ff",
      "e0",
      "ff",
      "cc7f",
      "cd00ff",
      "ce0000ffff",
      "cf00000000ffffffff",
      "d91f",
      "da00ff",
      "db0000ffff",
      "c500ff",
      "c60000ffff",
      "dc000f",
      "dd0000ffff",
      "a1",
      "a1ff",
      "a3eda080",
      "a2c080",
      "c401",
      "91",
      "0000",
      "c000",
      "ddffffffff",
      "dbffffffff",
      "c6ffffffff",
      `${"91".repeat(9)}00`,
      "91".repeat(100_000),
      `dd00011171${"00".repeat(70_001)}`,
    ];
    for (const hex of texts)
      expect(reencoded(recodeValue, hexBytes(hex)), hex.slice(0, 40)).toBeUndefined();
    expect(reencoded(recodeValue, hexBytes(`${"91".repeat(8)}00`))).toBeDefined();
  });

  it("makes no more values of one input than its limit, however they nest", () => {
    // An empty tuple is one byte, but tens of bytes in memory: 12 MiB of them would take 500.
    const inner = 66_665;
    const rest = limits.tupleValuesMax - 1 - 15 * (1 + inner);
    const bytesWith = (nilCount: number) => {
      const nils = Array.from({ length: nilCount }, () => null);
      return encode([...Array.from({ length: 15 }, () => Array<Value>(inner).fill([])), ...nils]);
    };
    expect(reencoded(recodeValue, bytesWith(rest))).toBeDefined();
    expect(reencoded(recodeValue, bytesWith(rest + 1))).toBeUndefined();
  });

  it("refuses to encode what has no encoding", () => {
    for (const item of [-1, -0, 1.5, 2 ** 53, Number.NaN, 2n ** 64n, -1n, "\ud800"])
      expect(() => encode(item)).toThrow("broken invariant");
  });
});

describe.each(formats)("decoding a %s", (_, recode, samples) => {
  it("accepts changed bytes only if they are the encoding of what they give", () => {
    let accepted = 0;
    const mutation = fc.tuple(fc.constantFrom(...samples), fc.array(change, { maxLength: 3 }));
    fc.assert(
      fc.property(mutation, ([sample, changes]) => {
        const bytes = changed(hexBytes(sample), changes);
        const again = reencoded(recode, bytes);
        if (again === undefined) return;
        accepted += 1;
        expect(bytesToHex(again)).toBe(bytesToHex(bytes));
      }),
      { ...parameters, numRuns: 1_500 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

it("decoding 100,000 random byte strings gives values or LedgerErrors, and never two encodings", () => {
  let accepted = 0;
  const { stackTraceLimit } = Error;
  // Nearly all of the time would go into stack traces of refusals.
  Error.stackTraceLimit = 0;
  withSeed(seedOf(7), (seed) => {
    const random = generator(seed);
    for (let run = 0; run < 100_000; run += 1) {
      const bytes = randomBytes(random);
      const again = reencoded(recodeValue, bytes);
      if (again !== undefined) {
        accepted += 1;
        if (!equalBytes(again, bytes)) expect(bytesToHex(again)).toBe(bytesToHex(bytes));
      }
      const [, recode] = formats[run % formats.length] as (typeof formats)[number];
      reencoded(recode, bytes);
    }
  });
  Error.stackTraceLimit = stackTraceLimit;
  expect(accepted).toBeGreaterThan(1_000);
});

/** msgpackr gives Buffers, and bigints or numbers by size; both sides are brought to one form. */
function normal(item: unknown): unknown {
  if (item instanceof Uint8Array) return { bytes: bytesToHex(item) };
  if (typeof item === "bigint" || typeof item === "number") return BigInt(item);
  return Array.isArray(item) ? item.map(normal) : item;
}

/** A linear congruential generator: 0..2^32-1. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
}

/** Short strings with many type bytes, so that some get far. */
function randomBytes(random: () => number): Uint8Array {
  const kinds = [
    0x90, 0x91, 0x92, 0x95, 0xa1, 0xc0, 0xc4, 0xc5, 0xcc, 0xcd, 0xcf, 0xd9, 0xdc, 0xdd,
  ];
  return Uint8Array.from({ length: (random() >>> 8) % 12 }, () => {
    const word = random() >>> 8;
    return word % 3 === 0 ? (kinds[(word >>> 3) % kinds.length] as number) : (word >>> 3) & 0xff;
  });
}

/** The signing record survives the disk, in one encoding, and damage is noticed. */
import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../../src/base/bytes.ts";
import { isLedgerError } from "../../../src/base/errors.ts";
import { encodeBlock } from "../../../src/base/format/block.ts";
import { decode, encode, type Value } from "../../../src/base/format/codec.ts";
import { encodeMessage } from "../../../src/base/format/message.ts";
import {
  decodeSigningRecord,
  encodeSigningRecord,
  type SigningRecord,
  sameClaim,
  signingLimit,
} from "../../../src/base/format/signing-record.ts";
import { claimOnly } from "../../sim/fake-keys.ts";
import { blockBy, preparedBy, roundChangeOf, voteOf } from "../../sim/probe.ts";

const x = blockBy(0, "x");
const y = blockBy(1, "y");
const prepared = preparedBy([0, 1, 2], 1, x);
const at = { height: 1, round: 2 };
const claims = {
  roundChange: { kind: "roundChange", ...at, prepared: { round: 1, blockHash: x.hash } },
  proposal: { kind: "proposal", ...at, blockHash: x.hash },
  prepare: { kind: "prepare", ...at, blockHash: x.hash },
  commit: { kind: "commit", ...at, blockHash: x.hash },
} as const;
const roundChanges = [roundChangeOf(0, 2, prepared), roundChangeOf(1, 2)].map(claimOnly);

const records: [string, SigningRecord][] = [
  ["a lone prepare", { ...at, claims: [claims.prepare], proposal: undefined, prepared: undefined }],
  [
    "a first round change",
    {
      ...at,
      claims: [{ kind: "roundChange", ...at, prepared: undefined }],
      proposal: undefined,
      prepared: undefined,
    },
  ],
  ["a round change", { ...at, claims: [claims.roundChange], proposal: undefined, prepared }],
  [
    "a proposer's whole round, with one block",
    {
      ...at,
      claims: Object.values(claims),
      proposal: { block: x, roundChanges, prepares: prepared.prepares },
      prepared: { ...prepared, round: 2 },
    },
  ],
  [
    "a proposal of another block than the prepared one",
    {
      ...at,
      claims: [claims.roundChange, { ...claims.proposal, blockHash: y.hash }],
      proposal: { block: y, roundChanges, prepares: [] },
      prepared,
    },
  ],
  ["a limit", signingLimit(7)],
];

describe("signing record", () => {
  it.each(records)("comes back from its bytes: %s", (_name, record) => {
    const bytes = encodeSigningRecord(record);
    expect(decodeSigningRecord(bytes)).toEqual(record);
    expect(encodeSigningRecord(decodeSigningRecord(bytes))).toEqual(bytes);
  });

  it("has the documented bytes", () => {
    const [first] = records[0] ? [records[0][1]] : [];
    const hash = "c420".concat(x.hash);
    expect(bytesToHex(encodeSigningRecord(first as SigningRecord))).toBe(
      `970001029193${"02"}${hash}c090c0c0`,
    );
  });

  it("stores a block once, however often it is named", () => {
    const [, whole] = records[3] as [string, SigningRecord];
    const fields = decode(encodeSigningRecord(whole), "test") as readonly Value[];
    expect((fields[4] as readonly Value[]).length).toBe(1);
  });

  it("refuses damage with its code: any shortened or flipped record", () => {
    const bytes = encodeSigningRecord((records[3] as [string, SigningRecord])[1]);
    for (let index = 0; index < bytes.length; index += 7) {
      const flipped = bytes.slice();
      flipped[index] = (flipped[index] as number) ^ 0x81;
      for (const damaged of [flipped, bytes.slice(0, index)]) {
        try {
          // A flip inside a signature is well formed; the file's checksum is the shell's.
          decodeSigningRecord(damaged);
        } catch (error) {
          expect(isLedgerError(error, "CODEC_INVALID")).toBe(true);
        }
      }
    }
  });

  const valid = () => decode(encodeSigningRecord((records[3] as [string, SigningRecord])[1]), "t");
  const edited = (index: number, value: Value) =>
    encode((valid() as Value[]).map((field, at) => (at === index ? value : field)));
  const claimTuples = () => (valid() as Value[])[3] as Value[];
  const preparedTuple = () => (valid() as Value[])[6] as Value[];
  const commitOfX = voteOf("commit", 0, { round: 2, block: x });
  const prepareOfX = voteOf("prepare", 0, { round: 2, block: x });
  const bare = roundChangeOf(1, 2);
  const reporting = roundChangeOf(0, 2, prepared);

  it.each([
    ["another version", () => edited(0, 1)],
    ["no claim in a later round", () => edited(3, [])],
    ["a limit with a proposal", () => encode([0, 1, 0, [], [encodeBlock(x)], [0, [], []], null])],
    ["a limit that is prepared", () => encode([0, 1, 0, [], [encodeBlock(x)], null, [9, 0, []]])],
    ["claims out of order", () => edited(3, claimTuples().toReversed())],
    ["a proposal claim without the proposal", () => edited(5, null)],
    ["a proposal without its claim", () => edited(3, claimTuples().slice(2))],
    ["a commit without the prepared block", () => edited(6, null)],
    ["a block that is not there", () => edited(4, [])],
    ["a block nobody names", () => edited(4, [encodeBlock(x), encodeBlock(y)])],
    ["a block that is no bytes", () => edited(4, ["x"])],
    ["a commit for a prepare", () => edited(6, [2, 0, [encodeMessage(commitOfX)]])],
    ["a round change for a prepare", () => edited(6, [2, 0, [encodeMessage(bare)]])],
    ["a prepare for a round change", () => edited(5, [0, [encodeMessage(prepareOfX)], []])],
    ["a round change with its block", () => edited(5, [0, [encodeMessage(reporting)], []])],
    [
      "a round change with its block alone",
      () => edited(5, [0, [encodeMessage({ ...reporting, prepares: [] })], []]),
    ],
    [
      "a round change with prepares alone",
      () => edited(5, [0, [encodeMessage({ ...reporting, preparedBlock: undefined })], []]),
    ],
    ["a round prepared and not committed", () => edited(3, claimTuples().slice(0, 3))],
    [
      "a commit of a round that was not prepared",
      () => edited(6, [1, 0, preparedTuple()[2] ?? []]),
    ],
    ["an unknown kind of claim", () => edited(3, [[4, new Uint8Array(32), null]])],
    ["half a prepared claim", () => edited(3, [[0, new Uint8Array(32), null]])],
    ["a vote with a prepared round", () => edited(3, [[2, new Uint8Array(32), 1]])],
  ])("refuses %s", (_name, bytes) => {
    expect(() => decodeSigningRecord(bytes())).toThrow(/CODEC_INVALID/);
  });

  it("knows equal claims from conflicting ones", () => {
    expect(sameClaim(claims.prepare, { ...claims.prepare })).toBe(true);
    expect(sameClaim(claims.prepare, { ...claims.prepare, blockHash: y.hash })).toBe(false);
    expect(sameClaim(claims.prepare, claims.commit)).toBe(false);
    expect(sameClaim(claims.prepare, { ...claims.prepare, round: 3 })).toBe(false);
    expect(sameClaim(claims.roundChange, { ...claims.roundChange, prepared: undefined })).toBe(
      false,
    );
  });
});

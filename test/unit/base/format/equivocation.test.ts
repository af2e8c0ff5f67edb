/** What convicts a validator, and what must not. */
import { describe, expect, it } from "vitest";
import {
  claimOf,
  contradict,
  type Equivocation,
  EquivocationReport,
  encodeEquivocation,
  equivocationOf,
  verifyEquivocation,
} from "../../../../src/base/format/equivocation.ts";
import { parseJson } from "../../../../src/base/format/json.ts";
import type { Claim } from "../../../../src/base/format/message.ts";
import { fakeVerifier, keyOf, signedBy, simChainId } from "../../../sim/fake-keys.ts";
import { blockBy, preparedBy, proposalOf, roundChangeOf } from "../../../sim/probe.ts";

const context = { chainId: simChainId, verifier: fakeVerifier };
const [x, y] = ["aa", "bb"].map((text) => text.repeat(32)) as [string, string];

const read = (text: string) => equivocationOf(EquivocationReport.parse(parseJson(text)));
const vote = (blockHash: string, at: Partial<Claim> = {}): Claim =>
  ({ kind: "prepare", height: 5, round: 2, blockHash, ...at }) as Claim;
const pairOf = (first: Claim, second: Claim): Equivocation => [
  signedBy(keyOf(1), first),
  signedBy(keyOf(1), second),
];
const change = (preparedRound: number | undefined): Claim => ({
  kind: "roundChange",
  height: 5,
  round: 2,
  prepared: preparedRound === undefined ? undefined : { round: preparedRound, blockHash: x },
});

describe("a pair of two claims for one place", () => {
  it.each([
    ["votes for two blocks", pairOf(vote(x), vote(y))],
    ["commits for two blocks", pairOf(vote(x, { kind: "commit" }), vote(y, { kind: "commit" }))],
    ["two proposals", pairOf(vote(x, { kind: "proposal" }), vote(y, { kind: "proposal" }))],
    ["two round changes", pairOf(change(1), change(undefined))],
    ["round changes of two prepared rounds", pairOf(change(1), change(0))],
  ])("convicts: %s; and its text is one and comes back", (_name, pair) => {
    verifyEquivocation(pair, context);
    const text = encodeEquivocation(pair, simChainId);
    expect(encodeEquivocation([pair[1], pair[0]], simChainId)).toBe(text);
    const decoded = read(text);
    verifyEquivocation(decoded, context);
    expect(encodeEquivocation(decoded, simChainId)).toBe(text);
  });

  it.each([
    ["the same claim twice", pairOf(vote(x), vote(x))],
    ["another round", pairOf(vote(x), vote(y, { round: 3 }))],
    ["another height", pairOf(vote(x), vote(y, { height: 6 }))],
    ["another kind", pairOf(vote(x), vote(y, { kind: "commit" }))],
    ["another validator", [signedBy(keyOf(1), vote(x)), signedBy(keyOf(2), vote(y))]],
  ] as [string, Equivocation][])("does not convict: %s", (_name, pair) => {
    expect(contradict(...pair)).toBe(false);
    expect(() => verifyEquivocation(pair, context)).toThrow("EQUIVOCATION_INVALID");
  });

  it("does not convict by signatures of another chain, or of another key", () => {
    const foreign = signedBy(keyOf(1), vote(y), "ee".repeat(32));
    const own = signedBy(keyOf(1), vote(x));
    expect(() => verifyEquivocation([own, foreign], context)).toThrow("does not hold");
    const stolen = { ...signedBy(keyOf(2), vote(y)), validator: keyOf(1) };
    expect(() => verifyEquivocation([stolen, own], context)).toThrow("does not hold");
  });

  it("is taken out of whole messages", () => {
    const block = blockBy(0, "x");
    const pair = [proposalOf(1, 2, block), proposalOf(1, 2, blockBy(0, "y"))] as const;
    const claims: Equivocation = [claimOf(pair[0]), claimOf(pair[1])];
    expect(claims[0]).not.toHaveProperty("block");
    verifyEquivocation(claims, context);
    const changed = claimOf(roundChangeOf(1, 2, preparedBy([0, 1, 2], 1, block)));
    expect(changed).not.toHaveProperty("preparedBlock");
    verifyEquivocation([changed, claimOf(roundChangeOf(1, 2))], context);
  });
});

describe("untrusted arguments", () => {
  const text = encodeEquivocation(pairOf(vote(x), vote(y)), simChainId);
  it.each([
    ["one claim only", text.replace(/\[(\{[^}]*\}),.*?\]/, "[$1]")],
    ["another kind of claim", text.replace("prepare", "roundChange")],
    ["a short signature", text.replace(/"signature":"../, '"signature":"')],
    ["an unknown field", text.replace("{", '{"more":1,')],
    ["a negative round", text.replace('"round":2', '"round":-2')],
    ["no object", "7"],
  ])("are refused: %s", (_name, changed) => {
    expect(changed).not.toBe(text);
    expect(() => read(changed)).toThrow();
  });

  it("are refused: a key that is none", () => {
    const changed = text.replace(/did:key:z6Mk/, "did:key:z7Mk");
    expect(() => read(changed)).toThrow("KEY_INVALID");
  });
});

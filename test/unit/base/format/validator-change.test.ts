/** Changes of the validator set: one text a change, so that approvals of one change add up. */
import { describe, expect, it } from "vitest";
import { changeId, ValidatorChange } from "../../../../src/base/format/validator-change.ts";
import { genesis } from "../../../helpers/evidence-chain.ts";

const [candidate] = genesis.members;
if (candidate === undefined) throw new Error("the genesis has members");
const isForm = (change: unknown) => ValidatorChange.safeParse(change).success;

describe("a change", () => {
  it.each([
    ["of a candidate", { kind: "admit", candidate }],
    ["that adds one", { kind: "add", ids: ["a"] }],
    ["that adds two", { kind: "add", ids: ["a", "b"] }],
    ["that removes one", { kind: "remove", ids: ["b"] }],
    ["that takes a candidate back", { kind: "withdraw", id: "a" }],
  ])("%s has the form", (_name, change) => {
    expect(isForm(change)).toBe(true);
  });

  it.each([
    ["nobody", { kind: "add", ids: [] }],
    ["three at once", { kind: "add", ids: ["a", "b", "c"] }],
    ["ids out of order", { kind: "add", ids: ["b", "a"] }],
    ["one id twice", { kind: "remove", ids: ["a", "a"] }],
    ["a name that is none", { kind: "withdraw", id: "A b" }],
    ["a field more", { kind: "withdraw", id: "a", reason: "" }],
    ["another kind", { kind: "promote", id: "a" }],
  ])("of %s has not", (_name, change) => {
    expect(isForm(change)).toBe(false);
  });

  it("is known by its content, whatever the order of its fields", () => {
    const id = changeId({ kind: "add", ids: ["a", "b"] });
    expect(changeId({ ids: ["a", "b"], kind: "add" })).toBe(id);
    const others: ValidatorChange[] = [
      { kind: "remove", ids: ["a", "b"] },
      { kind: "add", ids: ["a"] },
      { kind: "withdraw", id: "a" },
      { kind: "admit", candidate },
    ];
    expect(new Set([id, ...others.map(changeId)]).size).toBe(5);
  });
});

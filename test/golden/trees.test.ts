/**
 * Golden bytes of both kinds of tree: roots and proofs must never change by accident, and a reader
 * in another language must find the same from the specification alone.
 *
 * `BLESS=1` rewrites the files; a change of them is a change of format (UPGRADING.md).
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bytesToHex, compareUtf8, utf8 } from "../../src/base/bytes.ts";
import { valueHashOf } from "../../src/base/hash.ts";
import { merklePath, merkleRoot } from "../../src/base/proof/merkle.ts";
import { stateRootOf } from "../../src/base/proof/state-proof.ts";
import { StateTree } from "../../src/ledger/state-tree.ts";
import { requiresPython } from "../helpers/requires.ts";

function pathOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

function expectGolden(name: string, value: object): void {
  const text = `${JSON.stringify(value, undefined, 1)}\n`;
  if (process.env.BLESS === "1") writeFileSync(pathOf(name), text);
  expect(JSON.parse(text)).toEqual(JSON.parse(readFileSync(pathOf(name), "utf8")));
}

function merkleCase(size: number) {
  const leaves = Array.from({ length: size }, (_, index) => utf8(`leaf ${index}`));
  return {
    name: `${size} leaves`,
    leaves: leaves.map(bytesToHex),
    root: merkleRoot(leaves),
    paths: leaves.map((_, index) => merklePath(leaves, index)),
  };
}

function stateCase(name: string, state: Record<string, string>, absent: string[]) {
  const entries = Object.entries(state).sort(([one], [other]) => compareUtf8(one, other));
  const tree = StateTree.fromSorted(entries.map(([key, value]) => [key, valueHashOf(value)]));
  const queries = [
    { from: "" },
    { from: "", to: "metering/reading/m2" },
    { from: "metering/reading/m1/", to: "metering/reading/m10" },
    { from: "metering/", to: "metering0", limit: 2 },
    { from: "z" },
  ];
  return {
    name,
    entries,
    root: stateRootOf(entries),
    inclusion: entries.map(([key]) => ({ key, ...tree.proveInclusion(key) })),
    absence: absent.map((key) => ({ key, ...tree.proveAbsence(key) })),
    ranges: queries.map((query) => tree.proveRange(query)),
  };
}

const few = { "system/parameter/blockGasMax": "1500000000" };
const many = {
  ...few,
  "metering/meter/m1": '{"gateway":"g1","kind":"heat"}',
  "metering/meter/m10": '{"gateway":"g2","kind":"heat"}',
  "metering/reading/m1/2018-01-02T00": '{"energyWh":0}',
  "metering/reading/m1/2018-01-02T01": '{"energyWh":812}',
  "metering/reading/m10/2018-01-02T00": '{"energyWh":5}',
  "billing/bill/m1/2018-02": '{"totalCents":25323}',
  "billing/note/été": '"é"',
  "billing/note/\uffff": '"last of the basic plane"',
  "billing/note/😀": '"beyond it"',
};

describe("golden trees", () => {
  it("merkle.json: roots and paths of small lists", () => {
    const sizes = [0, 1, 2, 3, 4, 5, 7, 8, 9, 13];
    expectGolden("merkle.json", { cases: sizes.map(merkleCase) });
  });

  it("state-tree.json: roots and proofs of small states", () => {
    const cases = [
      stateCase("empty", {}, ["a"]),
      stateCase("one key", few, ["a", "system/parameter/blockGas", "z"]),
      stateCase("many keys", many, ["metering/meter/m", "metering/meter/m11", "z", "\0"]),
    ];
    expectGolden("state-tree.json", { cases });
  });

  it.skipIf(!requiresPython("golden trees in Python"))("agree with the checker in Python", () => {
    const output = execFileSync("python3", [pathOf("check_trees.py")], { encoding: "utf8" });
    expect(output).toMatch(/^[1-9]\d+ values agree\n$/);
  });
});

/**
 * Claims about the contract SDK, in plain Node. Its use in the sandbox is covered by the tests of
 * the standard contracts, which run in both.
 */
import { describe, expect, it } from "vitest";
import { instantOf, instantText, monthBounds } from "../../../src/contracts/sdk/calendar.ts";
import {
  type Check,
  decimal,
  did,
  instant,
  integer,
  list,
  month,
  object,
  oneOf,
  optional,
  text,
  tuple,
} from "../../../src/contracts/sdk/check.ts";
import { contract, entryOf, event, method, view } from "../../../src/contracts/sdk/contract.ts";
import { currentHost } from "../../../src/contracts/sdk/host.ts";
import { canonicalText, jsonText } from "../../../src/contracts/sdk/json.ts";
import { refuse } from "../../../src/contracts/sdk/refusal.ts";
import { foreignTable, table } from "../../../src/contracts/sdk/table.ts";
import { ContractBench } from "../../../src/contracts/sdk/testing.ts";

describe("checks", () => {
  const order = object({
    name: text(5, /^[a-z]+$/),
    kind: oneOf("a", "b"),
    rows: list(tuple(text(3), integer(0, 9)), 1, 2),
    note: optional(text(3)),
  });
  const good = { name: "abc", kind: "a", rows: [["x", 1]] };

  it.each<[string, unknown, string | undefined]>([
    ["the form", good, undefined],
    ["an optional field", { ...good, note: "hi" }, undefined],
    ["an unknown field", { ...good, nope: 1 }, ".nope: unknown field"],
    [
      "a field named like a method of objects",
      { ...good, toString: 1 },
      ".toString: unknown field",
    ],
    ["a missing field", { kind: "a", rows: [["x", 1]] }, ".name: missing"],
    ["a wrong optional field", { ...good, note: "long" }, ".note: expected a text of 1 to 3"],
    [
      "a wrong place deep inside",
      { ...good, rows: [["x", 10]] },
      ".rows[0][1]: expected an integer",
    ],
    ["an empty list", { ...good, rows: [] }, ".rows: expected a list of 1 to 2 items"],
    ["a short tuple", { ...good, rows: [["x"]] }, ".rows[0]: expected a list of exactly 2 items"],
    ["another option", { ...good, kind: "c" }, ".kind: expected one of a, b"],
    ["a text out of pattern", { ...good, name: "ABC" }, ".name: expected a text"],
    ["a list for an object", [], ": expected an object"],
    ["null", null, ": expected an object"],
  ])("say what is wrong with %s", (_, value, problem) => {
    if (problem === undefined) expect(order(value)).toBeUndefined();
    else expect(order(value)).toContain(problem);
  });

  it.each<[string, Check<unknown>, unknown[], unknown[]]>([
    ["integer", integer(), [0, -1, 2 ** 53 - 1], [0.5, Number.NaN, 2 ** 53, Infinity, "1", 1n]],
    ["month", month, ["1970-01", "2019-12"], ["2019-13", "2019-1", "1969-12", "0050-01", 201_901]],
    ["instant", instant, [0, 253_402_300_799_999], [-1, 253_402_300_800_000, 0.5]],
    ["decimal", decimal, ["0", "8.50", "-0.125", "35"], ["", ".5", "5.", "01", "1e3", "+1", 8.5]],
    [
      "did",
      did,
      [`did:key:z6Mk${"a".repeat(44)}`],
      ["did:key:z6Mk", `did:key:z6Mk${"0".repeat(44)}`],
    ],
  ])("draw the line of %s", (_, check, accepted, refused) => {
    for (const value of accepted) expect(check(value), String(value)).toBeUndefined();
    for (const value of refused) expect(check(value), String(value)).toBeTypeOf("string");
  });
});

describe("calendar", () => {
  it("gives instants as text that sorts, and reads nothing else back", () => {
    expect(instantText(0)).toBe("1970-01-01T00:00:00.000Z");
    expect(instantText(1_546_300_800_001)).toBe("2019-01-01T00:00:00.001Z");
    expect(instantOf("2019-01-01T00:00:00.001Z")).toBe(1_546_300_800_001);
    for (const bad of ["2019-01-01", "2019-01-01T00:00:00Z", "2019-02-30T00:00:00.000Z", "x", ""])
      expect(() => instantOf(bad), bad).toThrow("not an instant");
  });

  it.each([
    ["2019-01", "2019-01-01", "2019-02-01"],
    ["2019-12", "2019-12-01", "2020-01-01"],
    ["2020-02", "2020-02-01", "2020-03-01"],
    ["2100-02", "2100-02-01", "2100-03-01"],
  ])("bounds the UTC month %s", (name, first, next) => {
    const { startMs, endMs } = monthBounds(name);
    expect(instantText(startMs)).toBe(`${first}T00:00:00.000Z`);
    expect(instantText(endMs)).toBe(`${next}T00:00:00.000Z`);
  });
});

describe("json", () => {
  it("is canonical: keys in UTF-16 order, numeric ones too, undefined left out", () => {
    expect(canonicalText({ b: 1, 10: 2, 9: [null, true, "é\n"], a: undefined })).toBe(
      '{"10":2,"9":[null,true,"é\\n"],"b":1}',
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, undefined, { a: [Number.NaN] }, 1n, () => 1])(
    "refuses what the engine's writer would lose: %s",
    (value) => {
      expect(() => jsonText(value)).toThrow();
    },
  );

  it("refuses fractions and large integers in canonical text", () => {
    expect(() => canonicalText([0.5])).toThrow("not an integer");
    expect(() => canonicalText(2 ** 53)).toThrow("not an integer");
    expect(jsonText({ text: "null", none: null })).toBe('{"text":"null","none":null}');
  });
});

const notes = table<{ readonly by: string }>("note");
const foreign = foreignTable<{ readonly by: string }>("notebook", "note");
const noted = event<string>("noted");

const notebook = contract({
  name: "notebook",
  methods: {
    put: method({
      roles: ["writer", "owner"],
      args: object({ key: text(20) }),
      run: ({ key }, context) => {
        notes.set(key, { by: context.sender });
        noted(key);
        if (key === "bad") refuse("NOTE_BAD", "no");
        if (key === "throw") throw new Error("bug");
        return { timeMs: context.timeMs, limit: context.parameter("limit") };
      },
    }),
    remove: method({
      roles: ["owner"],
      args: object({ key: text(20) }),
      run: ({ key }) => notes.delete(key),
    }),
    steal: method({
      roles: ["owner"],
      args: object({}),
      run: () => currentHost().set("system/role/owner", "1"),
    }),
  },
  views: {
    keys: view({
      args: object({ within: optional(text(9)), reverse: optional(integer(0, 1)) }),
      run: ({ within, reverse }) =>
        notes
          .range({ ...(within === undefined ? {} : { within }), reverse: reverse === 1 })
          .map(({ key }) => key),
    }),
    around: view({
      args: object({ at: text(9) }),
      run: ({ at }) => [notes.before("a", at)?.key ?? "", notes.atOrAfter("a", at)?.key ?? ""],
    }),
    write: view({ args: object({}), run: () => notes.set("x", { by: "view" }) }),
    foreign: view({ args: object({ key: text(9) }), run: ({ key }) => foreign.get(key) ?? null }),
  },
});

describe("contract", () => {
  const writer = { sender: "did:key:w", roles: ["writer"] };
  const owner = { sender: "did:key:o", roles: ["owner"] };
  const open = () =>
    new ContractBench({ contracts: [notebook], parameters: { limit: 7 }, timeMs: 5 });

  it("describes itself as the sandbox expects", () => {
    expect(JSON.parse(entryOf(notebook).describe())).toEqual({
      name: "notebook",
      methods: {
        put: { roles: ["writer", "owner"] },
        remove: { roles: ["owner"] },
        steal: { roles: ["owner"] },
      },
      views: ["around", "foreign", "keys", "write"],
    });
  });

  it("gives the call its context and writes below its own name", () => {
    const bench = open();
    expect(bench.call("notebook.put", { key: "a" }, writer)).toEqual({
      ok: { timeMs: 5, limit: 7 },
    });
    expect(bench.stateText("notebook/note/a")).toBe('{"by":"did:key:w"}');
    expect(bench.events).toEqual([{ contract: "notebook", topic: "noted", value: "a" }]);
    expect(bench.view("notebook.foreign", { key: "a" })).toEqual({ ok: { by: "did:key:w" } });
    expect(bench.call("notebook.remove", { key: "a" }, owner)).toEqual({ ok: null });
    expect(bench.stateText("notebook/note/a")).toBeUndefined();
  });

  it("leaves no trace of a call that was refused or threw", () => {
    const bench = open();
    const before = bench.snapshot();
    expect(bench.call("notebook.put", { key: "bad" }, writer)).toEqual({
      refused: "NOTE_BAD",
      message: "no",
    });
    expect(() => bench.call("notebook.put", { key: "throw" }, writer)).toThrow("bug");
    expect(() => bench.call("notebook.steal", {}, owner)).toThrow("not a key of notebook");
    expect(() => bench.view("notebook.write", {})).toThrow("a view writes nothing");
    expect(bench.snapshot()).toEqual(before);
    expect(bench.events).toEqual([]);
  });

  it("refuses callers without a role and arguments of another form", () => {
    const bench = open();
    expect(bench.call("notebook.remove", { key: "a" }, writer)).toMatchObject({
      refused: "CONTRACT_ROLE_MISSING",
    });
    expect(bench.call("notebook.put", { key: 1 }, writer)).toMatchObject({
      refused: "CONTRACT_ARGS_REFUSED",
      message: "args.key: expected a text of 1 to 20 characters",
    });
    expect(() => bench.call("notebook.constructor", {}, owner)).toThrow("no method");
    expect(() => bench.view("notebook.put", {})).toThrow("no view");
  });

  it("finds ranges and neighbours without leaving the table or the part", () => {
    const bench = open();
    for (const key of ["a/1", "a/3", "a/5", "ab/1", "b"])
      bench.call("notebook.put", { key }, writer);
    const keys = (args: object) => bench.view("notebook.keys", args).ok;
    expect(keys({})).toEqual(["a/1", "a/3", "a/5", "ab/1", "b"]);
    expect(keys({ within: "a" })).toEqual(["1", "3", "5"]);
    expect(keys({ within: "a", reverse: 1 })).toEqual(["5", "3", "1"]);
    expect(keys({ within: "c" })).toEqual([]);
    const around = (at: string) => bench.view("notebook.around", { at }).ok;
    expect(around("3")).toEqual(["1", "3"]);
    expect(around("4")).toEqual(["3", "5"]);
    expect(around("0")).toEqual(["", "1"]);
    expect(around("6")).toEqual(["5", ""]);
  });

  it("accepts only refusal codes that a receipt may hold", () => {
    expect(() => refuse("no", "x")).toThrow("not a refusal code");
  });
});

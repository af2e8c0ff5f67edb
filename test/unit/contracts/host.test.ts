/**
 * Host functions: state with the call's own changes over it, limits, and that the first broken
 * rule fails the call.
 *
 * Mutations that must fail here: asking the state for `limit` instead of `limit + own` entries,
 * UTF-16 instead of UTF-8 order, forgetting the failure when the guest catches it, storing the
 * text instead of its canonical form.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { compareUtf8 } from "../../../src/base/bytes.ts";
import { ContractRuntime } from "../../../src/contracts/runtime.ts";
import type { CallOutcome, StateReader } from "../../../src/contracts/types.ts";
import { seedOf } from "../../helpers/seed.ts";
import { bundle, request, stateOf } from "./bundle.ts";

const run = `const out = [];
  for (const [name, ...given] of args) out.push(host[name](...given) ?? null);
  return out;`;
const source = bundle(
  "host",
  {
    run,
    caught: "for (const [name, ...given] of args) try { host[name](...given) } catch {} return 1",
    raw: `const values = { nan: NaN, object: {}, surrogate: '\\ud800', nul: 'host/a\\0b' };
      host.set(values[args] ?? args, '1')`,
    manyEvents: "for (let i = 0; i < args; i++) host.emit('e', String(i))",
    large: "host.set('host/a/b', JSON.stringify('x'.repeat(args)))",
    longValue: `host.set('host/a/b', '{"b":1, "a": "\\\\u00e9"}'); return host.get('host/a/b')`,
    rope: `let s = '"'; for (let i = 0; i < 5000; i++) s += 'abc'; s += '"';
      host.set('host/a/b', s); return s.length`,
    frozen: `try { host.get = 1 } catch {} try { globalThis.host = 1 } catch {}
      return [Object.isFrozen(host), Object.isFrozen(host.get), typeof host.get]`,
  },
  { view: run },
);

describe("host functions", () => {
  let runtime: ContractRuntime;
  const logged: string[] = [];
  beforeAll(async () => {
    runtime = await ContractRuntime.create({
      verifier: {
        verify: (message, signature, key) =>
          message[0] === 1 && signature[0] === 2 && key.startsWith("03"),
      },
      onLog: (contract, text) => logged.push(`${contract}: ${text}`),
    });
    await runtime.install("host", source);
  });

  const call = (method: string, args: unknown, state: StateReader = stateOf()) =>
    runtime.call(
      request("host", method, {
        argsJson: JSON.stringify(args),
        kind: method === "view" ? "view" : "method",
      }),
      state,
    );
  const result = (outcome: CallOutcome) => JSON.parse(outcome.resultJson ?? "undefined");

  test("reads other contracts' state and its own changes", async () => {
    const state = stateOf({ "other/a/b": '"theirs"', "host/a/b": "1" });
    const outcome = await call(
      "run",
      [
        ["get", "other/a/b"],
        ["get", "host/a/b"],
        ["set", "host/a/b", "2"],
        ["get", "host/a/b"],
        ["delete", "host/a/b"],
        ["get", "host/a/b"],
        ["set", "host/a/a", '{"z":1, "y":[ ]}'],
      ],
      state,
    );
    expect(result(outcome)).toEqual(['"theirs"', "1", null, "2", null, null, null]);
    expect(outcome.changes).toEqual([
      ["host/a/a", '{"y":[],"z":1}'],
      ["host/a/b", undefined],
    ]);
  });

  test("gives back what was set in canonical form, and reads ropes", async () => {
    expect(result(await call("longValue", null))).toBe('{"a":"é","b":1}');
    const outcome = await call("rope", null);
    expect(outcome.changes).toEqual([["host/a/b", JSON.stringify("abc".repeat(5000))]]);
  });

  test("ranges over state and own changes agree with a sorted map", async () => {
    const key = fc.constantFrom(..."abcdé\u{10000}\uffff").map((name) => `host/t/${name}`);
    const own = fc.tuple(key, fc.option(fc.nat(9), { nil: undefined, freq: 1 }));
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key),
        fc.array(own, { maxLength: 6 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 3 }),
        fc.tuple(
          key,
          key.map((name) => `${name}~`),
        ),
        async (stored, changes, reverse, limit, [from, to]) => {
          const state = Object.fromEntries(stored.map((name) => [name, '"old"']));
          const model = new Map(Object.entries(state));
          const steps = changes.map(([name, value]) => {
            if (value === undefined) model.delete(name);
            else model.set(name, String(value));
            return value === undefined ? ["delete", name] : ["set", name, String(value)];
          });
          const expected = [...model]
            .filter(([name]) => compareUtf8(name, from) >= 0 && compareUtf8(name, to) < 0)
            .sort(([a], [b]) => compareUtf8(a, b) * (reverse ? -1 : 1))
            .slice(0, limit);
          const outcome = await call(
            "run",
            [...steps, ["range", from, to, reverse, limit]],
            stateOf(state),
          );
          expect(JSON.parse(result(outcome).at(-1))).toEqual(expected);
          const keys = outcome.changes.map(([name]) => name);
          expect(keys).toEqual([...keys].sort(compareUtf8));
        },
      ),
      { seed: seedOf(5), numRuns: 150 },
    );
  });

  test("a range pays for every row that it may have to pass over", async () => {
    const steps = [["range", "host/a/", "host/a0", false, 1]];
    const { gasUsed } = await call("run", steps);
    const deleted = { ...stateOf(), hiddenRows: () => 2_400 };
    const passing = await call("run", steps, deleted);
    expect(passing).toMatchObject({ outcome: "ok", gasUsed: gasUsed + 2_400 * 5_000 });
  });

  test.each([
    ["CONTRACT_STATE_KEY_INVALID", [["get", ""]]],
    ["CONTRACT_STATE_KEY_INVALID", [["get", "x".repeat(257)]]],
    ["CONTRACT_STATE_KEY_INVALID", [["get"]]],
    ["CONTRACT_STATE_KEY_INVALID", [["get", 5]]],
    ["CONTRACT_STATE_KEY_INVALID", [["set", `host/${"é".repeat(126)}`, "1"]]],
    ["CONTRACT_STATE_KEY_FOREIGN", [["set", "other/a/b", "1"]]],
    ["CONTRACT_STATE_KEY_FOREIGN", [["delete", "host2/a"]]],
    ["CONTRACT_STATE_KEY_FOREIGN", [["set", "host", "1"]]],
    ["CONTRACT_STATE_VALUE_INVALID", [["set", "host/a", "1.5"]]],
    ["CONTRACT_STATE_VALUE_INVALID", [["set", "host/a", '{"a":1,"a":2}']]],
    ["CONTRACT_STATE_VALUE_INVALID", [["set", "host/a", '"\\ud800"']]],
    ["CONTRACT_STATE_VALUE_INVALID", [["set", "host/a"]]],
    ["CONTRACT_EVENT_INVALID", [["emit", "has space", "1"]]],
    ["CONTRACT_EVENT_INVALID", [["emit", "topic", "nope"]]],
    ["CONTRACT_HOST_ARGUMENT_INVALID", [["range", "a", "b", false, 0]]],
    ["CONTRACT_HOST_ARGUMENT_INVALID", [["range", "a", "b", false, 1001]]],
    ["CONTRACT_HOST_ARGUMENT_INVALID", [["range", "a", "b", 1, 10]]],
    ["CONTRACT_HOST_ARGUMENT_INVALID", [["sha256", "0g"]]],
    ["CONTRACT_HOST_ARGUMENT_INVALID", [["sha256", "0"]]],
  ])("ends with %s for %j, even when the contract catches it", async (code, steps) => {
    for (const method of ["run", "caught"]) {
      const outcome = await call(method, [["set", "host/before", "1"], ...steps]);
      expect(outcome).toMatchObject({ outcome: code, changes: [], events: [] });
    }
  });

  test.each([
    ["surrogate", "CONTRACT_STATE_KEY_INVALID"],
    ["nan", "CONTRACT_STATE_KEY_INVALID"],
    ["object", "CONTRACT_STATE_KEY_INVALID"],
    ["host/ok", "ok"],
  ])("a key that is %s ends with %s", async (which, code) => {
    expect(await call("raw", which)).toMatchObject({ outcome: code });
  });

  test("keeps a zero byte in a key, as a C string would not", async () => {
    expect((await call("raw", "nul")).changes).toEqual([["host/a\0b", "1"]]);
  });

  test("bounds events and values to the unit", async () => {
    expect((await call("manyEvents", 64)).events).toHaveLength(64);
    expect(await call("manyEvents", 65)).toMatchObject({ outcome: "CONTRACT_EVENTS_EXCEEDED" });
    expect(await call("large", 65_534)).toMatchObject({ outcome: "ok" });
    expect(await call("large", 65_535)).toMatchObject({ outcome: "CONTRACT_STATE_VALUE_INVALID" });
  });

  test("a view reads and cannot write or emit", async () => {
    const state = stateOf({ "host/a": "1" });
    expect(result(await call("view", [["get", "host/a"]], state))).toEqual(["1"]);
    for (const step of [
      ["set", "host/a", "1"],
      ["delete", "host/a"],
      ["emit", "a", "1"],
    ]) {
      expect(await call("view", [step])).toMatchObject({ outcome: "CONTRACT_VIEW_WRITES" });
    }
  });

  test("keeps events in order, with their contract", async () => {
    const outcome = await call("run", [
      ["emit", "b", "[ 1 ]"],
      ["emit", "a", '"x"'],
    ]);
    expect(outcome.events).toEqual([
      { contract: "host", topic: "b", json: "[1]" },
      { contract: "host", topic: "a", json: '"x"' },
    ]);
  });

  test("hashes, verifies and logs", async () => {
    const key = `03${"0".repeat(62)}`;
    const signature = `02${"0".repeat(126)}`;
    const outcome = await call("run", [
      ["sha256", "616263"],
      ["verify", key, signature, "01"],
      ["verify", key, signature, "00"],
      ["verify", "03", signature, "01"],
      ["log", "hello é"],
    ]);
    expect(result(outcome)).toEqual([
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      true,
      false,
      false,
      null,
    ]);
    expect(logged).toContain("host: hello é");
  });

  test("host is frozen and cannot be replaced", async () => {
    expect(result(await call("frozen", null))).toEqual([true, true, "function"]);
  });
});

/**
 * Outcomes of calls and installations, and that a call is a pure function.
 *
 * Mutations that must fail here: restoring only after every second call, not retrying a fault,
 * reporting a fault as an outcome, splicing the arguments into the input without checking them.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import { ContractRuntime } from "../../../src/contracts/runtime.ts";
import type { CallRequest, StateReader } from "../../../src/contracts/types.ts";
import { seedOf } from "../../helpers/seed.ts";
import { bundle, options, request, stateOf } from "./bundle.ts";

const source = bundle(
  "pure",
  {
    input: "return input",
    count: `globalThis.n = (globalThis.n ?? 0) + 1; Array.prototype.stain = 1;
      return globalThis.n`,
    jobs: `globalThis.seen = [];
      Promise.resolve(1).then(() => { seen.push(1); host.set('pure/leak', '1'); });
      return seen.length`,
    later: "return globalThis.seen ?? null",
    throws: "host.set('pure/a', '1'); host.emit('e', '1'); throw new TypeError('no')",
    throwsHostile: "throw { toString() { for (;;); } }",
    work: `let s = 0; for (let i = 0; i < args; i++) s += i % 7;
      host.set('pure/w', String(s)); return s`,
    read: "return host.get(args) ?? null",
    keys: "return { 10: 1, 9: 2, b: 3 }",
    fraction: "return 0.5",
  },
  { seen: "return host.get('pure/a') ?? null" },
);

/** A bundle whose `call` returns the argument text, or something else. */
const raw = `globalThis.contractEntry = {
  describe: () => '{"name":"raw","methods":{"text":{"roles":[]},"other":{"roles":[]}},"views":[]}',
  call(text) {
    const { method, args } = JSON.parse(text);
    return method === "text" ? args : { args };
  },
};`;

describe("ContractRuntime", () => {
  let runtime: ContractRuntime;
  beforeAll(async () => {
    runtime = await ContractRuntime.create(options);
    await runtime.install("pure", source);
    await runtime.install("raw", raw);
  });

  const call = (method: string, change: Partial<CallRequest> = {}, state = stateOf()) =>
    runtime.call(request("pure", method, change), state);

  test("hands the request to the contract as it is", async () => {
    const { resultJson } = await call("input", {
      argsJson: '{ "b": [1], "a": "\\u00e9" }',
      roles: ["gateway", 'a"b'],
      sender: "did:key:z1",
    });
    expect(JSON.parse(resultJson ?? "")).toEqual({
      kind: "method",
      method: "input",
      args: { b: [1], a: "é" },
      sender: "did:key:z1",
      roles: ["gateway", 'a"b'],
      height: 7,
      timeMs: 1_700_000_000_123,
    });
  });

  test("arguments cannot reach beyond their place in the input", async () => {
    for (const argsJson of ['1,"sender":"did:key:evil"', "1}", "", "[1", '{"a":1,"a":2}', "1.5"]) {
      expect(await call("input", { argsJson })).toMatchObject({
        outcome: "CONTRACT_ARGUMENTS_INVALID",
        gasUsed: 0,
      });
    }
  });

  test("nothing of a call reaches the next: globals, prototypes, jobs", async () => {
    expect((await call("count")).resultJson).toBe("1");
    expect((await call("count")).resultJson).toBe("1");
    const outcome = await call("jobs");
    expect(outcome).toMatchObject({ outcome: "ok", resultJson: "0", changes: [] });
    expect((await call("later")).resultJson).toBe("null");
  });

  test("outcome, gas and effects depend on the call alone, not on those before it", async () => {
    const calls = fc.oneof(
      fc.nat(3000).map((turns) => ["work", String(turns)] as const),
      fc.constantFrom(["count", "1"], ["jobs", "1"], ["throws", "1"], ["keys", "1"] as const),
      fc.constant(["work", "1000000000"] as const),
    );
    const gasLimit = 3_000_000;
    const known = new Map<string, string>();
    await fc.assert(
      fc.asyncProperty(fc.array(calls, { minLength: 5, maxLength: 15 }), async (sequence) => {
        for (const [method, argsJson] of sequence as [string, string][]) {
          const outcome = JSON.stringify(await call(method, { argsJson, gasLimit }));
          const id = `${method} ${argsJson}`;
          expect(outcome).toBe(known.get(id) ?? outcome);
          known.set(id, outcome);
        }
      }),
      { seed: seedOf(3), numRuns: 25 },
    );
    const other = await ContractRuntime.create(options);
    await other.install("pure", source);
    for (const [id, outcome] of known) {
      const [method, argsJson] = id.split(" ") as [string, string];
      const again = await other.call(request("pure", method, { argsJson, gasLimit }), stateOf());
      expect(JSON.stringify(again)).toBe(outcome);
    }
  });

  test("a failed call has no changes and no events", async () => {
    expect(await call("throws")).toMatchObject({
      outcome: "CONTRACT_THREW",
      changes: [],
      events: [],
      detail: "TypeError: no",
    });
    expect(await call("throwsHostile")).toMatchObject({ outcome: "CONTRACT_THREW" });
    expect((await call("count")).resultJson).toBe("1");
  });

  test("unknown contracts, methods and views cost nothing", async () => {
    const unknown = await runtime.call(request("nobody", "x"), stateOf());
    expect(unknown).toMatchObject({ outcome: "CONTRACT_UNKNOWN", gasUsed: 0 });
    for (const [method, kind] of [
      ["nope", "method"],
      ["toString", "method"],
      ["seen", "method"],
      ["count", "view"],
    ] as const) {
      expect(await call(method, { kind })).toMatchObject({
        outcome: "CONTRACT_METHOD_UNKNOWN",
        gasUsed: 0,
      });
    }
    expect(await call("seen", { kind: "view" })).toMatchObject({ outcome: "ok" });
  });

  test("results are canonical JSON, also with keys that look like indexes", async () => {
    expect((await call("keys")).resultJson).toBe('{"10":1,"9":2,"b":3}');
    expect(await call("fraction")).toMatchObject({ outcome: "CONTRACT_OUTPUT_INVALID" });
  });

  test.each([
    ['{"ok":1}', "ok"],
    ['{"refused":"METER_UNKNOWN","message":"m"}', "METER_UNKNOWN"],
    ['{"refused":"METER_UNKNOWN"}', "METER_UNKNOWN"],
    ['{"refused":"CONTRACT_OUT_OF_GAS"}', "CONTRACT_OUTPUT_INVALID"],
    ['{"refused":"ok"}', "CONTRACT_OUTPUT_INVALID"],
    ['{"refused":"lower"}', "CONTRACT_OUTPUT_INVALID"],
    ['{"refused":5}', "CONTRACT_OUTPUT_INVALID"],
    ['{"ok":1,"refused":"METER_UNKNOWN"}', "METER_UNKNOWN"],
    ['{"ok":1,"more":2}', "CONTRACT_OUTPUT_INVALID"],
    ["{}", "CONTRACT_OUTPUT_INVALID"],
    ["[]", "CONTRACT_OUTPUT_INVALID"],
    ["null", "CONTRACT_OUTPUT_INVALID"],
    ["", "CONTRACT_OUTPUT_INVALID"],
    ['{"ok":1e3}', "CONTRACT_OUTPUT_INVALID"],
  ])("reads %s as %s", async (text, outcome) => {
    const argsJson = JSON.stringify(text);
    const end = await runtime.call(request("raw", "text", { argsJson }), stateOf());
    expect(end.outcome).toBe(outcome);
    expect(end.resultJson).toBe(outcome === "ok" ? "1" : undefined);
  });

  test("what is not a string is no output", async () => {
    const end = await runtime.call(request("raw", "other"), stateOf());
    expect(end).toMatchObject({ outcome: "CONTRACT_OUTPUT_INVALID" });
  });

  test("retries a fault of the node once, with the same gas, then throws", async () => {
    const good = await call("read", { argsJson: '"x"' }, stateOf({ x: "1" }));
    const failing = (times: number): StateReader => {
      let left = times;
      const get = () => {
        left -= 1;
        if (left >= 0) throw new RangeError("disk");
        return "1";
      };
      return { get, range: () => [] };
    };
    expect(await call("read", { argsJson: '"x"' }, failing(1))).toEqual(good);
    await expect(call("read", { argsJson: '"x"' }, failing(2))).rejects.toMatchObject({
      code: "CONTRACT_NODE_FAULT",
      facts: { contract: "pure", method: "read" },
    });
    expect(await call("read", { argsJson: '"x"' }, stateOf({ x: "1" }))).toEqual(good);
  });

  test("says what the state threw, when that is an error of the ledger", async () => {
    const closed = new LedgerError("LEDGER_STORE_CLOSED", { directory: "x" });
    const get = () => {
      throw closed;
    };
    const reading = call("read", { argsJson: '"x"' }, { get, range: () => [] });
    await expect(reading).rejects.toBe(closed);
    const good = await call("read", { argsJson: '"x"' }, stateOf({ x: "1" }));
    expect(good).toMatchObject({ outcome: "ok" });
  });

  test.each([
    ["a syntax error", "pure", "}"],
    ["an exception", "pure", "throw new Error('x')"],
    ["an endless loop", "pure", "for (;;);"],
    ["no entry", "pure", "1"],
    ["no call", "pure", "globalThis.contractEntry = { describe() {} }"],
    ["a description of another name", "other", source],
    [
      "a description that is no JSON",
      "pure",
      "globalThis.contractEntry = { describe: () => 'x', call() {} }",
    ],
    [
      "a describe that loops",
      "pure",
      "globalThis.contractEntry = { describe() { for (;;); }, call() {} }",
    ],
    [
      "a describe that reads state",
      "pure",
      "globalThis.contractEntry = { describe: () => host.get('a'), call() {} }",
    ],
    [
      "reading state while evaluating",
      "pure",
      `host.set('pure/a', '1'); ${source}; globalThis.x = host.get('pure/a').length`,
    ],
    ["a bad name", "Bad/name", source],
    ["a source that is too long", "pure", `${source}${" ".repeat(limits.contractSourceBytesMax)}`],
  ])("refuses to install %s and keeps what was installed", async (_what, name, text) => {
    await expect(runtime.install(name, text)).rejects.toMatchObject({
      code: "CONTRACT_INSTALL_INVALID",
    });
    expect((await call("count")).resultJson).toBe("1");
  });

  test("says hashes of source, image and engine", async () => {
    const installed = await runtime.install("pure", source);
    expect(installed).toMatchObject({
      bundleHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      imageHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      description: { name: "pure", views: ["seen"] },
    });
    expect(runtime.engineHash).toMatch(/^[0-9a-f]{64}$/);
  });

  test("after close nothing is installed", async () => {
    const other = await ContractRuntime.create(options);
    await other.install("pure", source);
    await other.close();
    const end = await other.call(request("pure", "count"), stateOf());
    expect(end.outcome).toBe("CONTRACT_UNKNOWN");
  });
});

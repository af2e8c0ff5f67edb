/**
 * What a contract can reach: an allow-list of globals, no way from text to code, nothing of the
 * host. The corpus holds the ways by which sandboxes of other projects were left.
 *
 * Mutations that must fail here: dropping a line of the prelude, leaving the evaluation slot set,
 * running promise jobs, passing a real clock or random number in.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { allowedGlobals } from "../../../src/contracts/prelude.ts";
import { ContractRuntime } from "../../../src/contracts/runtime.ts";
import { bundle, options, request, stateOf } from "./bundle.ts";

/** Each expression must throw, or give the value beside it. */
const corpus: Readonly<Record<string, readonly [expression: string, value: unknown]>> = {
  eval: ["typeof eval", "undefined"],
  "direct eval": ["eval('1')", "throws"],
  "indirect eval": ["(0, globalThis.eval)('1')", "throws"],
  Function: ["Function('return 1')()", "throws"],
  "new Function": ["new Function('return 1')()", "throws"],
  "constructor chain": ["(() => {}).constructor('return 1')()", "throws"],
  "constructor of a method": ["[].map.constructor('return 1')()", "throws"],
  "constructor of a host function": ["host.get.constructor('return 1')()", "throws"],
  "constructor of a class": ["(class {}).constructor('return 1')()", "throws"],
  "async constructor": ["(async () => {}).constructor", "undefined"],
  "generator constructor": ["(function* () {}).constructor", "undefined"],
  "async generator constructor": ["(async function* () {}).constructor", "undefined"],
  "constructor through the prototype": [
    "Object.getPrototypeOf(function* () {}).constructor",
    "undefined",
  ],
  "constructor through Reflect": [
    "Reflect.construct(Reflect.getPrototypeOf(async () => {}).constructor, ['return 1'])()",
    "throws",
  ],
  "constructor set back": [
    "Object.defineProperty(Object.getPrototypeOf(() => {}), 'constructor', { value: 1 })",
    "throws",
  ],
  "Function.prototype is kept": ["(() => {}) instanceof Function && [] instanceof Array", true],
  "dynamic import": ["void import('node:fs').then(() => { globalThis.escaped = 1; })", undefined],
  require: ["typeof require + typeof process + typeof module", "undefinedundefinedundefined"],
  timers: ["typeof setTimeout + typeof setInterval + typeof queueMicrotask", "undefined".repeat(3)],
  "weak references": ["typeof WeakRef + typeof FinalizationRegistry", "undefinedundefined"],
  "shared memory": ["typeof SharedArrayBuffer + typeof Atomics", "undefinedundefined"],
  "random numbers": ["typeof Math.random", "undefined"],
  locales: [
    "typeof Intl + 'a'.localeCompare('b') + (1234.5).toLocaleString()",
    "undefined-11234.5",
  ],
  performance: ["typeof performance + typeof navigator + typeof console", "undefined".repeat(3)],
  "float arrays": [
    "typeof Float64Array + typeof Float32Array + typeof DataView.prototype.setFloat64",
    "undefined".repeat(3),
  ],
  "engine's module objects": ["typeof std + typeof os + typeof bjson", "undefined".repeat(3)],
  "Error.prepareStackTrace": [
    `(() => { let seen = 0; Error.prepareStackTrace = (e, frames) => { seen = frames; };
      try { null.x } catch (e) { return typeof e.stack === "string" && seen === 0; } })()`,
    true,
  ],
  "stack names no host file": [
    "(() => { try { host.get() } catch (e) { return /node|file:|wasm|\\\\.ts/.test(e.stack) } })()",
    "fails CONTRACT_STATE_KEY_INVALID",
  ],
  "error of a host function": [
    "(() => { try { host.get() } catch (e) { return e.constructor.constructor('return 1')() } })()",
    "fails CONTRACT_STATE_KEY_INVALID",
  ],
  "Promise species": [
    `(() => { class P extends Promise {
        static get [Symbol.species]() { return host.get.constructor; } }
      P.resolve(1).then(() => {}); return 1; })()`,
    "throws",
  ],
  "Proxy of a host function": [
    "new Proxy(host.get, { apply: (f, self, all) => typeof Reflect.apply(f, self, ['k']) })()",
    "undefined",
  ],
  "Symbol.iterator of arguments": [
    `(() => { Array.prototype[Symbol.iterator] = function () { throw 1; };
      String.prototype.toString = () => 'own/forged'; return host.get('k') === undefined; })()`,
    true,
  ],
  "toJSON of everything": ["(() => { Object.prototype.toJSON = () => 7; return 1; })()", "7"],
  "poisoned Object.prototype": [
    "(() => { Object.prototype.ok = 5; Object.prototype.refused = 'X'; return 2; })()",
    2,
  ],
  "this of a sloppy function": ["(function () { return this === globalThis })()", true],
  "caller and callee": ["(function () { return arguments.callee.caller })()", "undefined"],
  "date is block time": [
    "new Date().getTime() === input.timeMs && Date.now() === input.timeMs",
    true,
  ],
  "date is UTC": ["new Date(2020, 6, 1).getTime() === Date.UTC(2020, 6, 1)", true],
  "date text is UTC": ["new Date(0).toString()", "Thu Jan 01 1970 00:00:00 GMT+0000"],
  "offset is zero": ["new Date(2020, 6, 1).getTimezoneOffset()", 0],
  "sort is stable": [
    `Array.from({ length: 600 }, (_, i) => [i % 3, i]).sort((a, b) => a[0] - b[0])
      .every((v, i, all) => i === 0 || all[i - 1][0] < v[0] || all[i - 1][1] < v[1])`,
    true,
  ],
  "key order is insertion order": ["Object.keys({ b: 1, a: 2, 1: 3 }).join()", "1,b,a"],
};

describe("the sandbox's walls", () => {
  let runtime: ContractRuntime;
  const names = Object.keys(corpus);
  beforeAll(async () => {
    runtime = await ContractRuntime.create(options);
    const methods = names.map((name, index) => [
      `case${index}`,
      `return ${corpus[name]?.[0] as string}`,
    ]);
    const globals = "return Object.getOwnPropertyNames(globalThis).sort()";
    const source = bundle("own", { ...Object.fromEntries(methods), globals });
    await runtime.install("own", source);
  });

  test.each(names)("%s", async (name) => {
    const outcome = await runtime.call(request("own", `case${names.indexOf(name)}`), stateOf());
    const value = corpus[name]?.[1];
    if (value === "throws") {
      expect(outcome).toMatchObject({ outcome: "CONTRACT_THREW" });
    } else if (typeof value === "string" && value.startsWith("fails ")) {
      expect(outcome).toMatchObject({ outcome: value.slice(6) });
    } else if (outcome.outcome === "CONTRACT_OUTPUT_INVALID") {
      expect(value).toBe("7");
    } else {
      expect(outcome).toMatchObject({ outcome: "ok" });
      const result = outcome.resultJson as string;
      if (value === "undefined") expect(["null", '"undefined"']).toContain(result);
      else expect(JSON.parse(result)).toEqual(value ?? null);
    }
  });

  test("no promise job of an earlier call ever ran", async () => {
    const outcome = await runtime.call(request("own", "globals"), stateOf());
    expect(outcome.resultJson).not.toContain("escaped");
  });

  test("globals are the allow-list and what the bundle defined", async () => {
    const outcome = await runtime.call(request("own", "globals"), stateOf());
    expect(JSON.parse(outcome.resultJson ?? "")).toEqual(
      [...allowedGlobals, "contractEntry"].sort(),
    );
  });
});

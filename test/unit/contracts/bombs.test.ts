/**
 * Hostile contracts end with a deterministic outcome, the same gas in every run and runtime, and
 * leave the runtime as it was. When one fails with CONTRACT_NODE_FAULT, the host's stack ran out
 * before `layout.depthBytesMax` did.
 *
 * Mutations that must fail here: no check at loop heads (hangs), no depth count (node fault),
 * restoring memory but not globals after a trap, keeping an instance that trapped.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../../src/base/limits.ts";
import { ContractRuntime } from "../../../src/contracts/runtime.ts";
import type { CallOutcome } from "../../../src/contracts/types.ts";
import { bombs } from "./bombs.ts";
import { bundle, options, request, stateOf } from "./bundle.ts";

const names = Object.keys(bombs);
const methodOf = (name: string) => `bomb${names.indexOf(name)}`;
const source = bundle("bomb", {
  ...Object.fromEntries(names.map((name) => [methodOf(name), bombs[name] as string])),
  // Some work first: a call that needs less than the least gas limit would not be cut short.
  honest: `for (let i = 0; i < 100000; i++);
    host.set('bomb/a/b', '1'); return [input.height, Date.now()];`,
});
const gasLimit = 40_000_000;
/** What a bomb may end in besides out of gas: the language's own bounds. */
const mayThrow = ["string doubling", "regular expression nesting", "large integer power"];

async function installed(): Promise<ContractRuntime> {
  const runtime = await ContractRuntime.create(options);
  await runtime.install("bomb", source);
  return runtime;
}

describe("hostile contracts", () => {
  let runtime: ContractRuntime;
  const first = new Map<string, CallOutcome>();
  beforeAll(async () => {
    runtime = await installed();
  });

  test.each(names)("%s ends with a deterministic code and no trace", async (name) => {
    const outcome = await runtime.call(request("bomb", methodOf(name), { gasLimit }), stateOf());
    first.set(name, outcome);
    expect(outcome).toMatchObject({ changes: [], events: [] });
    if (mayThrow.includes(name)) expect(outcome.outcome).toBe("CONTRACT_THREW");
    else expect(outcome).toMatchObject({ outcome: "CONTRACT_OUT_OF_GAS", gasUsed: gasLimit });
  });

  test("a fresh runtime gives the same outcomes in the opposite order", async () => {
    const other = await installed();
    for (const name of [...names].reverse()) {
      const outcome = await other.call(request("bomb", methodOf(name), { gasLimit }), stateOf());
      expect([name, outcome]).toEqual([name, first.get(name)]);
    }
  });

  test("a hundred traps in a row change nothing for the next call", async () => {
    const honest = () => runtime.call(request("bomb", "honest"), stateOf());
    const before = await honest();
    expect(before.outcome).toBe("ok");
    const recursion = request("bomb", methodOf("recursion"));
    const ends = new Set<string>();
    for (let count = 0; count < 100; count += 1) {
      ends.add(JSON.stringify(await runtime.call(recursion, stateOf())));
    }
    expect(ends.size).toBe(1);
    expect(await honest()).toEqual(before);
  });

  test("gas is exact: the gas a call used is enough, one less is not", async () => {
    const { gasUsed, ...rest } = await runtime.call(request("bomb", "honest"), stateOf());
    const enough = await runtime.call(request("bomb", "honest", { gasLimit: gasUsed }), stateOf());
    expect(enough).toEqual({ gasUsed, ...rest });
    const less = { gasLimit: gasUsed - 1 };
    expect(await runtime.call(request("bomb", "honest", less), stateOf())).toMatchObject({
      outcome: "CONTRACT_OUT_OF_GAS",
      gasUsed: gasUsed - 1,
    });
  });

  test("every gas limit below what a call needs ends out of gas, never in a fault", async () => {
    const { gasUsed } = await runtime.call(request("bomb", "honest"), stateOf());
    expect(gasUsed).toBeGreaterThan(limits.callGasMin);
    const step = 1 + Math.floor((gasUsed - limits.callGasMin) / 97);
    for (let gasLimit = limits.callGasMin; gasLimit < gasUsed; gasLimit += step) {
      const outcome = await runtime.call(request("bomb", "honest", { gasLimit }), stateOf());
      expect(outcome).toMatchObject({ outcome: "CONTRACT_OUT_OF_GAS", gasUsed: gasLimit });
    }
  });

  test("a call that could not even pay for a new engine is not begun", async () => {
    const gasLimit = limits.callGasMin - 1;
    const started = performance.now();
    for (let count = 0; count < 1_000; count += 1) {
      const outcome = await runtime.call(request("bomb", "honest", { gasLimit }), stateOf());
      expect(outcome).toMatchObject({ outcome: "CONTRACT_OUT_OF_GAS", gasUsed: gasLimit });
    }
    // Engines took 2.6 ms each.
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  test("a thrown value whose text never ends costs the whole limit", async () => {
    const other = await ContractRuntime.create(options);
    const throws = "throw { toString() { for (;;); } };";
    await other.install("bomb", bundle("bomb", { throws }));
    const outcome = await other.call(request("bomb", "throws", { gasLimit }), stateOf());
    expect(outcome).toMatchObject({ outcome: "CONTRACT_THREW", gasUsed: gasLimit });
  });
});

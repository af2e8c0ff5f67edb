/**
 * Cost of a contract call. Run: `npx vitest bench --run bench/contract-call.bench.ts`.
 *
 * `nothing` is the floor: restore, input, entering the guest, output. `report` reads and writes one
 * key, `hundred reads` shows the cost of one host function, `trap` that of a new instance, `loop`
 * the speed of metered code (30 M gas).
 */
import { bench, describe } from "vitest";
import { ContractRuntime } from "../src/contracts/runtime.ts";
import { bundle, options, request, stateOf } from "../test/unit/contracts/bundle.ts";

const source = bundle("bench", {
  nothing: "return 1",
  report: `const key = "bench/meter/" + args.meter;
    const before = JSON.parse(host.get(key) ?? '{"count":0}');
    host.set(key, JSON.stringify({ count: before.count + 1, energyWh: args.energyWh }));
    return { accepted: 1 }`,
  reads: "for (let i = 0; i < 100; i++) host.get('bench/meter/m1'); return 1",
  trap: "(function f() { f(); })()",
  loop: "for (;;);",
});
const runtime = await ContractRuntime.create(options);
await runtime.install("bench", source);
const state = stateOf({ "bench/meter/m1": '{"count":7,"energyWh":5}' });
const argsJson = '{"energyWh":123456,"meter":"m1"}';

function measure(name: string, method: string, gasLimit = 300_000_000): void {
  const call = request("bench", method, { argsJson, gasLimit });
  bench(name, async () => {
    await runtime.call(call, state);
  });
}

describe("contract call", () => {
  measure("nothing", "nothing");
  measure("report", "report");
  measure("hundred reads", "reads");
  measure("trap", "trap");
  measure("loop, 30 M gas", "loop", 30_000_000);
});

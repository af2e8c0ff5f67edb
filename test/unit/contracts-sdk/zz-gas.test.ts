import { it } from "vitest";
import { definition as metering } from "/work/main/contracts/metering/index.ts";
import { SandboxBench } from "/work/main/test/unit/contracts-sdk/benches.ts";
it("gas", async () => {
  const op = { sender: `did:key:z6Mk${"a".repeat(44)}`, roles: ["operator"] };
  const gw = { sender: `did:key:z6Mk${"b".repeat(44)}`, roles: ["gateway"] };
  const bench = await SandboxBench.open({ contracts: [metering], parameters: { clockDriftMs: 1 }, timeMs: 2e12 });
  await bench.call("metering.registerMeter", { meter: "m", kind: "heat", gateway: gw.sender }, op);
  let t = Date.UTC(2019, 0, 1);
  const batch = (n: number) => Array.from({ length: n }, () => ["m", (t += 3600000), t / 1e6 | 0, t / 1e6 | 0, t / 1e6 | 0, t / 1e6 | 0]);
  for (const n of [1, 100, 100, 1000]) {
    const o = await bench.call("metering.report", { readings: batch(n) }, gw);
    console.log("N", n, bench.gasUsed, bench.gasUsed / n, JSON.stringify(o));
  }
  const times: number[] = [];
  for (let i = 0; i < 60; i++) { const b = batch(100); const s = performance.now(); await bench.call("metering.report", { readings: b }, gw); times.push((performance.now() - s) * 10); }
  times.sort((a, b) => a - b);
  console.log("us per reading median", times[30], "min", times[0]);
});
it("single", async () => {
  const op = { sender: `did:key:z6Mk${"a".repeat(44)}`, roles: ["operator"] };
  const gw = { sender: `did:key:z6Mk${"b".repeat(44)}`, roles: ["gateway"] };
  const bench = await SandboxBench.open({ contracts: [metering], parameters: { clockDriftMs: 1 }, timeMs: 2e12 });
  await bench.call("metering.registerMeter", { meter: "m", kind: "heat", gateway: gw.sender }, op);
  let t = Date.UTC(2019, 0, 1);
  const batch = (n: number) => Array.from({ length: n }, () => ["m", (t += 3600000), t / 1e6 | 0, t / 1e6 | 0, t / 1e6 | 0, t / 1e6 | 0]);
  const times: number[] = [];
  for (let i = 0; i < 500; i++) { const b = batch(1); const s = performance.now(); await bench.call("metering.report", { readings: b }, gw); times.push((performance.now() - s) * 1000); }
  times.sort((a, b) => a - b);
  console.log("N single us", times[250], times[10], bench.gasUsed);
  await bench.view("metering.meter", { meter: "m" }); console.log("N view", bench.gasUsed);
});

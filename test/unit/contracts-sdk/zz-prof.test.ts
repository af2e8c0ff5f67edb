import { it } from "vitest";
import { buildContract } from "../../../src/contracts/build.ts";
import { ContractRuntime } from "../../../src/contracts/runtime.ts";
it("p", async () => {
  const b = await buildContract("/tmp/prof/index.ts");
  const rt = await ContractRuntime.create({ verifier: { verify: () => false } });
  const i = await rt.install("prof", b.source);
  let base = 0;
  for (const m of ["empty", ...Object.keys(i.description.methods).filter((x) => x !== "empty")]) {
    const o = await rt.call({ contract: "prof", method: m, argsJson: "{}", kind: "method", sender: "x", roles: ["r"], gasLimit: 300_000_000, height: 1, timeMs: 1 }, { get: () => undefined, range: () => [] });
    if (m === "empty") base = o.gasUsed;
    if (m==="empty") console.log("P", base); console.log("P", m, "raw", o.gasUsed); console.log("P", m, o.outcome, (o.gasUsed - base) / 1000);
  }
});

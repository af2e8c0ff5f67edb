/** Costs of single operations in this process: verifying a signature, calling a contract. */
import { randomBytes } from "node:crypto";
import { didOf } from "../dist/base/format/did.js";
import { portableVerifier } from "../dist/base/verifier.js";
import { ContractRuntime } from "../dist/contracts/runtime.js";
import { standardContracts } from "../dist/node/genesis-maker.js";
import { nativeSigner, nativeVerifier } from "../dist/node/native-crypto.js";

const batches = 7;

/** Microseconds of one operation: the median of some batches. */
async function cost(count, operation) {
  const times = [];
  for (let batch = 0; batch <= batches; batch += 1) {
    const startMs = performance.now();
    for (let index = 0; index < count; index += 1) await operation(index);
    // The first batch warms up.
    if (batch > 0) times.push(((performance.now() - startMs) / count) * 1_000);
  }
  return times.sort((left, right) => left - right)[Math.floor(batches / 2)];
}

/** Cost of one verification by each verifier, microseconds. */
export async function verifierCosts() {
  const signer = nativeSigner(randomBytes(32));
  const message = randomBytes(300);
  const signature = signer.sign(message);
  const costOf = (verifier, count) =>
    cost(count, () => verifier.verify(message, signature, signer.publicKey));
  return {
    sodiumUs: await costOf(nativeVerifier, 500),
    nobleUs: await costOf(portableVerifier, 20),
  };
}

/** Cost of `metering.report` with one and with a hundred readings, microseconds and gas. */
export async function callCosts() {
  const runtime = await ContractRuntime.create({ verifier: nativeVerifier });
  for (const { name, source } of standardContracts()) await runtime.install(name, source);
  const gateway = didOf(nativeSigner(randomBytes(32)).publicKey);
  const state = new Map([
    [
      "metering/meter/m-1",
      JSON.stringify({ kind: "heat", gateway, latestMs: -1, breakCount: 0, latestBreakMs: -1 }),
    ],
    ["system/parameter/clockDriftMs", "300000"],
  ]);
  const reader = { get: (key) => state.get(key), range: () => [] };
  const call = (readingCount) => {
    const readings = Array.from({ length: readingCount }, (_, index) => [
      "m-1",
      1_546_300_800_000 + index * 60_000,
      index * 100,
      index * 3,
      index * 180,
      index * 90,
    ]);
    return {
      ...{ contract: "metering", method: "report", kind: "method", sender: gateway },
      ...{ argsJson: JSON.stringify({ readings }), roles: ["gateway"], gasLimit: 300_000_000 },
      ...{ height: 1, timeMs: 1_700_000_000_000 },
    };
  };
  const costOf = async (readingCount, count) => {
    const request = call(readingCount);
    const { outcome, gasUsed, detail } = await runtime.call(request, reader);
    if (outcome !== "ok") throw new Error(`the call ended with ${outcome}: ${detail}`);
    return { us: await cost(count, () => runtime.call(request, reader)), gas: gasUsed };
  };
  const costs = { one: await costOf(1, 100), hundred: await costOf(100, 10) };
  await runtime.close();
  return costs;
}

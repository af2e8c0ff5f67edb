/** Prints engine hash, image hashes and the gas of some calls, from the built program. */
import { didOf } from "../../dist/base/format/did.js";
import { makeGenesis, standardContracts } from "../../dist/node/genesis-maker.js";
import { injectNative, nativeSigner } from "../../dist/node/native-crypto.js";
import { openContracts } from "../../dist/node/open-contracts.js";

injectNative();
const did = (number) => didOf(nativeSigner(new Uint8Array(32).fill(number)).publicKey);
const members = [{ id: "one", name: "One", validatorKey: did(1), peerKey: did(2) }];
const plan = { name: "gas", timestampMs: 1, members, accounts: [], devices: [] };
const genesis = await makeGenesis(plan, standardContracts());
const runtime = await openContracts(genesis);
const state = new Map([["system/parameter/clockDriftMs", "300000"]]);
const reader = {
  get: (key) => state.get(key),
  range({ from, to, reverse, limit }) {
    const rows = [...state].filter(([key]) => key >= from && key < to);
    rows.sort(([left], [right]) => (left < right ? -1 : 1));
    return (reverse ? rows.reverse() : rows).slice(0, limit);
  },
};

async function call(method, args, role) {
  const request = {
    contract: "metering",
    method,
    argsJson: JSON.stringify(args),
    kind: "method",
    sender: did(9),
    roles: [role],
    gasLimit: 300_000_000,
    height: 1,
    timeMs: 2e12,
  };
  const { outcome, gasUsed, changes } = await runtime.call(request, reader);
  for (const [key, value] of changes) state.set(key, value);
  return { outcome, gasUsed };
}

const readings = (first) =>
  Array.from({ length: 100 }, (_, index) => {
    const at = first + index * 2;
    return ["m", 1e12 + at * 3_600_000, at * 7, at * 3, at * 11, at * 5];
  });
const calls = [
  await call("registerMeter", { meter: "m", kind: "heat", gateway: did(9) }, "operator"),
  await call("report", { readings: readings(0) }, "gateway"),
  await call("report", { readings: readings(1) }, "gateway"),
  await call("report", { readings: [["m", 1e12 + 1, 1, 1, 1, -1]] }, "gateway"),
];
const images = genesis.contracts.map(({ name, imageHash }) => ({ name, imageHash }));
console.log(JSON.stringify({ engineHash: runtime.engineHash, images, calls }));
await runtime.close();

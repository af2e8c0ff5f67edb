/**
 * `npm run bench`: throughput and time to finality of a devnet of four node processes on this
 * machine, and what single operations cost. Prints a table, or with `--json` one object.
 *
 *   --seconds N    length of each paced phase (10)
 *   --rate N       its transactions a second (300)
 *   --base-port P  the first of the ports of the nodes (22000)
 *   --json         one object
 *
 * Nothing is asserted: figures belong to a machine and to what else runs on it, so read the ratios,
 * and the CPU time a transaction takes.
 */
import { cpus, loadavg } from "node:os";
import { helpIfAsked, readOptions } from "../tools/options.mjs";
import { callCosts, verifierCosts } from "./costs.mjs";
import { startDevnet } from "./devnet.mjs";
import { FinalityFeed, runLoad } from "./load.mjs";
import { Meters } from "./meters.mjs";

helpIfAsked(import.meta.url);
const {
  seconds,
  rate,
  "base-port": basePort,
  json: isJson,
} = readOptions({
  seconds: { type: "count", min: 1, default: 10 },
  rate: { type: "count", min: 1, default: 300 },
  "base-port": { type: "count", min: 1, default: 22_000 },
  json: { type: "flag" },
});
const gatewayCount = 16;
const batchCount = 100;
/** On their way at once where as much as possible is sent. */
const singleWindow = 400;
const warmUpCount = 2_000;
const batchWindow = 24;

const note = (text) => console.error(text);
/** Runs one load and adds what it cost the nodes. */
async function measure(devnet, title, load) {
  note(`bench: ${title} ...`);
  const cpuStartMs = devnet.cpuMs();
  const before = (await devnet.statuses()).find((status) => status !== undefined);
  const result = await runLoad(load);
  const after = (await devnet.statuses()).find((status) => status !== undefined);
  const nodesCpuMs = devnet.cpuMs() - cpuStartMs;
  return {
    title,
    ...result,
    blocks: after.height - before.height,
    nodesCpuMs,
    nodesCpuMsPerTransaction: nodesCpuMs / result.final,
    /** Of all processors: what nodes and generator together got. */
    cpuShare: (nodesCpuMs + result.generatorCpuMs) / (result.seconds * 1_000 * cpus().length),
  };
}

async function loads(devnet) {
  const { nodes } = devnet;
  const feed = await FinalityFeed.open(nodes[0]);
  const meters = new Meters(devnet);
  await meters.register(feed);
  const single = (count) => meters.prepare(count, 1);
  const run = (title, load) => measure(devnet, title, { feed, nodes, ...load });
  // Until the engines of all processes have optimised what they run.
  await run("warm-up", { transactions: single(warmUpCount), windowCount: singleWindow });
  const phases = {
    paced: await run(`single readings, ${rate} a second`, {
      transactions: single(rate * seconds),
      ratePerSecond: rate,
    }),
    saturated: await run("single readings, as many as possible", {
      transactions: single(rate * seconds),
      windowCount: singleWindow,
    }),
    batches: await run(`batches of ${batchCount}, as many as possible`, {
      transactions: meters.prepare(30 * seconds, batchCount),
      windowCount: batchWindow,
    }),
  };
  await devnet.kill(nodes[3]);
  phases.oneDead = await run("single readings, as many as possible, one of four dead", {
    transactions: single(rate * seconds),
    nodes: nodes.slice(0, 3),
    windowCount: singleWindow,
  });
  note("bench: starting the dead node again ...");
  const startMs = performance.now();
  await devnet.restart(nodes[3]);
  const catchUpSeconds = (performance.now() - startMs) / 1_000;
  feed.close();
  return { phases, catchUpSeconds };
}

/** A node that is back may still lack the last block; it has some seconds. */
async function settledRoots(devnet) {
  for (let attempt = 0; ; attempt += 1) {
    const statuses = await devnet.statuses();
    const nodes = statuses.map(({ name, height, stateRoot }) => ({ name, height, stateRoot }));
    const isEqual = new Set(nodes.map(({ stateRoot }) => stateRoot)).size === 1;
    if (isEqual || attempt === 100) return { nodes, isEqual };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function line(columns) {
  const [first, ...rest] = columns;
  return [String(first).padEnd(56), ...rest.map((text) => String(text).padStart(10))].join(" ");
}

function table({ machine, verifier, call, phases, ratios, catchUpSeconds, roots }) {
  const rows = Object.values(phases).map((phase) => [
    phase.title,
    phase.perSecond.toFixed(0),
    phase.p50Ms.toFixed(0),
    phase.p95Ms.toFixed(0),
    phase.maxMs.toFixed(0),
    phase.blocks,
    phase.nodesCpuMsPerTransaction.toFixed(2),
    `${Math.round(phase.cpuShare * 100)} %`,
  ]);
  return [
    `${machine.processors} x ${machine.model}, Node ${machine.node}, load before ${machine.loadBefore}`,
    "",
    line([
      "four node processes and the generator",
      "tx/s",
      "p50 ms",
      "p95 ms",
      "max ms",
      "blocks",
      "CPU ms/tx",
      "CPU used",
    ]),
    ...rows.map(line),
    "",
    line(["readings a second in batches of 100", ratios.readingsPerSecond.toFixed(0)]),
    line(["tx/s with one node dead : healthy", ratios.oneDeadToHealthy.toFixed(2)]),
    line(["readings/s batched : single", ratios.batchedToSingle.toFixed(1)]),
    line(["dead node ready again, seconds", catchUpSeconds.toFixed(1)]),
    line(["verify a signature, sodium, us", verifier.sodiumUs.toFixed(0)]),
    line(["verify a signature, noble, us", verifier.nobleUs.toFixed(0)]),
    line(["noble : sodium", ratios.nobleToSodium.toFixed(1)]),
    line(["call report, 1 reading, us", call.one.us.toFixed(0), `${call.one.gas} gas`]),
    line(["call report, 100 readings, us", call.hundred.us.toFixed(0), `${call.hundred.gas} gas`]),
    line(["100 readings : 1 reading", ratios.callHundredToOne.toFixed(1)]),
    line(["state roots of the nodes", roots.isEqual ? "equal" : "DIFFER"]),
  ].join("\n");
}

async function main() {
  const machine = {
    processors: cpus().length,
    model: cpus()[0]?.model ?? "unknown",
    node: process.versions.node,
    loadBefore: loadavg()[0].toFixed(1),
  };
  note("bench: starting four nodes ...");
  const devnet = await startDevnet({ nodeCount: 4, gatewayCount, basePort });
  let measured;
  let roots;
  try {
    measured = await loads(devnet);
    roots = await settledRoots(devnet);
  } finally {
    await devnet.stop();
  }
  note("bench: costs of single operations ...");
  const verifier = await verifierCosts();
  const call = await callCosts();
  const { phases, catchUpSeconds } = measured;
  const ratios = {
    readingsPerSecond: phases.batches.perSecond * batchCount,
    oneDeadToHealthy: phases.oneDead.perSecond / phases.saturated.perSecond,
    batchedToSingle: (phases.batches.perSecond * batchCount) / phases.saturated.perSecond,
    nobleToSodium: verifier.nobleUs / verifier.sodiumUs,
    callHundredToOne: call.hundred.us / call.one.us,
  };
  const result = { machine, verifier, call, phases, ratios, catchUpSeconds, roots };
  console.log(isJson ? JSON.stringify(result) : table(result));
}

await main();

/**
 * `npm run bench:faults`: what faults cost clients. Four node processes under a steady load: time to
 * finality while all are well, from the moment on that one is killed, and after that; then an outage
 * with half of the nodes gone, and the time from the start of the third node to the next block.
 *
 *   --seconds N    length of each phase (30)
 *   --rate N       transactions a second (100)
 *   --outage N     seconds without a quorum (60)
 *   --base-port P  the first of the ports of the nodes (22400)
 *   --json         one object
 *
 * The figures belong to a machine and to what else runs on it. Exit code 1 when one of the bounds
 * does not hold:
 *
 * - one dead, after a first phase in which the others learn it: median at most 1.3 times the healthy
 *   one, 99th percentile at most 1.2 s above;
 * - the next block at most 10 s after the process that completes the quorum was started;
 * - nothing sent is refused or lost in any phase, so the percentiles are over all of it;
 * - no block without a quorum.
 */
import { cpus, loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { helpIfAsked, readOptions } from "../tools/options.mjs";
import { startDevnet } from "./devnet.mjs";
import { bounds, judge } from "./fault-bounds.mjs";
import { FinalityFeed, post, runLoad } from "./load.mjs";
import { Meters } from "./meters.mjs";

helpIfAsked(import.meta.url);
const {
  seconds,
  rate,
  outage: outageSeconds,
  "base-port": basePort,
  json: isJson,
} = readOptions({
  seconds: { type: "count", min: 1, default: 30 },
  rate: { type: "count", min: 1, default: 100 },
  outage: { type: "count", default: 60 },
  "base-port": { type: "count", min: 1, default: 22_400 },
  json: { type: "flag" },
});
const gatewayCount = 16;
const warmUp = { count: 1_500, windowCount: 100 };
/** On their way when the quorum is lost: somebody always waits. */
const waitingCount = 20;
/** Votes that were under way when the quorum was lost may still complete a block. */
const inFlightMs = 1_000;
/** Nobody waits longer for a block: the run has failed. */
const firstBlockMsMax = 60_000;

const note = (text) => console.error(text);

async function main() {
  const loadBefore = loadavg()[0].toFixed(1);
  note("bench: starting four nodes ...");
  const devnet = await startDevnet({ nodeCount: 4, gatewayCount, basePort });
  let measured;
  try {
    measured = await faults(devnet);
  } finally {
    await devnet.stop();
  }
  const { holds, ...compared } = judge(measured);
  const machine = { processors: cpus().length, node: process.versions.node, loadBefore };
  const result = { machine, ...measured, ...compared };
  console.log(isJson ? JSON.stringify({ ...result, bounds, holds }) : table(result, holds));
  process.exitCode = Object.values(holds).every(Boolean) ? 0 : 1;
}

async function faults(devnet) {
  const { nodes } = devnet;
  const feed = await FinalityFeed.open(nodes[0]);
  const meters = new Meters(devnet);
  await meters.register(feed);
  const run = async (title, load) => {
    note(`bench: ${title} ...`);
    return runLoad({ feed, nodes, ...load });
  };
  const { count, windowCount } = warmUp;
  await run("warm-up", { transactions: meters.prepare(count, 1), windowCount });
  const paced = () => ({ transactions: meters.prepare(rate * seconds, 1), ratePerSecond: rate });
  const healthy = await run("all well", paced());
  await devnet.kill(nodes[3]);
  const dying = await run("one dead, from its death on", { ...paced(), nodes: nodes.slice(0, 3) });
  const oneDead = await run("one dead, later", { ...paced(), nodes: nodes.slice(0, 3) });
  note(`bench: ${outageSeconds} s without a quorum ...`);
  await devnet.kill(nodes[2]);
  await sleep(inFlightMs);
  for (const { bytes } of meters.prepare(waitingCount, 1)) {
    const problem = await post(nodes[0].url, undefined, bytes);
    if (problem !== undefined) throw new Error(`refused without a quorum: ${problem}`);
  }
  const heightBefore = await heightOf(devnet, nodes[0]);
  await sleep(outageSeconds * 1_000);
  const heightAfter = await heightOf(devnet, nodes[0]);
  const startMs = performance.now();
  const ready = devnet.restart(nodes[2]).then(() => performance.now() - startMs);
  const firstBlockMs = await Promise.race([
    firstBlock(devnet, { node: nodes[0], height: heightAfter }),
    // A node that does not start ends the run.
    ready.then(() => new Promise(() => {})),
  ]);
  const readyMs = await ready;
  feed.close();
  return {
    healthy,
    dying,
    oneDead,
    outageSeconds,
    heightBefore,
    heightAfter,
    firstBlockMs,
    readyMs,
  };
}

/** @returns Milliseconds until a node is above a height; infinite when that takes too long. */
async function firstBlock(devnet, { node, height }) {
  const startMs = performance.now();
  while ((await heightOf(devnet, node)) <= height) {
    if (performance.now() - startMs > firstBlockMsMax) return Number.POSITIVE_INFINITY;
    await sleep(20);
  }
  return performance.now() - startMs;
}

async function heightOf(devnet, node) {
  const statuses = await devnet.statuses();
  return statuses.find((status) => status?.name === node.name)?.height ?? -1;
}

function table(result, holds) {
  const { machine, healthy, dying, oneDead, firstBlockMs, readyMs, p50Ratio, p99MoreMs } = result;
  const row = (title, { perSecond, p50Ms, p95Ms, p99Ms, maxMs, lost, refused }) =>
    line(title, perSecond, p50Ms, p95Ms, p99Ms, maxMs, lost, sum(refused));
  const verdict = (isHeld) => (isHeld ? "holds" : "DOES NOT HOLD");
  return [
    `${machine.processors} processors, Node ${machine.node}, load before ${machine.loadBefore}`,
    line(
      `${rate} single readings a second`,
      "tx/s",
      "p50 ms",
      "p95 ms",
      "p99 ms",
      "max ms",
      "lost",
      "refused",
    ),
    row("four nodes", healthy),
    row("one of four dead, from its death on", dying),
    row("one of four dead, after that", oneDead),
    "",
    `p50 with one dead: ${p50Ratio.toFixed(2)} x healthy (at most ${bounds.p50Ratio}): ${verdict(holds.p50Ratio)}`,
    `p99 with one dead: ${p99MoreMs.toFixed(0)} ms more (at most ${bounds.p99MoreMs}): ${verdict(holds.p99MoreMs)}`,
    `first block after ${outageSeconds} s without a quorum: ${firstBlockMs.toFixed(0)} ms after the start of ` +
      `the third process (at most ${bounds.firstBlockMs}), which was ready after ${readyMs.toFixed(0)} ms: ` +
      verdict(holds.firstBlockMs),
    `nothing lost: ${verdict(holds.noneLost)}; nothing refused: ${verdict(holds.noneRefused)}; ` +
      `no block without a quorum: ${verdict(holds.noBlockWithoutQuorum)}`,
  ].join("\n");
}

function sum(counts) {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function line(title, ...columns) {
  const text = (column) => (typeof column === "number" ? column.toFixed(0) : column);
  return title.padEnd(40) + columns.map((column) => text(column).padStart(9)).join("");
}

await main();

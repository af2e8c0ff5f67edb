/**
 * `npm run sim`: runs the whole-node simulator (docs/TESTING.md) for one seed or for many. Ends with
 * 0 when none fails.
 *
 *   --seed S       one run; prints its trace hash, and shrinks it if it fails; with it:
 *     --log        what happens to the nodes and what they log, by time
 *     --model      every claim is held against the model of the protocol, too
 *     --without KIND,...  --actions N,...  --safety-ms N: what a reproduction leaves out or keeps
 *   --seeds N      N seeds (100), from --from S (1) on
 *   --stop         at the first that fails
 *   --no-shrink    without looking for a shorter reproduction
 *   --workers N    threads (one for each processor)
 *   --source DIR   the tree to take src and test from
 *   --json         one object
 */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";
import { helpIfAsked, readOptions, refuseOptions } from "../../tools/options.mjs";

helpIfAsked(import.meta.url);
const values = readOptions({
  seed: { type: "count" },
  seeds: { type: "count", min: 1, default: 100 },
  from: { type: "count", default: 1 },
  workers: { type: "count", min: 1, default: availableParallelism() },
  without: { type: "text" },
  actions: { type: "text" },
  "safety-ms": { type: "count" },
  source: { type: "text", default: fileURLToPath(new URL("../..", import.meta.url)) },
  log: { type: "flag" },
  model: { type: "flag" },
  json: { type: "flag" },
  "no-shrink": { type: "flag" },
  stop: { type: "flag" },
});

const ofOneSeed = ["log", "model", "without", "actions", "safety-ms"];
for (const name of values.seed === undefined ? ofOneSeed : [])
  if (values[name] !== undefined && values[name] !== false)
    refuseOptions(`--${name} goes with --seed only`);

const root = fileURLToPath(new URL("../..", import.meta.url));
const cache = `${root}/node_modules/.cache/loopledger-sim`;
const bundle = `${cache}/world-${process.pid}.mjs`;
const shrinkTriesMax = 60;
const note = (text) => console.error(text);

async function makeBundle() {
  mkdirSync(cache, { recursive: true });
  await build({
    entryPoints: [`${values.source}/test/sim/world/main.ts`],
    outfile: bundle,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    sourcemap: "inline",
    logLevel: "error",
  });
}

function cutsOf({ noCuts, faultKinds }) {
  const without = new Set((values.without ?? "").split(",").filter((kind) => kind !== ""));
  for (const kind of without)
    if (!faultKinds.includes(kind))
      refuseOptions(`--without ${kind}: expected some of ${faultKinds.join(", ")}`);
  const actions =
    values.actions === undefined
      ? noCuts.actions
      : values.actions.split(",").filter((each) => each !== "none" && each !== "");
  return { without, actions: actions?.map(Number), safetyMs: values["safety-ms"] };
}

const loud = (index, nowMs) => {
  const say = (level) => (facts, message) =>
    note(`${nowMs()} ms, node ${index} ${level}: ${message} ${JSON.stringify(facts)}`);
  return { debug() {}, info: say("info"), warn: say("warn"), error: say("error") };
};

/** What happens to nodes; frames would be too many. */
function noteWhat(nowMs, what) {
  if (!/^(send|lie|sign) /.test(what)) note(`${nowMs} ms, ${what}`);
}

/** How a plan is run: held against the model, or not. */
function runnerOf({ runWorld, watchWorld }) {
  return (plan, options = {}) => {
    const observer = values.model ? watchWorld(plan).observer : {};
    return runWorld(plan, { ...options, observer: { ...observer, ...options.observer } });
  };
}

function describe(outcome) {
  const { seed, nodes, liars, heights, virtualMs, events, sent, final, faults } = outcome;
  const applied = Object.entries(faults).map(([kind, count]) => `${kind} ${count}`);
  return [
    `seed ${seed}: ${nodes} nodes, ${liars} liars, ${heights} heights, ${final} of ${sent}`,
    `transactions final, ${Math.round(virtualMs / 1_000)} s of virtual time, ${events} events;`,
    `ledgers ${outcome.ledgersMs ?? "-"} ms after the faults, first block`,
    `${outcome.firstBlockMs ?? "-"} ms after that, slowest transaction then`,
    `${outcome.slowestMs} ms; faults: ${applied.join(", ") || "none"}; trace ${outcome.traceHash}`,
  ].join(" ");
}

async function runOne(world, seed) {
  const { planOf, reduced, shrink, cutOptions } = world;
  const cuts = cutsOf(world);
  const plan = planOf(seed);
  const run = runnerOf(world);
  const shown = values.log ? { log: loud, observer: { onNote: noteWhat } } : {};
  const outcome = await run(reduced(plan, cuts), shown);
  if (values.json) console.log(JSON.stringify(outcome));
  else console.log(describe(outcome));
  if (outcome.violation === undefined) return true;
  const { message, atMs } = outcome.violation;
  note(`FAILED at ${atMs} ms: ${message}`);
  if (values["no-shrink"]) return false;
  const found = await shrink(plan, { cuts, outcome }, { run, triesMax: shrinkTriesMax });
  note(`shortest found in ${found.tries} runs: ${found.outcome.violation.message}`);
  for (const [place, action] of plan.actions.entries())
    if (found.cuts.actions === undefined || found.cuts.actions.includes(place))
      if (!found.cuts.without.has(action.kind)) note(`  ${place} ${JSON.stringify(action)}`);
  const options = [`--seed ${seed}`, cutOptions(found.cuts), values.model ? "--model" : ""];
  note(`replay: npm run sim -- ${options.filter((each) => each !== "").join(" ")} --log`);
  return false;
}

/** Runs one seed after the other in a thread; gives each outcome to `onOutcome`. */
function runThread(next, onOutcome) {
  const code = `
    import { parentPort, workerData } from "node:worker_threads";
    const world = await import(workerData);
    parentPort.on("message", async (seed) =>
      parentPort.postMessage(await world.runWorld(world.planOf(seed))));
    parentPort.postMessage("ready");`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  return new Promise((resolve, reject) => {
    const worker = new Worker(url, {
      workerData: `file://${bundle}`,
      // Most of what a run makes lives briefly: a larger young generation halves the time.
      resourceLimits: { maxYoungGenerationSizeMb: 64 },
    });
    worker.on("error", reject);
    worker.on("message", (message) => {
      if (message !== "ready") onOutcome(message);
      const seed = next();
      if (seed !== undefined) worker.postMessage(seed);
      else resolve(worker.terminate());
    });
  });
}

function totalsOf(outcomes, seconds) {
  const sum = (of) => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const slowest = (of) => {
    const times = outcomes.map((outcome) => of(outcome) ?? 0);
    const ms = Math.max(0, ...times);
    return { ms, seed: outcomes[times.indexOf(ms)]?.seed };
  };
  const kinds = {};
  for (const { faults } of outcomes)
    for (const [kind, count] of Object.entries(faults)) kinds[kind] = (kinds[kind] ?? 0) + count;
  const inOrder = outcomes.toSorted((left, right) => left.seed - right.seed);
  const traces = inOrder.map(({ traceHash }) => traceHash).join();
  return {
    seeds: outcomes.length,
    failed: inOrder.filter(({ violation }) => violation).map(({ seed }) => seed),
    heights: sum(({ heights }) => heights),
    seedsWith20Heights: outcomes.filter(({ heights }) => heights >= 20).length,
    simulatedHours: sum(({ virtualMs }) => virtualMs) / 3_600_000,
    transactionsFinal: sum(({ final }) => final),
    ledgersSlowest: slowest(({ ledgersMs }) => ledgersMs),
    firstBlockSlowest: slowest(({ firstBlockMs }) => firstBlockMs),
    firstBlockSlowestWithoutLiars: slowest(({ liars, firstBlockMs }) =>
      liars === 0 ? firstBlockMs : 0,
    ),
    settledSlowest: slowest(({ calm }) => calm?.settledMs),
    transactionSlowest: slowest(({ calm }) => calm?.slowestMs),
    faults: kinds,
    traceHash: createHash("sha256").update(traces).digest("hex"),
    seconds,
  };
}

async function runMany(world, from, count) {
  const startMs = performance.now();
  const outcomes = [];
  let given = 0;
  const isFailing = () => outcomes.some(({ violation }) => violation !== undefined);
  const next = () => {
    if (given === count || (values.stop && isFailing())) return undefined;
    given += 1;
    return from + given - 1;
  };
  const threads = Math.min(count, values.workers);
  await Promise.all(
    Array.from({ length: threads }, () =>
      runThread(next, (outcome) => {
        outcomes.push(outcome);
        if (outcome.violation !== undefined)
          note(`seed ${outcome.seed} FAILED: ${outcome.violation.message.split("\n")[0]}`);
        if (outcomes.length % 20 === 0) note(`${outcomes.length} of ${count} seeds`);
      }),
    ),
  );
  const totals = totalsOf(outcomes, Math.round((performance.now() - startMs) / 100) / 10);
  if (values.json) console.log(JSON.stringify(totals));
  else for (const [name, value] of Object.entries(totals)) console.log(name, value);
  const [first] = totals.failed;
  if (first === undefined) return true;
  if (!values["no-shrink"]) await runOne(world, first);
  return false;
}

try {
  await makeBundle();
  const world = await import(bundle);
  const isGood =
    values.seed !== undefined
      ? await runOne(world, values.seed)
      : await runMany(world, values.from, values.seeds);
  process.exitCode = isGood ? 0 : 1;
} finally {
  rmSync(bundle, { force: true });
}

/**
 * Runs one plan on a devnet of real processes under load, and audits what is left.
 *
 * Held to, while it runs: with one node perturbed the ledger goes on; with less than a quorum whole
 * it decides nothing; 10 s after a quorum answers again the next block is there; no process ends by
 * itself. Afterwards: the audit of all four chains as the API tells them against the history, and
 * `chain verify` of all four directories, which executes every block again.
 *
 * A failure prints the plan, and where nodes' logs and the history are kept. What a plan does follows
 * from its seed; what the operating system does with it does not, so a run again makes the failure
 * likely, not certain.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { genesisBlock } from "../../../src/base/format/genesis.ts";
import { pause, programFile, TestDevnet, type TestNode, until } from "../../helpers/devnet.ts";
import { audit } from "./audit.ts";
import { copyChain, copyChanges } from "./chain-copy.ts";
import { History } from "./history.ts";
import { configureLinks, type LinkKind, type Links, makeLinks } from "./links.ts";
import { Load, laneAccounts } from "./load.ts";
import { Observer } from "./observer.ts";
import { Perturber } from "./perturber.ts";
import { faultyMax, type Perturbation, type Phase, type Plan, planText } from "./plan.ts";
import { nextBlock, type Recovery } from "./recovery.ts";

const run = promisify(execFile);

/** Nodes, load and audit share a machine; where others compute on it, too, say by how much. */
const slowness = slownessOf(process.env.PERTURB_SLOWNESS);
/** From the answers of a quorum to the next block. */
const recoveryMsMax = 10_000 * slowness;
const goesOnMsMax = 30_000 * slowness;
/** For processes to start, which takes a second, and ten times as long where others compute. */
const startMsMax = 120_000;
const wholeMsMax = 120_000;
const fatesMsMax = 120_000;
/** What was under way when a quorum was lost may still arrive. */
const inFlightMs = 150;

/** What a run found out. Times in milliseconds. */
export type PlanReport = {
  readonly name: string;
  readonly links: LinkKind;
  readonly seconds: number;
  readonly blocks: number;
  readonly final: number;
  readonly recoveries: readonly Recovery[];
};

type Stage = {
  readonly devnet: TestDevnet;
  readonly history: History;
  readonly observer: Observer;
  readonly perturber: Perturber;
  readonly load: Load;
  readonly recoveries: Recovery[];
};

/** Runs a plan. @throws {Error} with all that was found wrong. */
export async function runPlan(plan: Plan, linkKind: LinkKind): Promise<PlanReport> {
  const startMs = performance.now();
  const { nodeCount, delayMs } = plan;
  const history = new History();
  history.append({ kind: "noted", text: `${linkKind}; ${planText(plan)}` });
  const links = await makeLinks(linkKind, { nodeCount, delayMs });
  const options = { nodeCount, launch: links.launch, extraAccounts: laneAccounts };
  let devnet: TestDevnet | undefined;
  let hasPassed = false;
  try {
    devnet = await TestDevnet.make(options);
    const found = await perturbed(plan, { devnet, links, history });
    hasPassed = true;
    const seconds = (performance.now() - startMs) / 1_000;
    return { name: `${plan.seed}.${plan.index}`, links: linkKind, seconds, ...found };
  } finally {
    if (!hasPassed) console.error(`failed with ${linkKind}: ${planText(plan)}`);
    if (devnet !== undefined) history.write(join(devnet.directory, "history.jsonl"));
    await devnet?.close({ keep: !hasPassed });
    await links.close();
  }
}

async function perturbed(
  plan: Plan,
  parts: { readonly devnet: TestDevnet; readonly links: Links; readonly history: History },
): Promise<Pick<PlanReport, "blocks" | "final" | "recoveries">> {
  const { devnet, links, history } = parts;
  configureLinks(links, devnet.nodes);
  await links.open(devnet.nodes);
  await devnet.up();
  const load = await Load.start({ devnet, history, seed: plan.seed + plan.index });
  const observer = new Observer(devnet.nodes, history);
  const perturber = new Perturber(devnet.nodes, links, observer);
  const stage = { devnet, history, observer, perturber, load, recoveries: [] };
  const endsByItself = failWhenOneEnds(devnet.nodes);
  try {
    await Promise.race([endsByItself.failure, allPhases(plan, stage)]);
  } finally {
    endsByItself.stop();
    load.abandon();
    await observer.end();
  }
  const blocks = await auditAll(stage);
  return { blocks, final: load.finalCount, recoveries: stage.recoveries };
}

/** Runs the phases, and the end: all must be well again. */
async function allPhases({ phases }: Plan, stage: Stage): Promise<void> {
  const { load, devnet } = stage;
  for (const [place, phase] of phases.entries()) {
    if (!phase.isHurried) await recovered(stage);
    await pause(phase.gapMs);
    try {
      await runPhase(phase, stage);
    } catch (error) {
      throw new Error(`in phase ${place + 1}: ${(error as Error).message}`, { cause: error });
    }
    stage.recoveries.push(await recovery(stage));
  }
  await recovered(stage);
  await within(load.end(), fatesMsMax, "the fate of all transactions is known");
  await load.endWithBlock();
  await devnet.settled(wholeMsMax);
}

/** Waits until every node is ready and as high as any was when it was asked first. */
async function recovered({ devnet, observer }: Stage): Promise<void> {
  await observer.look();
  const height = observer.heightMax;
  const isThere = async (node: TestNode) => {
    const status = await node.status();
    return status?.ready === true && status.height >= height;
  };
  for (const node of devnet.nodes)
    await until(`${node.name} is ready at height ${height}`, () => isThere(node), wholeMsMax);
}

/** Waits for the next block. */
function recovery({ devnet, observer }: Stage): Promise<Recovery> {
  return nextBlock({
    nodes: devnet.nodes,
    quorum: quorumOf(devnet),
    heightMax: () => observer.heightMax,
    boundMs: recoveryMsMax,
    startMsMax,
  });
}

async function runPhase({ perturbations }: Phase, stage: Stage): Promise<void> {
  const { history, load } = stage;
  const quorum = quorumWatch(perturbations, stage);
  const beginMs = history.nowMs;
  await Promise.all(
    perturbations.map(async (perturbation) => {
      const { kind, nodes, startMs, holdMs } = perturbation;
      await pause(startMs);
      const undo = await stage.perturber.begin(perturbation);
      history.append({ kind: "noted", text: `${kind} of ${nodes.join(" ")} in force` });
      await quorum.onBegun();
      // A restart lasts as long as the node takes.
      if (kind !== "restart") await pause(holdMs);
      if (kind !== "restart" && isBearable(perturbations))
        await load.finalSince(beginMs, goesOnMsMax);
      await quorum.onEnding();
      await undo();
      history.append({ kind: "noted", text: `${kind} of ${nodes.join(" ")} over` });
    }),
  );
}

function isBearable(perturbations: readonly Perturbation[]): boolean {
  return perturbations.flatMap(({ nodes }) => nodes).length <= faultyMax;
}

/** Checks that nothing is decided between the last beginning and the first end of perturbations. */
function quorumWatch(perturbations: readonly Perturbation[], { observer, devnet }: Stage) {
  const silent = perturbations.filter(({ kind }) => kind !== "restart" && kind !== "oneway");
  const isQuorumLost =
    silent.length === perturbations.length &&
    silent.flatMap(({ nodes }) => nodes).length > devnet.nodes.length - quorumOf(devnet);
  let begun = 0;
  let isAnyOver = false;
  let heightBefore: number | undefined;
  return {
    onBegun: async () => {
      begun += 1;
      if (!isQuorumLost || isAnyOver || begun < perturbations.length) return;
      await pause(inFlightMs);
      await observer.look();
      if (!isAnyOver) heightBefore = observer.heightMax;
    },
    onEnding: async () => {
      isAnyOver = true;
      const before = heightBefore;
      if (before === undefined) return;
      heightBefore = undefined;
      await observer.look();
      // The votes for one block may have been complete but not yet counted.
      if (observer.heightMax > before + 1)
        throw new Error(`without a quorum the height went from ${before} to ${observer.heightMax}`);
    },
  };
}

async function auditAll({ devnet, history }: Stage): Promise<number> {
  const { nodes, genesis, directory } = devnet;
  history.write(join(directory, "history.jsonl"));
  const { height } = await devnet.settled();
  const chains = await Promise.all(nodes.map(({ url }) => copyChain(url, height)));
  const ids = (chains[0] ?? []).flatMap(({ transactions }) => transactions.map(({ id }) => id));
  const changes = await copyChanges(devnet.node(0).url, ids);
  const { chainId, validators, state } = genesisBlock(genesis);
  const founding = { chainId, validators, state, quorum: quorumOf(devnet) };
  const problems = audit({ founding, chains, changes, history: history.entries });
  for (const { name, files } of nodes)
    if (existsSync(`${files.ledgerDirectory}.crashes`)) problems.push(`${name} crashed`);
  await devnet.down();
  const last = `${height}:${chains[0]?.at(-1)?.hash}`;
  for (const node of nodes) problems.push(...(await verified(devnet, node, last)));
  if (problems.length > 0) throw new Error(`the audit found:\n${problems.join("\n")}`);
  return height;
}

async function verified(devnet: TestDevnet, node: TestNode, expected: string): Promise<string[]> {
  const args = ["chain", "verify", "--dir", node.files.ledgerDirectory];
  args.push("--genesis", devnet.genesisFile, "--expect", expected);
  try {
    await run(process.execPath, [programFile, ...args]);
    return [];
  } catch (error) {
    return [`chain verify of ${node.name}: ${(error as Error).message}`];
  }
}

function quorumOf({ nodes }: TestDevnet): number {
  return Math.floor((nodes.length + faultyMax) / 2) + 1;
}

/** Fails as soon as a process ends that nobody ended. */
function failWhenOneEnds(nodes: readonly TestNode[]) {
  let timer: NodeJS.Timeout | undefined;
  const failure = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const ended = nodes.find(({ hasEndedByItself }) => hasEndedByItself);
      if (ended === undefined) return;
      clearInterval(timer);
      reject(new Error(`${ended.name} ended by itself (${ended.exitCode}): ${ended.logEnd()}`));
    }, 200);
  });
  return { failure, stop: () => clearInterval(timer) };
}

/** Reads the factor of the bounds. @throws {Error} when it is none. */
function slownessOf(text = "1"): number {
  const factor = Number(text);
  if (!(factor >= 1)) throw new Error(`PERTURB_SLOWNESS: expected 1 or more, not ${text}`);
  if (factor !== 1) console.log(`bounds of time are ${factor} times wider: PERTURB_SLOWNESS`);
  return factor;
}

async function within<T>(work: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms: ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

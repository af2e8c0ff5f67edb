/**
 * Starts and ends the node processes of a devnet.
 *
 * Invariants: (1) A process is signalled only if its start time is the remembered one. (2) A node
 * that runs is never started twice. (3) What a node prints goes to its log file.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { LedgerError } from "../../base/errors.ts";
import { LedgerClient } from "../../client/client.ts";
import type { Status } from "../../client/schemas.ts";
import { type Devnet, type DevnetNode, peerPortDistance } from "./layout.ts";
import { isRunning, type ProcessId, signalProcess, startTimeOf } from "./process-id.ts";

/** The program that runs commands; the same from `src` and from `dist`. */
export const programFile = fileURLToPath(new URL("../../../bin/loopledger.js", import.meta.url));

const readyMsMax = 60_000;
/** A node that does not stop cleanly in this time is killed. */
const stopMsMax = 15_000;
const pollMs = 50;
/** Below the ports that systems give to outgoing connections by themselves. */
const basePortMin = 20_000;
const basePortSpread = 10_000;

/** Returns the remembered process of a node if it runs. */
export function runningProcess(node: DevnetNode): ProcessId | undefined {
  try {
    const id = JSON.parse(readFileSync(node.processFile, "utf8")) as ProcessId;
    return isRunning(id) ? id : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Starts a node unless it runs.
 *
 * @param options.isTied - The node ends with this process, however this process ends.
 * @returns Its process; `undefined` when it ran already.
 */
export function startNodeProcess(
  node: DevnetNode,
  options: { readonly isTied?: boolean } = {},
): ChildProcess | undefined {
  if (runningProcess(node) !== undefined) return undefined;
  const { isTied = false } = options;
  const log = openSync(node.logFile, "a");
  const args = [programFile, "node", "start", "--config", node.configFile];
  if (isTied) args.push("--until-stdin-ends");
  const stdin = isTied ? "pipe" : "ignore";
  // A process group of its own: a Ctrl-C on the terminal is for the command, not for the nodes.
  const child = spawn(process.execPath, args, { detached: true, stdio: [stdin, log, log] });
  closeSync(log);
  // A program that cannot be started is found out by who waits for the node.
  child.once("error", () => {});
  const { pid } = child;
  const startedAt = pid === undefined ? undefined : startTimeOf(pid);
  writeFileSync(node.processFile, JSON.stringify({ pid, startedAt }));
  child.unref();
  return child;
}

/**
 * Waits until nodes say that they are ready.
 *
 * @param options.isAnswerEnough - They need not be ready, for less than a quorum may be up.
 * @throws {LedgerError} CLI_NODE_FAILED
 */
export async function waitReady(
  nodes: readonly DevnetNode[],
  options: {
    readonly signal?: AbortSignal;
    readonly onReady?: (count: number) => void;
    readonly isAnswerEnough?: boolean;
  } = {},
): Promise<void> {
  const { signal, isAnswerEnough = false } = options;
  let count = 0;
  await Promise.all(
    nodes.map(async (node) => {
      await waitFor(node, signal, (status) => status.ready || isAnswerEnough);
      count += 1;
      options.onReady?.(count);
    }),
  );
}

/** Returns a node's status; `undefined` when it does not answer. */
export async function statusOf(node: DevnetNode): Promise<Status | undefined> {
  const client = new LedgerClient({ nodes: [node.url], timeoutMs: 2_000 });
  return client.status().catch(() => undefined);
}

/**
 * Ends nodes, cleanly unless `signal` says otherwise, and waits until they have ended.
 *
 * @returns Names of the nodes that ran.
 */
export async function stopNodes(
  nodes: readonly DevnetNode[],
  signal: "SIGTERM" | "SIGKILL" = "SIGTERM",
): Promise<string[]> {
  const stopped = await Promise.all(
    nodes.map(async (node) => {
      const id = runningProcess(node);
      if (id !== undefined) await endProcess(id, signal);
      rmSync(node.processFile, { force: true });
      return id === undefined ? [] : [node.name];
    }),
  );
  return stopped.flat();
}

/** Checks that all ports of nodes are free. @throws {LedgerError} CLI_PORT_IN_USE */
export async function checkPorts(devnet: Devnet, nodes: readonly DevnetNode[]): Promise<void> {
  for (const node of nodes) {
    const port = devnet.basePort + devnet.nodes.indexOf(node);
    for (const each of [port, port + peerPortDistance])
      if (!(await isFree(each))) throw new LedgerError("CLI_PORT_IN_USE", { port: each });
  }
}

/** Tells whether a port of this machine can be listened on. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** Finds free ports for a devnet, at another place in every run so that runs do not collide. */
export async function freeBasePort(nodeCount: number): Promise<number> {
  for (;;) {
    const base = basePortMin + Math.floor(Math.random() * basePortSpread);
    const ports = Array.from({ length: nodeCount }, (_, index) => base + index);
    const all = [...ports, ...ports.map((port) => port + peerPortDistance)];
    const free = await Promise.all(all.map(isFree));
    if (free.every(Boolean)) return base;
  }
}

async function endProcess(id: ProcessId, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  signalProcess(id, signal);
  const endMs = performance.now() + stopMsMax;
  while (isRunning(id)) {
    if (performance.now() > endMs) signalProcess(id, "SIGKILL");
    await sleep(pollMs);
  }
}

async function waitFor(
  node: DevnetNode,
  signal: AbortSignal | undefined,
  condition: (status: Status) => boolean,
): Promise<void> {
  const endMs = performance.now() + readyMsMax;
  const failed = (reason: string) =>
    new LedgerError("CLI_NODE_FAILED", { node: node.name, reason, log: node.logFile });
  for (;;) {
    const status = await statusOf(node);
    if (status !== undefined && condition(status)) return;
    signal?.throwIfAborted();
    if (runningProcess(node) === undefined) throw failed(`it ended: ${lastLine(node.logFile)}`);
    const why = status?.notReady.join("; ") ?? "it does not answer";
    if (performance.now() > endMs) throw failed(`not ready after ${readyMsMax} ms: ${why}`);
    await sleep(pollMs);
  }
}

function lastLine(file: string): string {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return (lines.findLast((line) => line.startsWith("error ")) ?? lines.at(-1) ?? "").slice(0, 300);
}

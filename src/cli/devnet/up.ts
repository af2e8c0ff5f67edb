/** `devnet up`: makes a devnet if there is none, and starts its nodes. */
import { z } from "zod";
import { LedgerError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import { command, directory, directoryOption, text, wholeNumber } from "../command.ts";
import type { Terminal } from "../terminal.ts";
import { type Devnet, findDevnet, layoutOf, nodeNames, nodesNamed, openDevnet } from "./layout.ts";
import { makeDevnet } from "./make.ts";
import { checkPorts, runningProcess, startNodeProcess, stopNodes, waitReady } from "./processes.ts";

const basePortDefault = 7400;
const nodeCountDefault = 4;

const input = z.strictObject({
  nodes: wholeNumber(1, limits.validatorsMax).optional(),
  dir: directory,
  basePort: wholeNumber(1024, 65_000).optional(),
  node: text.optional(),
});

/** The command. */
export const devnetUp = command({
  name: "devnet up",
  summary: "Makes a ledger of several nodes on this machine and starts them.",
  details:
    "The nodes go on running when the command has ended. A devnet that is there already is " +
    "started again with all it has. Node i serves HTTP on 127.0.0.1 at base port + i and listens " +
    "for peers at base port + 100 + i. The command waits until the nodes are ready; with --node, " +
    "while others are stopped, only until it answers. Its keys are marked weak: use it for " +
    "nothing of value.",
  options: [
    ["--nodes <count>", "number of nodes of a new devnet (default: 4)"],
    directoryOption,
    ["--base-port <port>", "first port of a new devnet (default: 7400)"],
    ["--node <name>", "start only this node of a devnet that is there"],
  ],
  examples: [
    "loopledger devnet up",
    "loopledger devnet up --nodes 7 --dir /tmp/seven --base-port 8000",
    "loopledger devnet up --node data-centre",
  ],
  input,
  async run(options, terminal) {
    // A single node is one of a devnet that is there: none is made for a wrong directory.
    const found = options.node === undefined ? findDevnet(options.dir) : openDevnet(options.dir);
    const devnet = found ?? (await make(options));
    checkSame(devnet, options);
    const nodes = nodesNamed(devnet, options.node);
    await start(devnet, nodes, terminal);
    const urls = nodes.map(({ name, url }) => `  ${url}  ${name}`).join("\n");
    const { directory: root, genesisFile: genesis } = devnet;
    terminal.result(
      { directory: root, genesis, nodes: nodes.map(({ name, url }) => ({ name, url })) },
      `running from ${root}:\n${urls}\nstop it with: loopledger devnet down --dir ${options.dir}`,
    );
    return 0;
  },
});

async function make(options: z.infer<typeof input>): Promise<Devnet> {
  const { dir: directory, nodes: nodeCount = nodeCountDefault } = options;
  const { basePort = basePortDefault } = options;
  // Before anything is written: a devnet keeps its ports.
  const planned = layoutOf(directory, basePort, nodeNames(nodeCount));
  await checkPorts(planned, planned.nodes);
  return makeDevnet({ directory, nodeCount, basePort });
}

function checkSame(devnet: Devnet, { nodes, basePort }: z.infer<typeof input>): void {
  const { directory: root } = devnet;
  const compare = (option: string, is: number, asked: number | undefined) => {
    if (asked !== undefined && asked !== is)
      throw new LedgerError("CLI_DEVNET_DIFFERS", { directory: root, option, is, asked });
  };
  compare("nodes", devnet.nodes.length, nodes);
  compare("base-port", devnet.basePort, basePort);
}

async function start(devnet: Devnet, nodes: Devnet["nodes"], terminal: Terminal): Promise<void> {
  const isStopped = (node: Devnet["nodes"][number]) => runningProcess(node) === undefined;
  const stopped = nodes.filter(isStopped);
  await checkPorts(devnet, stopped);
  const progress = terminal.progress("nodes ready", nodes.length);
  const signal = terminal.interruption();
  // A node whose peers are down can not be ready; whoever starts them one by one need not wait.
  const isAnswerEnough = devnet.nodes.some((node) => !nodes.includes(node) && isStopped(node));
  try {
    for (const node of stopped) startNodeProcess(node);
    await waitReady(nodes, {
      signal,
      isAnswerEnough,
      onReady: (count) => progress.update(count),
    });
  } catch (error) {
    await stopNodes(stopped);
    throw error;
  } finally {
    progress.done();
  }
}

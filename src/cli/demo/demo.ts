/**
 * `demo`: the whole path once, on real readings: four node processes, a gateway, a node that dies
 * and comes back, bills by contract, evidence, and damage that is found.
 *
 * Whatever happens, no process stays: nodes are ended in `finally`, and are tied to this process
 * so that they end even when it is killed.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { command, text, wholeNumber } from "../command.ts";
import { makeDevnet } from "../devnet/make.ts";
import { freeBasePort, stopNodes } from "../devnet/processes.ts";
import { reportText } from "./report.ts";
import { runDemo } from "./run.ts";

const nodeCount = 4;
const seedMax = 2 ** 32 - 1;
const shippedData = new URL("../../../data/", import.meta.url);

const input = z.strictObject({
  dir: text.optional(),
  out: text.default("demo-data"),
  keep: z.boolean().default(false),
  seed: wholeNumber(0, seedMax).optional(),
});

/** The command. */
export const demo = command({
  name: "demo",
  summary: "Shows the whole path on two years of real heat readings, in less than a minute.",
  details:
    "Four stakeholders run a node each. A gateway reports 17,474 hourly readings; one node is " +
    "killed and comes back. Bills of 23 months are made by contract and compared with control " +
    "figures. The evidence of one is verified by a process that has only the genesis file. In " +
    "copies of a ledger bytes are changed, and found. Nothing stays but the evidence.",
  options: [
    ["--dir <directory>", "directory to run in; new or empty (default: a temporary one)"],
    ["--keep", "keep that directory, with ledgers and logs"],
    ["--out <directory>", "where the evidence goes (default: ./demo-data)"],
    ["--seed <number>", "seed of the random damage (default: another one each time)"],
  ],
  examples: ["loopledger demo", "loopledger demo --json", "loopledger demo --keep --dir /tmp/demo"],
  input,
  async run(options, terminal) {
    const { dir } = options;
    const directory =
      dir === undefined ? await mkdtemp(join(tmpdir(), "loopledger-demo-")) : resolve(dir);
    const signal = terminal.interruption();
    terminal.note("making keys and genesis of four stakeholders");
    const basePort = await freeBasePort(nodeCount);
    const devnet = await makeDevnet({ directory, nodeCount, basePort });
    try {
      const { report, remarks } = await runDemo({
        devnet,
        terminal,
        signal,
        dataDirectory: shippedData,
        outDirectory: resolve(options.out),
        seed: options.seed ?? Math.floor(Math.random() * seedMax),
      });
      terminal.result(report, reportText(report, remarks));
      return report.evidence.verified && report.tamper.detected ? 0 : 1;
    } finally {
      await stopNodes(devnet.nodes, "SIGKILL");
      if (options.keep) terminal.note(`kept: ${directory}`);
      else await rm(directory, { recursive: true });
    }
  },
});

/** `node start`: runs a node until it is told to stop. */
import { z } from "zod";
import { isLedgerError } from "../base/errors.ts";
import { readNodeConfig } from "../node/config.ts";
import { crashJournalOf, endOnBrokenInvariant, isBrokenInvariant, surface } from "../node/crash.ts";
import { readPassphrase } from "../node/passphrase.ts";
import { command, text } from "./command.ts";

/** The command. */
export const nodeStart = command({
  name: "node start",
  summary: "Runs a node in the foreground until Ctrl-C or SIGTERM.",
  details:
    "The log goes to stderr, one JSON object a line. The passphrase of the key files comes from " +
    "the file that the configuration names, else from LOOPLEDGER_PASSPHRASE, else from a prompt.",
  options: [
    ["--config <file>", "configuration of the node (YAML)"],
    [
      "--accept-lost-votes",
      "vote although the signing record is lost; only when agreed with the other stakeholders",
    ],
    [
      "--repair",
      "check the ledger byte by byte and rebuild it, when `chain verify` found damage in it",
    ],
    ["--until-stdin-ends", "stop also when stdin ends, so that the node ends with its parent"],
  ],
  examples: [
    "loopledger node start --config devnet/nodes/heat-producer/node.yaml",
    "LOOPLEDGER_PASSPHRASE=... loopledger node start --config /etc/loopledger/node.yaml",
  ],
  input: z.strictObject({
    config: text,
    acceptLostVotes: z.boolean().default(false),
    repair: z.boolean().default(false),
    untilStdinEnds: z.boolean().default(false),
  }),
  async run({ config: file, acceptLostVotes, repair, untilStdinEnds }, terminal) {
    const ended = terminal.interruption();
    const config = readNodeConfig(file);
    const { environment, prompt } = terminal;
    const question = `Passphrase of ${config.name}: `;
    const passphrase = await readPassphrase({
      file: config.passphraseFile,
      environment,
      terminal: { ...prompt, question },
    });
    // Loaded here only: the network and HTTP libraries take most of a second, which no other
    // command has to wait for.
    const { startNode } = await import("../node.ts");
    const { nodeLog } = await import("../node/log.ts");
    const log = nodeLog(config.name, config.log.level);
    endOnBrokenInvariant({ log, journalFile: crashJournalOf(config) });
    const stop = new AbortController();
    const end = Promise.race([aborted(ended), ...(untilStdinEnds ? [stdinEnd()] : [])]);
    void end.then(() => stop.abort());
    try {
      const options = { passphrase, acceptLostVotes, isRepair: repair, signal: stop.signal };
      const node = await startNode(config, options);
      terminal.result({ name: config.name, url: node.apiUrl }, `${config.name} at ${node.apiUrl}`);
      await end;
      await node.stop();
    } catch (error) {
      // Ended and counted like one that comes later: a supervisor must not start it for ever.
      if (isBrokenInvariant(error)) surface(error);
      // It was told to stop while it waited for a snapshot.
      if (!isLedgerError(error, "NODE_STOPPED")) throw error;
    } finally {
      // An open stdin that is still read would keep the process.
      if (untilStdinEnds) process.stdin.destroy();
    }
    return 0;
  },
});

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function stdinEnd(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once("end", resolve).once("error", resolve).resume();
  });
}

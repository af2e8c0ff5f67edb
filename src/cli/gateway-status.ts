/** `gateway status`: what a gateway has on its hands. */
import { z } from "zod";
import { readStatus } from "../gateway.ts";
import { command, directory, directoryOption, text } from "./command.ts";
import { gatewayDirectory, gatewayDirectoryOption } from "./connection.ts";
import { startTimeOf } from "./devnet/process-id.ts";

/** The command. */
export const gatewayStatus = command({
  name: "gateway status",
  summary: "Shows what a gateway has queued, sent, finished, and what was refused.",
  details: "It reads the file that the gateway keeps beside its outbox; nothing has to run.",
  options: [gatewayDirectoryOption, directoryOption],
  examples: ["loopledger gateway status", "loopledger gateway status --outbox /var/lib/gateway"],
  input: z.strictObject({ outbox: text.optional(), dir: directory }),
  async run({ dir, outbox }, terminal) {
    const status = readStatus(gatewayDirectory(dir, outbox));
    const { state, processId, lastError, nodes, refusals } = status;
    // A gateway that was killed could not write that it no longer runs.
    const wasKilled = state === "running" && startTimeOf(processId) === undefined;
    const shown = { ...status, state: wasKilled ? "ended without a stop" : state };
    const lines = [
      `gateway   ${status.gateway}`,
      `meter     ${status.meter}`,
      `state     ${shown.state}, ${new Date(status.updatedAtMs).toISOString()}`,
      `readings  ${status.queued} queued, ${status.inFlight} under way, ${status.final} final`,
      `refused   ${status.refused}`,
      ...refusals.map(({ reading, code }) => `  ${code}  ${JSON.stringify(reading)}`),
      ...nodes.map(({ url, failures }) => `node      ${url}, ${failures} failures in a row`),
      ...(lastError === null ? [] : [`last error ${lastError}`]),
    ];
    terminal.result(shown, lines.join("\n"));
    return 0;
  },
});

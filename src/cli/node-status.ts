/** `node status`: what a node says of itself. */
import { z } from "zod";
import type { Status } from "../client/schemas.ts";
import { command, directory, directoryOption } from "./command.ts";
import { clientOf, urlOption, urls } from "./connection.ts";
import { columns } from "./terminal.ts";

type ValidatorRow = Status["validators"][number];

const headings = ["validator", "height", "round", "voted", "turn", "clock ahead", "last seen"];

/** Votes come after the block that they decide, so one height behind is in time. */
function votesText({ votedHeight, validator }: ValidatorRow, status: Status): string {
  if (validator === status.validator) return "this node";
  if (votedHeight === null) return "";
  const behind = status.height - votedHeight;
  return behind > 1 ? `${votedHeight}, late by ${behind}` : `${votedHeight}`;
}

function equivocationText(found: Status["equivocations"][number]): string {
  const { validator, kind, height, round, recordedAtHeight } = found;
  const place = `${kind} ${height}/${round}`;
  return `EQUIVOCATION ${validator} signed two at ${place}; on record since ${recordedAtHeight}`;
}

function blocksText({ baseHeight }: Status): string {
  return baseHeight === 0 ? "all" : `from height ${baseHeight + 1} on; earlier ones are not here`;
}

function diskText({ ledgerBytes }: Status): string {
  return ledgerBytes === null ? "not measured" : `${(ledgerBytes / 1e6).toFixed(1)} MB`;
}

function snapshotLines({ snapshot }: Status): string[] {
  if (snapshot === null) return [];
  const { height, chunks } = snapshot;
  const what =
    height === null ? "looking for one" : `that of height ${height}, ${chunks} chunks so far`;
  return [`snapshot    being fetched: ${what}`];
}

/** The command. */
export const nodeStatus = command({
  name: "node status",
  summary: "Shows height, state root, readiness and the validators as a node sees them.",
  options: [urlOption, directoryOption],
  examples: ["loopledger node status", "loopledger node status --url http://127.0.0.1:7402"],
  input: z.strictObject({ url: urls, dir: directory }),
  async run(options, terminal) {
    const status = await clientOf(options).status();
    const { name, height, hash, stateRoot, round, phase, ready, notReady, chainId } = status;
    const validators = status.validators.map((each) => [
      each.name,
      `${each.height ?? ""}`,
      `${each.round ?? ""}`,
      votesText(each, status),
      each.passedOver ? "passed over" : "",
      each.clockOffsetMs === null ? "" : `${each.clockOffsetMs} ms`,
      each.lastSeenMs === null ? "" : new Date(each.lastSeenMs).toISOString(),
    ]);
    const lines = [
      `node        ${name}, version ${status.version}`,
      `chain       ${chainId}`,
      `height      ${height}, block ${hash}`,
      `blocks      ${blocksText(status)}`,
      `on disk     ${diskText(status)}`,
      `state root  ${stateRoot}`,
      ...snapshotLines(status),
      `deciding    height ${status.decidingHeight}, round ${round}, ${phase}`,
      `ready       ${ready ? "yes" : `no: ${notReady.join("; ")}`}`,
      `peers       ${status.peers.length} connected`,
      `mempool     ${status.mempool.transactions} transactions`,
      "",
      columns(headings, validators),
      ...status.equivocations.map(equivocationText),
    ];
    terminal.result(status, lines.join("\n"));
    return 0;
  },
});

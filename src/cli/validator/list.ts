/** `validator list`: members, candidates, and what waits for approvals. */
import { z } from "zod";
import type { ValidatorChange } from "../../base/format/validator-change.ts";
import type { Members } from "../../client/schemas.ts";
import { command, directory, directoryOption } from "../command.ts";
import { clientOf, urlOption, urls } from "../connection.ts";
import { columns } from "../terminal.ts";

type Ready = NonNullable<Members["candidates"][number]["ready"]>;

/** The command. */
export const validatorList = command({
  name: "validator list",
  summary: "Lists members, candidates with their readiness, and changes that wait for approvals.",
  options: [urlOption, directoryOption],
  examples: ["loopledger validator list", "loopledger validator list --json"],
  input: z.strictObject({ url: urls, dir: directory }),
  async run(options, terminal) {
    const found = await clientOf(options).members();
    const { members, candidates, changes, approvalsNeeded, administrators } = found;
    const lines = [
      columns(
        ["member", "validator key"],
        members.map(({ id, validatorKey }) => [id, validatorKey]),
      ),
      "",
      columns(["candidate", "ready", "validator key"], candidates.map(candidateRow)),
      "",
      approvalsNeeded === null
        ? "the genesis names no administrator: nothing can be changed"
        : `changes need ${approvalsNeeded} of ${administrators.length} administrators`,
      ...changes.map((each) => changeText(each, approvalsNeeded)),
    ];
    terminal.result(found, lines.join("\n"));
    return 0;
  },
});

function candidateRow({ id, ready, validatorKey }: Members["candidates"][number]): string[] {
  return [id, ready === null ? "not yet" : readyText(ready), validatorKey];
}

/** Of the hash as much as people compare with `block show`. */
function readyText({ height, blockHash, validUntilMs }: Ready): string {
  const until = new Date(validUntilMs).toISOString();
  return `at height ${height}, block ${blockHash.slice(0, 16)}, holds until ${until}`;
}

function changeText(
  { id, change, approvedBy, expiresAtMs }: Members["changes"][number],
  needed: number | null,
): string {
  const until = new Date(expiresAtMs).toISOString();
  return `${id}: ${describe(change)}; ${approvedBy.length} of ${needed}, until ${until}`;
}

function describe(change: ValidatorChange): string {
  switch (change.kind) {
    case "admit":
      return `admit ${change.candidate.id}`;
    case "withdraw":
      return `withdraw ${change.id}`;
    default:
      return `${change.kind} ${change.ids.join(" and ")}`;
  }
}

/** `validator list`: members, candidates, and what waits for approvals. */
import { z } from "zod";
import type { ValidatorChange } from "../../base/format/validator-change.ts";
import type { Members } from "../../client/schemas.ts";
import { command, directory, directoryOption } from "../command.ts";
import { clientOf, urlOption, urls } from "../connection.ts";
import { columns } from "../terminal.ts";

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
  const until = ready && new Date(ready.validUntilMs).toISOString();
  const said = ready === null ? "not yet" : `at height ${ready.height}, holds until ${until}`;
  return [id, said, validatorKey];
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

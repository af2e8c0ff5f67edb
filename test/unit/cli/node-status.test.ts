/** Claims about what `node status` prints: the ledger on disk; validators late, passed over, off. */
import { afterAll, expect, it } from "vitest";
import type { NodeStatus } from "../../../src/api/api-node.ts";
import { type RunningApi, startApi } from "../../../src/api/server.ts";
import { silentLog } from "../../../src/base/log.ts";
import { runCli } from "../../helpers/run-cli.ts";
import { FakeNode } from "../api/fake-node.ts";

type Row = NodeStatus["validators"][number];

const running: RunningApi[] = [];
afterAll(() => Promise.all(running.map((api) => api.stop())));

/** A node at height 5 that says this of its four validators, itself the first. */
async function shown(...changes: Partial<Row>[]): Promise<Record<string, string>[]> {
  return tableIn(await printed({}, changes));
}

async function printed(change: Partial<NodeStatus>, changes: Partial<Row>[] = []): Promise<string> {
  const node = new FakeNode();
  for (let height = 1; height <= 5; height += 1) node.mine();
  const { api } = node;
  const status = () => {
    const now = api.status();
    const validators = now.validators.map((row, index) => ({ ...row, ...changes[index] }));
    return { ...now, validators, ...change };
  };
  const options = { host: "127.0.0.1", port: 0, log: silentLog };
  const served = await startApi({ node: { ...api, status }, ...options });
  running.push(served);
  const { code, out, err } = await runCli("node", "status", "--url", served.url);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out;
}

/** Reads the table after the empty line: what stands under each heading. */
function tableIn(out: string): Record<string, string>[] {
  const [head = "", ...rows] = (out.split("\n\n")[1] ?? "").trimEnd().split("\n");
  const starts = [...head.matchAll(/\S+( \S+)*/g)].map(({ 0: name, index }) => ({ name, index }));
  return rows.map((row) =>
    Object.fromEntries(
      starts.map(({ name, index }, column) => [
        name,
        row.slice(index, starts[column + 1]?.index).trim(),
      ]),
    ),
  );
}

it("says how much the ledger takes on disk", async () => {
  expect(await printed({})).toMatch(/^on disk {5}12\.3 MB$/m);
  expect(await printed({ ledgerBytes: undefined })).toMatch(/^on disk {5}not measured$/m);
});

it("says who is late with its votes, and by how much", async () => {
  const rows = await shown(
    ...[{ votedHeight: 1 }, { votedHeight: 5 }, { votedHeight: 4 }, { votedHeight: 3 }],
  );
  const voted = ["this node", "5", "4", "3, late by 2"];
  expect(rows.map((row) => row.voted)).toEqual(voted);
  const [, unseen, far] = await shown({}, { votedHeight: undefined }, { votedHeight: 0 });
  expect([unseen?.voted, far?.voted]).toEqual(["", "0, late by 5"]);
});

it("says who is passed over", async () => {
  const passed = [false, true, false, true].map((passedOver) => ({ passedOver }));
  const rows = await shown(...passed);
  expect(rows.map((row) => row.turn)).toEqual(["", "passed over", "", "passed over"]);
});

it("says how far each clock is ahead, behind with a minus", async () => {
  const offsets = [undefined, -300_000.4, 300_000, 0].map((clockOffsetMs) => ({ clockOffsetMs }));
  const rows = await shown(...offsets);
  const ahead = ["", "-300000 ms", "300000 ms", "0 ms"];
  expect(rows.map((row) => row["clock ahead"])).toEqual(ahead);
  expect(rows.map((row) => row.validator)).toEqual([0, 1, 2, 3].map((index) => `Member ${index}`));
});

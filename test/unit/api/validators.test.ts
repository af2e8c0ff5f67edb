/** Members and validators over HTTP: what the state says, in the documented form. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { didOf } from "../../../src/base/format/did.ts";
import { fakeGenesis } from "./fake-node.ts";
import { ask, type Served, serve, stopAll } from "./http.ts";

let served: Served;
beforeAll(async () => {
  served = await serve();
  served.node.mine(served.node.toy({ set: { "toy/a": 1 } }).bytes);
});
afterAll(stopAll);

const get = (path: string) => ask(served.url, path);

describe("the validators of a height", () => {
  it("are told in the order of certificate indexes, with their first height", async () => {
    const { status, json } = await get("/v1/validators");
    expect(status).toBe(200);
    expect(json).toMatchObject({ height: 2, from: 1, quorum: 3 });
    expect(json.validators).toHaveLength(4);
    const { json: block } = await get("/v1/blocks/1");
    for (const signer of block.signers) expect(json.validators).toContain(signer);
    expect((await get("/v1/validators?height=1")).json.validators).toEqual(json.validators);
  });

  it("are not told of heights that nobody knows yet, nor of height 0", async () => {
    for (const height of [0, 3]) {
      const { status, json } = await get(`/v1/validators?height=${height}`);
      expect([status, json.code], `${height}`).toEqual([404, "API_BLOCK_UNKNOWN"]);
    }
  });

  it("have no proven changes where the set never changed", async () => {
    expect((await get("/v1/validator-changes")).json).toEqual({ changes: [] });
    expect((await get("/v1/validator-changes?from=7")).json).toEqual({ changes: [] });
  });
});

describe("members", () => {
  it("are listed with candidates, their readiness, and open changes", async () => {
    const state = served.node.chain.at(-1)?.state as Map<string, string>;
    const [member] = fakeGenesis().members;
    const { id, ...keys } = member ?? { id: "" };
    const candidate = { ...keys, admittedAtHeight: 1, address: "/ip4/127.0.0.1/tcp/7401" };
    state.set("system/candidate/x", JSON.stringify(candidate));
    state.set("system/candidate/y", JSON.stringify(candidate));
    const ready = { atMs: 5, blockHash: "ab".repeat(32), height: 1 };
    state.set("system/ready/y", JSON.stringify(ready));
    const by = didOf("11".repeat(32));
    const change = { kind: "add", ids: ["y"] };
    const open = { approvedBy: [by], change, firstAtMs: 10_000_000_000_000 };
    state.set(`system/change/${"cd".repeat(32)}`, JSON.stringify(open));
    state.set(`system/change/${"ce".repeat(32)}`, JSON.stringify({ ...open, firstAtMs: 1 }));
    const { status, json } = await get("/v1/members");
    expect(status).toBe(200);
    expect(json.members).toHaveLength(4);
    expect(json.members[0]).toMatchObject({ id, name: member?.name });
    expect(json.candidates).toMatchObject([
      { id: "x", ready: null, address: "/ip4/127.0.0.1/tcp/7401" },
      { id: "y", ready: { ...ready, validUntilMs: 3_600_005 } },
    ]);
    // What is too old is forgotten at the next approval; it is not shown before, either.
    expect(json.changes).toMatchObject([{ id: "cd".repeat(32), change, approvedBy: [by] }]);
    expect(json.approvalsNeeded).toBeNull();
  });
});

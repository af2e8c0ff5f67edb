/** What a node says over HTTP while it fetches a snapshot: how far it is, and nothing of a ledger. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningApi, startApi } from "../../../src/api/server.ts";
import { genesisBlock } from "../../../src/base/format/genesis.ts";
import { silentLog } from "../../../src/base/log.ts";
import { portableSigner } from "../../../src/base/signer.ts";
import { LedgerClient } from "../../../src/client/client.ts";
import { parseNodeConfig } from "../../../src/node/config.ts";
import { fetchingNodeOf } from "../../../src/node/fetching-node.ts";
import { fakeGenesis } from "../api/fake-node.ts";
import { ask, post } from "../api/http.ts";

const genesis = fakeGenesis();
const peer = portableSigner(new Uint8Array(32).fill(5));
const config = parseNodeConfig(
  [
    ...["name: late", "genesis: genesis.json", "ledgerDirectory: ledger", "peerKeyFile: peer.json"],
    ...["p2p: { listen: [/ip4/127.0.0.1/tcp/1], peers: [] }", "api: { port: 0 }"],
  ].join("\n"),
  "/",
);
const progress: { height: number | undefined; chunks: number } = { height: undefined, chunks: 0 };
let api: RunningApi;

beforeAll(async () => {
  const peerSeed = new Uint8Array(32);
  const keys = { validator: undefined, peer, peerKey: peer.publicKey, peerSeed };
  const network = { connectedPeers: () => [peer.publicKey] };
  const parts = { config, genesis, genesisText: JSON.stringify(genesis), keys, network, progress };
  const node = fetchingNodeOf(parts);
  api = await startApi({ node, host: "127.0.0.1", port: 0, log: silentLog });
});
afterAll(() => api.stop());

it("shows how far the snapshot is, and is not ready", async () => {
  const client = new LedgerClient({ nodes: [api.url] });
  expect(await client.status()).toMatchObject({
    ...{ name: "late", height: 0, chainId: genesisBlock(genesis).chainId, baseHeight: 0 },
    ...{ phase: "fetching a snapshot", catchingUp: true, ready: false },
    snapshot: { height: null, chunks: 0 },
  });
  Object.assign(progress, { height: 1_024, chunks: 17 });
  expect((await client.status()).snapshot).toEqual({ height: 1_024, chunks: 17 });
  const ready = await ask(api.url, "/health/ready");
  expect(ready.status).toBe(503);
  expect(ready.json.reasons).toEqual([
    "NODE_FETCHING_SNAPSHOT: fetching the snapshot of height 1024, 17 chunks so far",
  ]);
  expect((await ask(api.url, "/health/live")).status).toBe(200);
  const { text } = await ask(api.url, "/metrics");
  expect(text).toContain("loopledger_fetching_snapshot 1\n");
  expect(text).toContain("loopledger_snapshot_chunks 17\n");
  expect(text).toContain("loopledger_ready 0\n");
});

it.each([
  ...["blocks/latest", "blocks/7", `transactions/${"ab".repeat(32)}`, "validators", "members"],
  ...[`transactions/${"ab".repeat(32)}/proof`, "state?key=toy%2Fa", "state-history?key=toy%2Fa"],
  ...["events", "validator-changes", "contracts", "contracts/toy/views/echo"],
  ...["evidence/bills/m-1/2019-01/1"],
])("sends whoever asks for /v1/%s to another node", async (path) => {
  const { status, json } = await ask(api.url, `/v1/${path}`);
  expect({ status, json }).toMatchObject({
    status: 503,
    json: { code: "NODE_FETCHING_SNAPSHOT", facts: { height: 1_024, chunks: 17 } },
  });
});

it("takes no transaction", async () => {
  const { json } = await post(api.url, Uint8Array.of(1));
  expect(json.code).toBe("NODE_FETCHING_SNAPSHOT");
});

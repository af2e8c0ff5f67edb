/** When a node begins with a snapshot at all, and whom it asks for one. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { didOf, publicKeyOf } from "../../../src/base/format/did.ts";
import { genesisBlock } from "../../../src/base/format/genesis.ts";
import { silentLog } from "../../../src/base/log.ts";
import { portableSigner } from "../../../src/base/signer.ts";
import { parseNodeConfig } from "../../../src/node/config.ts";
import { emptyHandlers } from "../../../src/node/snapshot-replacement.ts";
import {
  fetchingPeersOf,
  prepareLedger,
  replaceLedger,
  type SnapshotStart,
} from "../../../src/node/snapshot-start.ts";
import { Network } from "../../../src/p2p/network.ts";
import { fakeGenesis } from "../api/fake-node.ts";

async function inDirectory<T>(work: (ledgerDirectory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "loopledger-start-"));
  try {
    return await work(join(directory, "ledger"));
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** With so many members, without configured peers, told to stop as soon as it looks for others. */
function prepared(memberCount: number): Promise<void> {
  const stopped = AbortSignal.abort();
  const member = (index: number) => ({ peerKey: `did:key:${index}` });
  return inDirectory((ledgerDirectory) => {
    const start = {
      config: { ledgerDirectory, sync: "snapshot", p2p: { peers: [] } },
      genesis: { members: Array.from({ length: memberCount }, (_, index) => member(index)) },
      ...{ log: silentLog, signal: stopped },
    };
    return prepareLedger(start as unknown as SnapshotStart);
  });
}

const seedOf = (number: number) => new Uint8Array(32).fill(number);
const keyOf = (number: number) => portableSigner(seedOf(number)).publicKey;
const addressOf = (number: number) => `/ip4/127.0.0.1/tcp/${7_400 + number}`;

/** A node that is configured with the peer 50. */
function startOf(ledgerDirectory: string, signal = new AbortController().signal): SnapshotStart {
  const genesis = fakeGenesis();
  const peer = { peerKey: didOf(keyOf(50)), address: addressOf(1) };
  const config = parseNodeConfig(
    JSON.stringify({
      ...{ name: "late", genesis: "genesis.json", ledgerDirectory, peerKeyFile: "peer.json" },
      ...{ p2p: { listen: ["/ip4/127.0.0.1/tcp/0"], peers: [peer] }, api: { port: 0 } },
    }),
    "/",
  );
  const own = portableSigner(seedOf(51));
  const keys = {
    ...{ validator: undefined, peer: own, peerKey: own.publicKey, peerSeed: seedOf(51) },
  };
  const genesisText = JSON.stringify(genesis);
  return { config, genesis, genesisText, keys, log: silentLog, signal };
}

it("asks nobody for a snapshot where there is nobody", async () => {
  await expect(prepared(1)).resolves.toBeUndefined();
});

it("asks others where there are some", async () => {
  // Of a network that cannot be started, as the genesis here is none.
  await expect(prepared(4)).rejects.toThrow();
});

it("connects those of the genesis and of the configuration, and whom its ledger knows", () => {
  const start = startOf("ledger");
  const members = start.genesis.members.map(({ peerKey }) => publicKeyOf(peerKey));
  const configured = { peerKey: keyOf(50), address: addressOf(1) };
  expect(fetchingPeersOf(start)).toEqual({
    allowed: [...members, keyOf(50)],
    peers: [configured],
  });
  const known = {
    allowed: [keyOf(60), keyOf(61)],
    peers: [configured, { peerKey: keyOf(60), address: addressOf(2) }],
  };
  expect(fetchingPeersOf(start, known)).toEqual({
    allowed: [keyOf(60), keyOf(61), keyOf(50)],
    peers: known.peers,
  });
});

it("dials a member that only its ledger knows", async () => {
  const stopping = new AbortController();
  await inDirectory(async (ledgerDirectory) => {
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(8_000)]);
    const start = startOf(ledgerDirectory, signal);
    const { chainId } = genesisBlock(start.genesis);
    const met: string[] = [];
    const member = await Network.start({
      ...{ chainId, peerSeed: seedOf(60), listen: ["/ip4/127.0.0.1/tcp/0"], log: silentLog },
      ...{ peers: [], allowedPeerKeys: [keyOf(51)] },
      handlers: {
        ...emptyHandlers(chainId, { nowMs: () => 0 }),
        onPeerChange: (peer) => {
          met.push(peer);
          stopping.abort();
        },
      },
    });
    try {
      const address = member.listenAddresses[0] as string;
      const tip = { ...genesisBlock(start.genesis).header, height: 7 };
      const known = { tip, allowed: [keyOf(60)], peers: [{ peerKey: keyOf(60), address }] };
      const replaced = replaceLedger(start, known);
      await expect(replaced).rejects.toMatchObject({ code: "NODE_STOPPED" });
      expect(met[0]).toBe(keyOf(51));
    } finally {
      await member.stop();
    }
  });
});

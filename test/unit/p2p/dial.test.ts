/** The dialer follows changes of the peers: new ones are dialed, old ones left alone. */
import { describe, expect, it } from "vitest";
import type { PublicKey } from "../../../src/base/keys.ts";
import { silentLog } from "../../../src/base/log.ts";
import { portableSigner } from "../../../src/base/signer.ts";
import { zeroCounters } from "../../../src/p2p/counters.ts";
import { Dialer } from "../../../src/p2p/dial.ts";
import type { Host } from "../../../src/p2p/host.ts";

const keys = [1, 2, 3]
  .map((number) => portableSigner(new Uint8Array(32).fill(number)).publicKey)
  .sort() as [PublicKey, PublicKey, PublicKey];
const [own, second, third] = keys;
const address = (port: number) => `/ip4/127.0.0.1/tcp/${port}`;

/** A host that connects at once and remembers whom it dialed. */
function dialerOf(peers: readonly { peerKey: PublicKey; address: string }[]) {
  const dialed: string[] = [];
  const connected = new Set<string>();
  const host = {
    getConnections: (peerId: { toString(): string }) =>
      connected.has(peerId.toString()) ? [{}] : [],
    dial: async (to: { toString(): string }) => {
      const [, where = "", peerId = ""] = /^(.*)\/p2p\/(.*)$/.exec(to.toString()) ?? [];
      dialed.push(where);
      connected.add(peerId);
    },
  } as unknown as Host;
  const counters = zeroCounters();
  const dialer = new Dialer({
    ...{ host, peers, ownKey: own, counters, log: silentLog },
    allows: () => true,
  });
  return { dialer, dialed };
}

describe("the dialer", () => {
  it("dials peers that come later, and none that was there", async () => {
    const { dialer, dialed } = dialerOf([{ peerKey: second, address: address(2) }]);
    dialer.start();
    await Promise.resolve();
    expect(dialed).toEqual([address(2)]);
    const peers = [second, third].map((peerKey, index) => ({
      peerKey,
      address: address(index + 2),
    }));
    dialer.setPeers(peers);
    dialer.setPeers(peers);
    await Promise.resolve();
    expect(dialed).toEqual([address(2), address(3)]);
    dialer.stop();
  });

  it("dials nobody before it was started, and not itself", async () => {
    const { dialer, dialed } = dialerOf([]);
    dialer.setPeers([
      { peerKey: own, address: address(1) },
      { peerKey: second, address: address(2) },
    ]);
    await Promise.resolve();
    expect(dialed).toEqual([]);
    dialer.start();
    await Promise.resolve();
    expect(dialed).toEqual([address(2)]);
    dialer.stop();
  });

  it("leaves out an address of the ledger that is none, and forgets who is gone", async () => {
    const { dialer, dialed } = dialerOf([]);
    dialer.start();
    dialer.setPeers([
      { peerKey: second, address: "/ip4/1.2.3.4/udp/1" },
      { peerKey: third, address: address(3) },
    ]);
    dialer.setPeers([]);
    dialer.wake(third);
    await Promise.resolve();
    expect(dialed).toEqual([address(3)]);
    dialer.stop();
  });
});

/** Whom a node connects to follows the ledger; what the configuration adds is for joining only. */
import { describe, expect, it } from "vitest";
import { didOf } from "../../../src/base/format/did.ts";
import type { PublicKey } from "../../../src/base/keys.ts";
import type { Membership } from "../../../src/node/membership.ts";
import { PeerFollower } from "../../../src/node/peer-follower.ts";
import { keysOf } from "../ledger/system-fixture.ts";

const key = (number: number): PublicKey => keysOf(number).peer.publicKey;
const address = (number: number) => `/ip4/127.0.0.1/tcp/${7_400 + number}`;

/** The ledger knows 1 to 3, where 3 listens, and that 4 has left. */
const membership = {
  allowedPeers: () => [1, 2, 3].map(key),
  isFormer: (peer: PublicKey) => peer === key(4),
  addresses: () => [{ peerKey: key(3), address: address(33) }],
  onChange: () => undefined,
} as unknown as Membership;

function followerOf(joining: boolean, ...configured: readonly number[]): PeerFollower {
  const peers = configured.map((number) => ({
    peerKey: didOf(key(number)),
    address: address(number),
  }));
  const config = { joining, p2p: { listen: [], peers } };
  return new PeerFollower({ membership, config, clock: { nowMs: () => 0 } });
}

describe("peers of a node", () => {
  it("are members and candidates only, whatever the configuration lists", () => {
    expect(followerOf(false, 1, 9).allowed().sort()).toEqual([1, 2, 3].map(key).sort());
  });

  it("are also those of the configuration while it joins, but nobody who left", () => {
    expect(followerOf(true, 4, 9).allowed().sort()).toEqual([1, 2, 3, 9].map(key).sort());
  });

  it("are dialed where the configuration says, else where the ledger says", () => {
    expect(followerOf(false, 1).peers()).toEqual([
      { peerKey: key(1), address: address(1) },
      { peerKey: key(3), address: address(33) },
    ]);
    expect(followerOf(false, 3).peers()).toEqual([{ peerKey: key(3), address: address(3) }]);
  });

  it("are told to the network at each change, until it stops", () => {
    const told: PublicKey[][] = [];
    const network = {
      setAllowedPeerKeys: (keys: readonly PublicKey[]) => {
        told.push([...keys]);
      },
      setPeers: () => undefined,
    };
    let change = () => {};
    const heard = {
      ...(membership as object),
      onChange: (listener: () => void) => {
        change = listener;
      },
    } as Membership;
    const config = { joining: false, p2p: { listen: [], peers: [] } };
    const follower = new PeerFollower({ membership: heard, config, clock: { nowMs: () => 0 } });
    follower.start(network);
    change();
    follower.stop();
    expect(told).toEqual([[1, 2, 3].map(key)]);
  });
});

/**
 * When a node whose signing record is lost votes again: named failure 11 (tendermint #3418), the
 * half that is in the shell. The core only keeps silent as long as the shell says.
 */
import { describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { ownPeer, type Peer, startShell } from "./shell-fixture.ts";

const level: Peer = { height: 5 };
const gone = new LedgerError("P2P_SYNC_FAILED", { peer: "", request: "blocks", reason: "" });

/** @returns Up to which height nothing is signed; infinite as long as the tip is not known. */
async function silentThrough(options: Parameters<typeof startShell>[0]): Promise<number> {
  const { driver, timers } = startShell(options);
  await timers.advance(20_000);
  const { abstainThroughHeight } = driver.core;
  return driver.awaitsTip ? Number.POSITIVE_INFINITY : abstainThroughHeight;
}

describe("a validator that lost its signing record", () => {
  it.each<[string, Readonly<Record<string, Peer>>]>([
    ["only two of three others answer", { "peer 1": level, "peer 2": level, "peer 3": {} }],
    ["the third is a candidate", { "peer 1": level, "peer 2": level, candidate: level }],
    ["the third is itself", { "peer 1": level, "peer 2": level, [ownPeer]: level }],
    [
      "the third has more, which it does not give",
      { "peer 1": level, "peer 2": level, "peer 3": { height: 9, blocks: () => gone } },
    ],
  ])("signs nothing while %s", async (_, peers) => {
    expect(await silentThrough({ members: 4, peers })).toBe(Number.POSITIVE_INFINITY);
  });

  it("is silent two heights beyond the tip that a quorum of others has", async () => {
    const peers = { "peer 1": level, "peer 2": level, "peer 3": level };
    expect(await silentThrough({ members: 4, peers })).toBe(7);
  });

  it("fetches what the others have first, and counts from there", async () => {
    const peers = { "peer 1": { height: 8 }, "peer 2": level, "peer 3": { height: 7 } };
    expect(await silentThrough({ members: 4, peers })).toBe(10);
  });

  it("is not kept silent by one that claims blocks and has none", async () => {
    const liar = { height: 900, blocks: () => [] };
    const peers = { "peer 1": level, "peer 2": level, "peer 3": liar };
    expect(await silentThrough({ members: 4, peers })).toBe(7);
  });

  it("learns it on slow lines, too, where the others never answer all at once", async () => {
    const peers: Readonly<Record<string, Peer>> = {
      "peer 1": { height: 5, tellsAfterMs: [10, 10] },
      "peer 2": { height: 5, tellsAfterMs: [1_500, 1_500] },
      "peer 3": { height: 5, tellsAfterMs: [2_500, 1_500] },
    };
    expect(await silentThrough({ members: 4, peers })).toBe(7);
  });

  it("needs the other one of two, and trusts the operator's word on hidden votes", async () => {
    const loss = { hiddenHeights: 0 };
    expect(await silentThrough({ members: 2, loss, peers: {} })).toBe(Number.POSITIVE_INFINITY);
    expect(await silentThrough({ members: 2, loss, peers: { "peer 1": { height: 6 } } })).toBe(6);
  });
});

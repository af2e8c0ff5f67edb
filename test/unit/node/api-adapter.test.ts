/** What the status of a node says of its checkpoint. */
import { expect, it } from "vitest";
import { apiNodeOf, type ShownParts } from "../../../src/node/api-adapter.ts";

/** A node that votes alone, at a height, with a checkpoint in its configuration. */
function reasons(height: number, checkpoint: string | undefined): readonly string[] {
  const validator = "11".repeat(32);
  const driver = {
    isAbstaining: false,
    status: { height, round: 0, validators: [{ validator }], waitingMs: 0, clockOffsetMs: 0 },
  };
  const parts = {
    ...{
      config: { checkpoint },
      keys: { peerKey: validator, validator: { publicKey: validator } },
      driver,
    },
    follower: { status: { hasLooked: true, catchingUp: false }, prunedPeers: 0 },
    ledger: { state: { range: () => [] }, schedule: { height, validators: [], missed: new Map() } },
    membership: { members: () => [{ validator, peer: validator, name: "" }] },
    network: { connectedPeers: () => [], metrics: () => ({}) },
    shell: { intake: { refused: new Map() }, peerClocks: { offsetMs: () => undefined } },
    size: { bytes: 0 },
    store: { tip: { height, header: { stateRoot: "" } } },
    storage: {},
  };
  return apiNodeOf(parts as unknown as ShownParts).status().notReady;
}

it("a node below its checkpoint is not ready: it may have been led onto a fork", () => {
  const checkpoint = `7:${"ab".repeat(32)}`;
  expect(reasons(6, checkpoint)).toEqual(["the block of the checkpoint, 7, is not here yet"]);
  expect(reasons(7, checkpoint)).toEqual([]);
  expect(reasons(0, undefined)).toEqual([]);
});

/** A candidate's node says that it is ready when it is, once in a while, and nobody else does. */
import { beforeEach, describe, expect, it } from "vitest";
import { hexToBytes } from "../../../src/base/bytes.ts";
import { LedgerError } from "../../../src/base/errors.ts";
import { readyMessage } from "../../../src/base/format/validator-ready.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Ledger } from "../../../src/ledger/ledger.ts";
import { nativeVerifier } from "../../../src/node/native-crypto.ts";
import type { SystemCall } from "../../../src/node/node-transactions.ts";
import { ReadyDeclarer } from "../../../src/node/ready-declarer.ts";
import { keysOf } from "../ledger/system-fixture.ts";

const { validator, peer } = keysOf(5);
const candidate = {
  ...{ id: "n5", name: "N 5", address: undefined },
  validator: validator.publicKey,
  peer: peer.publicKey,
};
const chainId = "aa".repeat(32);

/** What a test may change before a look. */
const world = {
  candidates: [candidate],
  following: { hasLooked: true, catchingUp: false, claimedHeight: 9 },
  atMs: undefined as number | undefined,
  timestampMs: 10_000_000,
  isUnderWay: false,
  isClosed: false,
};
let calls: SystemCall[] = [];

const ledger = {
  chainId,
  get tip() {
    return { height: 9, hash: "bb".repeat(32), timestampMs: world.timestampMs };
  },
  state: {
    get: (key: string) => {
      if (world.isClosed) throw new LedgerError("LEDGER_STORE_CLOSED", { directory: "ledger" });
      return key === "system/ready/n5" && world.atMs !== undefined
        ? JSON.stringify({ atMs: world.atMs, blockHash: chainId, height: 1 })
        : undefined;
    },
  },
} as unknown as Ledger;

const declarer = new ReadyDeclarer({
  ledger,
  membership: { candidates: () => world.candidates },
  validator,
  peerKey: peer.publicKey,
  transactions: { has: () => world.isUnderWay, submit: (call) => calls.push(call) },
  following: () => world.following,
});

function says(change: Partial<typeof world>): boolean {
  calls = [];
  Object.assign(world, change);
  declarer.look();
  return calls.length > 0;
}

beforeEach(() => {
  Object.assign(world, {
    candidates: [candidate],
    following: { hasLooked: true, catchingUp: false, claimedHeight: 9 },
    ...{ atMs: undefined, timestampMs: 10_000_000, isClosed: false, isUnderWay: false },
  });
});

describe("a candidate's node", () => {
  it("states its tip with the key that will vote", () => {
    expect(says({})).toBe(true);
    const [{ method, argsJson }] = calls as [SystemCall];
    expect(method).toBe("declareReady");
    const { height, blockHash, signature } = JSON.parse(argsJson);
    expect([height, blockHash]).toEqual([9, "bb".repeat(32)]);
    const message = readyMessage({ chainId, height, blockHash, peerKey: peer.publicKey });
    expect(nativeVerifier.verify(message, hexToBytes(signature), validator.publicKey)).toBe(true);
  });

  it("says nothing before it has caught up, or while it is saying it", () => {
    const following = { hasLooked: true, catchingUp: true, claimedHeight: 99 };
    expect(says({ following })).toBe(false);
    expect(says({ following: { ...following, hasLooked: false, catchingUp: false } })).toBe(false);
    expect(says({ following: { ...following, catchingUp: false }, isUnderWay: true })).toBe(false);
    expect(says({ isUnderWay: false })).toBe(true);
  });

  it("says nothing when its keys are not those of a candidate", () => {
    expect(says({ candidates: [] })).toBe(false);
    const other = keysOf(6);
    expect(says({ candidates: [{ ...candidate, peer: other.peer.publicKey }] })).toBe(false);
    expect(says({ candidates: [{ ...candidate, validator: other.validator.publicKey }] })).toBe(
      false,
    );
  });

  it("says it again at half the life of its word, not sooner", () => {
    const half = limits.readyMsMax / 2;
    expect(says({ atMs: world.timestampMs - half + 1 })).toBe(false);
    expect(says({ atMs: world.timestampMs - half })).toBe(true);
  });

  it("waits while the ledger is closed to mend its disk", () => {
    expect(says({ isClosed: true })).toBe(false);
    expect(says({ isClosed: false })).toBe(true);
  });
});

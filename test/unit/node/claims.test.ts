/**
 * Claims about being behind: what peers merely say makes a node neither "not ready" for long nor
 * "ready" too early. In virtual time.
 */
import { describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { blockOf, encodeBlock, type Header } from "../../../src/base/format/block.ts";
import { encodeCertificate } from "../../../src/base/format/message.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { silentLog } from "../../../src/base/log.ts";
import { ChainFollower, encodeDecided } from "../../../src/node/chain-follower.ts";
import { Life, VirtualTime } from "../../sim/world/time.ts";

type Answer = Uint8Array[] | LedgerError;
type Peer = {
  readonly height: number;
  /** Milliseconds until it answers, and what. */
  blocks(from: number, countMax: number): { readonly afterMs: number; readonly answer: Answer };
};

const header: Header = {
  chainId: zeroHash,
  height: 0,
  parentHash: zeroHash,
  timestampMs: 1,
  proposer: zeroHash,
  transactionsRoot: zeroHash,
  receiptsRoot: zeroHash,
  stateRoot: zeroHash,
  validatorsHash: zeroHash,
  nextValidatorsHash: zeroHash,
  gasUsed: 0,
};
const never = 10 ** 9;
const lost = (request: string) =>
  new LedgerError("P2P_SYNC_FAILED", { peer: "", request, reason: "time-out" });
const silent = (height: number): Peer => ({
  height,
  blocks: () => ({ afterMs: 20_000, answer: lost("blocks") }),
});
const range = (from: number, count: number) =>
  Array.from({ length: Math.max(0, count) }, (_, index) => decided(from + index));
const honest = (height: number, afterMs = 10): Peer => ({
  height,
  blocks: (from, countMax) => ({
    afterMs,
    answer: range(from, Math.min(countMax, height - from + 1)),
  }),
});

function decided(height: number): Uint8Array {
  const block = blockOf({ ...header, height }, []);
  const certificate = { height, round: 0, blockHash: block.hash, signatures: [] };
  return encodeDecided(encodeBlock(block), encodeCertificate(certificate));
}

/** A follower at height 10 among peers; members are these and the node itself. */
function follow(peers: Readonly<Record<string, Peer>>) {
  const time = new VirtualTime();
  const timers = time.timersOf(new Life());
  const sink = {
    tip: { height: 10 },
    async append(block: { readonly header: { readonly height: number } }) {
      sink.tip = { height: block.header.height };
    },
  };
  const follower = new ChainFollower({
    source: {
      connectedPeers: () => Object.keys(peers),
      requestStatus: async (peer) => ({ height: (peers[peer] as Peer).height }),
      requestBlocks: (peer, from, countMax) => {
        const { afterMs, answer } = (peers[peer] as Peer).blocks(from, countMax);
        return new Promise((resolve, reject) => {
          const settle = () => (answer instanceof LedgerError ? reject(answer) : resolve(answer));
          timers.after(afterMs, settle);
        });
      },
    },
    sink,
    clock: timers,
    log: silentLog,
    timers,
    members: () => ["self", ...Object.keys(peers)],
    onAppended() {},
    onFault(reason) {
      throw new Error(reason);
    },
  });
  follower.start();
  /** Lets seconds pass; gives for each whether the node called itself behind at its end. */
  const watch = async (seconds: number): Promise<boolean[]> => {
    const seen: boolean[] = [];
    const beganMs = time.nowMs;
    for (let second = 1; second <= seconds; second += 1) {
      await time.runUntil(() => false, beganMs + 1_000 * second);
      seen.push(follower.status.catchingUp);
    }
    return seen;
  };
  return { follower, sink, watch };
}

const behind = (seen: readonly boolean[]) => seen.filter((each) => each).length;

describe("a liar", () => {
  it("(5) that claims what it never sends does not make one of four call itself behind", async () => {
    const { watch, follower } = follow({ liar: silent(never), b: honest(10), c: honest(10) });
    expect(behind(await watch(300))).toBe(0);
    expect(follower.status).toMatchObject({ hasLooked: true, claimedHeight: 10 });
  });

  it("(5) does not either when it feeds true blocks one by one", async () => {
    const feeder: Peer = {
      height: never,
      blocks: (from) => ({ afterMs: 500, answer: [decided(from)] }),
    };
    const { watch, sink } = follow({ feeder, b: honest(10), c: honest(10) });
    expect(behind(await watch(60))).toBe(0);
    expect(sink.tip.height).toBeGreaterThan(100);
  });

  it.each([2, 3])(
    "(5) makes one of %d call itself behind once, for some seconds",
    async (count) => {
      const others = count === 3 ? { b: honest(10) } : {};
      const { watch } = follow({ liar: silent(never), ...others });
      const seen = await watch(300);
      expect(behind(seen.slice(5))).toBe(0);
    },
  );
});

describe("a node that is behind", () => {
  it.each<[string, Readonly<Record<string, Peer>>]>([
    ["among four", { a: honest(500), b: honest(500), liar: honest(0) }],
    ["among two", { a: honest(500) }],
  ])("says so until it has caught up, %s", async (_, peers) => {
    const slow = Object.entries(peers).map(([name, { height }]) => [name, honest(height, 2_000)]);
    const { watch, sink } = follow(Object.fromEntries(slow));
    const seen = await watch(40);
    expect(sink.tip.height).toBe(500);
    const count = behind(seen);
    expect(count).toBeGreaterThanOrEqual(14);
    expect(seen.slice(0, count)).not.toContain(false);
  });

  it("says so while all are too slow to be waited for", async () => {
    const slow = { a: honest(5_000, 12_000), b: honest(5_000, 12_000), c: honest(5_000, 12_000) };
    const { watch } = follow(slow);
    expect(behind(await watch(120))).toBe(120);
  });

  it("believes a peer again as soon as it brought a block", async () => {
    let isUp = false;
    const flaky: Peer = {
      height: 500,
      blocks: (from, countMax) =>
        isUp ? honest(500, 2_000).blocks(from, countMax) : { afterMs: 1, answer: lost("blocks") },
    };
    const { watch } = follow({ flaky });
    expect(behind((await watch(10)).slice(1))).toBe(0);
    isUp = true;
    expect(behind(await watch(12))).toBeGreaterThanOrEqual(4);
  });
});

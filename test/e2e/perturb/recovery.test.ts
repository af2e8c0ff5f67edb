/** The bound runs from the answers of a quorum, whoever else is missing. */
import { describe, expect, it } from "vitest";
import { nextBlock, type Watched } from "./recovery.ts";

const inMs = (ms: number) => {
  const atMs = performance.now() + ms;
  return () => performance.now() >= atMs;
};
const answeringAfter = (ms: number) => {
  const isUp = inMs(ms);
  return { status: async () => (isUp() ? {} : undefined) };
};

/** A ledger at height 5 whose next block comes after a while. */
function watched(change: { answersMs: readonly number[]; blockMs: number }): Watched {
  const hasBlock = inMs(change.blockMs);
  return {
    nodes: change.answersMs.map(answeringAfter),
    quorum: 3,
    heightMax: () => (hasBlock() ? 6 : 5),
    boundMs: 500,
    startMsMax: 10_000,
  };
}

describe("the next block", () => {
  it("may come with the quorum, though the fourth node never answers", async () => {
    const found = await nextBlock(watched({ answersMs: [0, 0, 300, 1e9], blockMs: 600 }));
    expect(found.sinceEndMs).toBeGreaterThanOrEqual(550);
    expect(found.sinceQuorumMs).toBeLessThanOrEqual(found.sinceEndMs - 250);
    expect(found.sinceQuorumMs).toBeGreaterThan(0);
  });

  it("is late when it only comes after the bound, though not all nodes answer yet", async () => {
    const late = nextBlock(watched({ answersMs: [0, 0, 0, 1_200], blockMs: 1_300 }));
    await expect(late).rejects.toThrow("no block above height 5 within 500 ms");
  });

  it("is waited for while there is no quorum", async () => {
    const found = await nextBlock(watched({ answersMs: [0, 0, 900, 900], blockMs: 950 }));
    expect(found.sinceQuorumMs).toBeLessThan(400);
  });
});

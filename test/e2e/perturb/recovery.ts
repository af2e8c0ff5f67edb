/** Measures how soon a ledger goes on after a perturbation, and holds it to a bound. */
import { pause } from "../../helpers/devnet.ts";

const pollMs = 20;

/** From a phase to the next block, in milliseconds. */
export type Recovery = {
  /** Since the perturbations are over: processes start meanwhile. */
  readonly sinceEndMs: number;
  /** Since a quorum of nodes answers; 0 when the block came first. */
  readonly sinceQuorumMs: number;
};

/** What is watched. */
export type Watched = {
  readonly nodes: readonly { status(): Promise<unknown> }[];
  readonly quorum: number;
  /** The greatest height that any node told. */
  heightMax(): number;
  /** From the answers of a quorum to the next block. */
  readonly boundMs: number;
  /** For processes to start; after that a quorum counts as there. */
  readonly startMsMax: number;
};

/**
 * Waits for the next block, from the end of a perturbation on. Who is not needed for a quorum is
 * not waited for.
 *
 * @throws {Error} when it is not there within the bound.
 */
export async function nextBlock(watched: Watched): Promise<Recovery> {
  const { nodes, quorum, boundMs, startMsMax } = watched;
  const height = watched.heightMax();
  const endMs = performance.now();
  const answeredMs: number[] = [];
  let isOver = false;
  const listen = async (node: Watched["nodes"][number]) => {
    while (!isOver && (await node.status()) === undefined) await pause(pollMs);
    answeredMs.push(performance.now());
  };
  for (const node of nodes) void listen(node);
  const quorumMs = () => answeredMs[quorum - 1] ?? Number.POSITIVE_INFINITY;
  try {
    while (watched.heightMax() <= height) {
      const nowMs = performance.now();
      if (nowMs > Math.min(quorumMs(), endMs + startMsMax) + boundMs)
        throw new Error(
          `no block above height ${height} within ${boundMs} ms of the answers of a quorum; ` +
            `${Math.round(nowMs - endMs)} ms passed`,
        );
      await pause(pollMs);
    }
  } finally {
    isOver = true;
  }
  const blockMs = performance.now();
  const sinceQuorumMs = Math.max(0, Math.round(blockMs - quorumMs()));
  return { sinceEndMs: Math.round(blockMs - endMs), sinceQuorumMs };
}
